"""Jitter, generator, bank and the data set made of it."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgedistill.data import cache
from edgedistill.recipe import DataSection
from edgedistill.synthesis import dataset
from edgedistill.synthesis.bank import Bank
from edgedistill.synthesis.generator import NOISE, Generator
from edgedistill.synthesis.jitter import jitter


def test_jitter_moves_by_an_eighth_at_most_and_lets_gradients_through() -> None:
    image = torch.arange(256.0).reshape(1, 1, 16, 16).requires_grad_()
    seen = set()
    for seed in range(60):
        torch.manual_seed(seed)
        moved = jitter(image, mirror=False)
        row, column = divmod(int(moved[0, 0, 8, 8]), 16)
        seen.add((row - 8, column - 8))
    assert max(abs(v) for pair in seen for v in pair) == 2 and len(seen) > 15
    jitter(image, mirror=False).sum().backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None and float(image.grad.sum()) == 256


def test_about_half_of_the_images_are_mirrored() -> None:
    ramp = torch.arange(16.0).expand(200, 1, 16, 16)
    torch.manual_seed(0)
    falling = jitter(ramp, mirror=True)[:, 0, 8, 8] > jitter(ramp, mirror=True)[:, 0, 8, 9]
    moved = jitter(ramp, mirror=True)[:, 0, 8]
    share = float((moved[:, 6] > moved[:, 7]).float().mean())
    assert 0.4 < share < 0.6 and falling.dtype == torch.bool


def test_the_generator_makes_pixels_of_any_size() -> None:
    for shape in ((8, 8, 1), (10, 14, 3)):
        images = Generator(shape, 4)(torch.randn(3, NOISE)).detach()
        assert images.shape == (3, shape[2], *shape[:2])
        assert 0 <= float(images.min()) < float(images.max()) <= 1


def brightness(images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    mean = images_NHWC.mean(axis=(1, 2, 3), dtype=np.float32)
    return np.stack([mean, 255 - mean], axis=1)


def test_the_bank_keeps_images_and_answers_of_both_views(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(6, 8, 8, 1), dtype=np.uint8)
    bank = Bank.open(tmp_path, 2, 10, (8, 8, 1), 2)
    bank.put(4, images, brightness, ("translate",), rng)
    bank.flush()
    again = Bank.open(tmp_path, 2, 10, (8, 8, 1), 2)
    np.testing.assert_array_equal(again.images[0, 4:], images)
    assert not (again.images[1, 4:] == images).all()
    np.testing.assert_array_equal(again.answers[:, 4:], [brightness(v[4:]) for v in again.images])
    sampled, answers = again.sample(10, 10, rng)
    np.testing.assert_array_equal(answers[4:], brightness(sampled[4:]))
    assert Bank.open(tmp_path, 2, 11, (8, 8, 1), 2).images.max() == 0  # another size: a new bank


def test_the_data_set_is_divided_and_labelled_by_the_teacher(tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, size=(200, 4, 4, 1), dtype=np.uint8)
    bank = Bank(images[None], brightness(images)[None])
    names = ("bright", "dark", "grey")
    section = DataSection(source="synthetic", validation_share=0.1, test_share=0.2)
    dataset.write(tmp_path, bank, 150, names, section, 0, "made up")
    data = cache.load(tmp_path)
    assert data is not None
    assert [len(s) for s in (data.train, data.validation, data.test)] == [105, 15, 30]
    together = np.concatenate([s.images_NHWC for s in (data.train, data.validation, data.test)])
    assert {image.tobytes() for image in together} == {image.tobytes() for image in images[:150]}
    np.testing.assert_array_equal(data.test.labels, brightness(np.asarray(data.test.images_NHWC)).argmax(1))
    assert data.warnings == ("the teacher takes no synthetic image for grey",)
