"""Keras files and SavedModels as teachers; needs TensorFlow, an extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedistill import teachers
from edgedistill.errors import TeacherError
from edgedistill.recipe import TeacherSection

SHAPE = (8, 8, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (5, *SHAPE)).astype(np.uint8)


@pytest.fixture(scope="module")
def tensorflow() -> Any:
    return pytest.importorskip("tensorflow", reason="TensorFlow is not installed")


@pytest.fixture(scope="module")
def model(tensorflow: Any) -> Any:
    layers = tensorflow.keras.layers
    return tensorflow.keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def load(spec: Path, trust: bool = False) -> Any:
    section = TeacherSection(spec=f"keras:{spec}", normalisation="unit")
    return teachers.load(section, classes=3, image_shape=SHAPE, trust=trust)


def expected(model: Any) -> np.ndarray:
    return np.log(np.asarray(model(IMAGES.astype(np.float32) / 255)))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_file_answers_as_keras_does_with_the_softmax_undone(
    model: Any, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"teacher{suffix}"
    model.save(path)
    teacher = load(path)
    np.testing.assert_allclose(teacher.logits(IMAGES), expected(model), rtol=1e-4, atol=1e-5)
    assert teacher.parameters == model.count_params()
    assert any("probabilities" in note for note in teacher.notes)


def test_a_saved_model_needs_trust_and_answers_the_same(model: Any, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    model.export(folder)
    with pytest.raises(TeacherError, match="can read and write files"):
        load(folder)
    teacher = load(folder, trust=True)
    np.testing.assert_allclose(teacher.logits(IMAGES), expected(model), rtol=1e-4, atol=1e-5)


def test_a_lambda_layer_is_refused(tensorflow: Any, tmp_path: Path) -> None:
    layers = tensorflow.keras.layers
    net = tensorflow.keras.Sequential(
        [layers.Input(SHAPE), layers.Lambda(lambda x: x * 2), layers.Flatten(), layers.Dense(3)]
    )
    net.save(tmp_path / "code.keras")
    with pytest.raises(TeacherError, match="Python code") as caught:
        load(tmp_path / "code.keras")
    assert "--trust" in str(caught.value.fix)


def test_a_file_that_is_no_keras_file(tensorflow: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.keras").write_bytes(b"not a zip")
    with pytest.raises(TeacherError, match="Keras cannot load it"):
        load(tmp_path / "bad.keras")


def test_paths_are_checked_before_tensorflow_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="no such file or folder"):
        load(tmp_path / "none.keras")
    with pytest.raises(TeacherError, match=r"no saved_model\.pb"):
        load(tmp_path)
