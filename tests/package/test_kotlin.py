"""The Android module's Kotlin, compiled and run: the reference's bytes, hostile labels, a self-test."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedistill.data import frontend
from edgedistill.package.languages import Picture, Recording, identical
from tests.package import kotlin, phones

pytestmark = pytest.mark.slow  # one compilation, 20 s of a processor
FLAVOURS = ("main", "litert", "onnxruntime")


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return kotlin.modules(tmp_path_factory.mktemp("android"))


@pytest.fixture(scope="session")
def program(modules: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> kotlin.Program:
    reason = kotlin.missing()
    if reason is not None:
        pytest.skip(reason)
    return kotlin.compiled(list(modules.values()), tmp_path_factory.mktemp("kotlin"))


def assets(module: Path) -> list[Path]:
    return [module / flavour / "assets" for flavour in FLAVOURS]


def test_pictures_become_the_bytes_of_the_reference(program: kotlin.Program, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    sizes = ((32, 32, 3), (13, 21, 1), (48, 30, 3))
    shapes = [(1, 1), (1, 400), (300, 2), (32, 32), (13, 21), *rng.integers(1, 200, (55, 2)).tolist()]
    cases = []
    for number, (height, width) in enumerate(shapes):
        pixels = rng.integers(0, 256, (height, width, (1, 3, 4, 2)[number % 4]), dtype=np.uint8)
        if number % 5 == 4:
            pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)
        cases.append(Picture(pixels, *sizes[number % 3]))
    results, _ = program.preprocess("pictures", cases, tmp_path)
    assert identical(cases, results) == [True] * 60
    assert len(results) == sum(len(case.expected()) for case in cases)


def test_recordings_become_the_clips_of_the_reference(program: kotlin.Program, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    cases = []
    for number in range(40):
        rate = (16_000, 8_000, 44_100, 48_000, 11_025, 22_050, 32_000, 96_000)[number % 8]
        frames = (rate, 1, rate // 3, 2 * rate + 1, rate - 1)[number % 5]
        samples = rng.normal(0, (0.4, 30, 2_000, 50_000)[number % 4], (frames, 1 + number % 2))
        whole = np.rint(samples).clip(-32768, 32767).astype(np.int16)
        cases.append(Recording(whole, rate, frontend.RATE_HZ, frontend.SAMPLES))
    results, _ = program.preprocess("sounds", cases, tmp_path)
    assert identical(cases, results) == [True] * 40


def test_the_self_test_passes_and_names_what_is_wrong(
    program: kotlin.Program, modules: dict[str, Path], tmp_path: Path
) -> None:
    told: dict[str, Any] = program.self_test("pictures", assets(modules["pictures"]))
    for runtime in ("tflite", "onnx"):
        assert (told[runtime]["passed"], told[runtime]["vectors"], told[runtime]["raw"]) == (True, 25, 9)
    assert not told["wrong"]["passed"]  # an input of golden.npz, which is a raw input too
    assert told["wrong"]["text"].startswith(
        "2 of 25 golden vectors are answered with other bits (up to 1 steps"
    )

    copies = [
        shutil.copytree(folder, tmp_path / str(n)) for n, folder in enumerate(assets(modules["pictures"]))
    ]
    with (copies[1] / "pictures_student" / "student.tflite").open("r+b") as file:
        file.seek(5_000)
        file.write(b"\xff\x00")
    raw = copies[0] / "pictures_student" / "raw-1.bin"
    raw.write_bytes(bytes(255 - value for value in raw.read_bytes()))
    told = program.self_test("pictures", copies)
    assert "student.tflite is not the file that was built" in told["tflite"]["text"]
    assert "raw-1.bin is pre-processed to other values" in told["tflite"]["text"]
    assert "not the file" not in told["onnx"]["text"]


def test_labels_and_scores_are_those_of_the_answer(program: kotlin.Program, modules: dict[str, Path]) -> None:
    told: dict[str, Any] = program.self_test("pictures", assets(modules["pictures"]))
    assert tuple(told["labels"]) == phones.HOSTILE
    contract = phones.pictures()
    bytes_ = (modules["pictures"] / "main/assets/pictures_student/golden-answers.bin").read_bytes()
    answer = np.frombuffer(bytes_, np.int8).reshape(-1, len(phones.HOSTILE))[-1]
    logits = contract.output_quant.scale * (answer.astype(float) - contract.output_quant.zero_point)
    powers = np.exp(logits - logits.max())
    order = np.argsort(-answer.astype(int), kind="stable")
    for runtime in ("tflite", "onnx"):
        found = told[runtime]["predictions"]
        assert [row[0] for row in found] == order.tolist()
        assert [row[1] for row in found] == [phones.HOSTILE[i] for i in order]
        np.testing.assert_allclose([row[2] for row in found], logits[order], rtol=1e-6)
        np.testing.assert_allclose([row[3] for row in found], (powers / powers.sum())[order], rtol=1e-5)


def test_a_recording_gets_its_label_in_both_runtimes(
    program: kotlin.Program, modules: dict[str, Path]
) -> None:
    told: dict[str, Any] = program.self_test("sounds", assets(modules["sounds"]))
    bytes_ = (modules["sounds"] / "main/assets/sounds_student/golden-answers.bin").read_bytes()
    contract = phones.sounds()
    best = np.frombuffer(bytes_, np.int8).reshape(-1, len(contract.labels))[-6].argmax()
    for runtime in ("tflite", "onnx"):
        assert (told[runtime]["passed"], told[runtime]["raw"], told[runtime]["rate"]) == (True, 8, 44_100)
        assert told[runtime]["label"] == contract.labels[best]
