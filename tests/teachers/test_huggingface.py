"""Classifiers of transformers, from folders that save_pretrained wrote; no hub is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgedistill import teachers
from edgedistill.errors import TeacherError
from edgedistill.recipe import TeacherSection
from edgedistill.teachers import torchvision

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
torchvision.make_importable()
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)


def resnet() -> Any:
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=4
    )
    return transformers.ResNetForImageClassification(config)


def vit() -> Any:
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=16,
        patch_size=8,
        num_labels=4,
    )
    return transformers.ViTForImageClassification(config)


def mobilenet() -> Any:
    config = transformers.MobileNetV2Config(depth_multiplier=0.35, image_size=32, num_labels=4)
    return transformers.MobileNetV2ForImageClassification(config)


def load(spec: str, **more: Any) -> Any:
    section = TeacherSection(spec=f"hf:{spec}", normalisation="half", **more)
    return teachers.load(section, classes=4, image_shape=(32, 32, 3))


@pytest.mark.parametrize("make", [resnet, mobilenet])
def test_a_folder_answers_as_transformers_does(make: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = make().eval()
    net.save_pretrained(tmp_path)
    x = torch.from_numpy((IMAGES.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5).float()
    with torch.no_grad():
        expected = net(x).logits.numpy()
    np.testing.assert_allclose(load(str(tmp_path)).logits(IMAGES), expected, rtol=1e-4, atol=1e-4)


def test_images_are_resized_to_what_a_vit_takes(tmp_path: Path) -> None:
    vit().save_pretrained(tmp_path)
    assert load(str(tmp_path)).logits(IMAGES).shape == (3, 4)


def test_the_same_weights_in_another_folder_are_the_same_teacher(tmp_path: Path) -> None:
    net = resnet()
    for name in ("a", "b"):
        net.save_pretrained(tmp_path / name)
    assert load(str(tmp_path / "a")).fingerprint == load(str(tmp_path / "b")).fingerprint


def test_a_name_that_is_not_in_the_cache_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(TeacherError, match="transformers cannot load it") as caught:
        load("someone/no-such-model")
    assert "save_pretrained" in str(caught.value.fix)


def test_a_folder_without_weights(tmp_path: Path) -> None:
    resnet().config.save_pretrained(tmp_path)
    with pytest.raises(TeacherError, match="transformers cannot load it"):
        load(str(tmp_path))
