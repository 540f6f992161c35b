"""Synthesis as a whole on a tiny teacher: it comes nearer, repeats itself, resumes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgedistill.errors import GateError
from edgedistill.recipe import SynthesisSection
from edgedistill.reporter import QuietReporter
from edgedistill.synthesis.loop import synthesise
from edgedistill.teachers.gradients import Network
from edgedistill.teachers.preprocess import Preprocess

SHAPE = (8, 8, 1)


def teacher() -> Network:
    """Knows bright from dark, and has seen images of mean 0.5 and deviation 0.2."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 2)).train()
    with torch.no_grad():
        for _ in range(30):
            net(torch.randn(64, 1, 8, 8) * 0.4)
    return Network("tiny", net.eval(), Preprocess(1, None, (0.5,), (0.5,)), "f" * 64, torch.contiguous_format)


def student() -> nn.Module:
    torch.manual_seed(1)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(4, 2))


def choices(**more: object) -> SynthesisSection:
    values = {
        "images": 100,
        "classes": 2,
        "batch": 32,
        "steps": 3,
        "width": 4,
        "rival_steps": 2,
        "warmup": 0,
        **more,
    }
    return SynthesisSection.model_validate(values)


class Told(QuietReporter):
    """Keeps the loss of each batch, and stops where it is told to."""

    def __init__(self, stop: int = 0) -> None:
        super().__init__()
        self.losses: list[float] = []
        self.notes: list[str] = []
        self.stop = stop

    def note(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, done: int, total: int, fields: object) -> None:
        assert isinstance(fields, dict)
        self.losses.append(float(fields["loss"]))
        if done == self.stop:
            raise KeyboardInterrupt


def images(
    folder: Path, section: SynthesisSection, reporter: Told | None = None, network: Network | None = None
) -> NDArray[np.uint8]:
    folder.mkdir(exist_ok=True)
    bank = synthesise(
        network or teacher(), SHAPE, section, ("flip",), 0, folder, reporter or Told(), student=student()
    )
    return np.array(bank.images)


def test_a_generator_comes_nearer_from_batch_to_batch(tmp_path: Path) -> None:
    told = Told()
    images(tmp_path, choices(images=640, rival=0.0, prior=0.5), told)
    assert len(told.losses) == 20
    assert np.mean(told.losses[-3:]) < 0.75 * told.losses[0]


def test_more_steps_of_inversion_come_nearer(tmp_path: Path) -> None:
    losses = []
    for steps in (1, 60):
        told = Told()
        images(tmp_path / str(steps), choices(method="inversion", steps=steps, images=100, batch=100), told)
        losses += told.losses
    assert losses[1] < 0.85 * losses[0]


@pytest.mark.parametrize("more", [{}, {"contrast": 0.5}, {"method": "inversion", "rival": 1.0}])
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, more: dict[str, object]) -> None:
    first, second = (images(tmp_path / name, choices(**more)) for name in ("a", "b"))
    np.testing.assert_array_equal(first, second)
    assert len({image.tobytes() for image in first[0]}) > 120


def test_a_broken_off_synthesis_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgedistill.synthesis.loop._SAVE_S", 0.0)
    section = choices(images=160, contrast=0.2)
    whole = images(tmp_path / "whole", section)
    with pytest.raises(KeyboardInterrupt):
        images(tmp_path / "parts", section, Told(stop=2))
    told = Told()
    np.testing.assert_array_equal(images(tmp_path / "parts", section, told), whole)
    assert told.notes == ["resumes after 2 of 5 batches"] and len(told.losses) == 3


def test_the_rival_changes_what_is_made(tmp_path: Path) -> None:
    without, with_it = (images(tmp_path / str(w), choices(rival=w)) for w in (0.0, 50.0))
    assert with_it.shape[0] == 2 and without.shape[0] == 1  # views
    np.testing.assert_array_equal(with_it[0, :32], without[0, :32])  # it knows nothing yet
    assert (with_it[0, 32:] != without[0, 32:]).mean() > 0.5


def test_the_first_batches_of_a_generator_are_not_kept(tmp_path: Path) -> None:
    every, later = (images(tmp_path / str(w), choices(images=160, rival=0.0, warmup=w)) for w in (0, 2))
    np.testing.assert_array_equal(later[0, :96], every[0, 64:])


def test_a_loss_that_is_no_number_stops_it(tmp_path: Path) -> None:
    network = teacher()
    head = network.module[5]
    with torch.no_grad():
        head.weight.fill_(float("nan"))
    with pytest.raises(GateError, match="became nan in batch 1"):
        images(tmp_path, choices(), network=network)
