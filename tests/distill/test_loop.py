"""The loop learns, repeats itself to the bit, and goes on from a kill as if nothing had been."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgedistill.data.types import ImageData, Split
from edgedistill.distill import views as view_cache
from edgedistill.distill.loop import Schedule, fit, learning_rate
from edgedistill.errors import GateError
from edgedistill.reporter import QuietReporter
from edgedistill.students import STUDENTS


def toy() -> ImageData:
    """Two classes told apart by brightness of the upper half."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 120, (240, 8, 8, 1)).astype(np.uint8)
    labels = np.arange(240) % 2
    images[labels == 1, :4] += 100
    parts = [Split(images[a:b], labels[a:b].astype(np.int64)) for a, b in ((0, 160), (160, 200), (200, 240))]
    return ImageData("toy", *parts, labels=("dark", "bright"), fingerprint="toy")


def teacher(images: np.ndarray) -> np.ndarray:
    bright = images[:, :4].mean((1, 2, 3)) / 20 - 5
    return np.stack([-bright, bright], 1).astype(np.float32)


def schedule(**changes: object) -> Schedule:
    numbers = dict(
        stage="distill", epochs=3, batch=32, lr=0.05, temperature=2.0, alpha=0.5, seed=3, precision="float32"
    )
    return Schedule(**{**numbers, **changes})  # type: ignore[arg-type]


def student() -> nn.Module:
    torch.manual_seed(0)
    return STUDENTS["resnet"].make(2, 1, width=4)


def weights(net: nn.Module) -> torch.Tensor:
    return torch.cat([v.flatten().double() for v in net.state_dict().values()])


def test_learns_and_logs(tmp_path: Path) -> None:
    net = student()
    logs = fit(net, toy(), schedule(epochs=8), QuietReporter(), tmp_path, teacher=teacher)
    assert [log.epoch for log in logs] == list(range(1, 9))
    assert logs[-1].loss < logs[0].loss
    assert max(log.validation_accuracy or 0 for log in logs) > 0.9


def test_same_seed_same_bits(tmp_path: Path) -> None:
    nets = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        net = student()
        fit(net, toy(), schedule(), QuietReporter(), tmp_path / name, teacher=teacher)
        nets.append(weights(net))
    assert torch.equal(*nets)


class _Killed(Exception):
    pass


class _KillsInEpoch3(QuietReporter):
    def progress(self, done: int, total: int, fields: object) -> None:
        if done == 2 * total // 3 + 2:
            raise _Killed


def test_resume_after_a_kill_gives_the_same_bits(tmp_path: Path) -> None:
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole, broken = student(), student()
    fit(whole, toy(), schedule(), QuietReporter(), tmp_path / "whole", teacher=teacher)
    with pytest.raises(_Killed):
        fit(broken, toy(), schedule(), _KillsInEpoch3(), tmp_path / "broken", teacher=teacher)
    again = student()
    logs = fit(again, toy(), schedule(), QuietReporter(), tmp_path / "broken", teacher=teacher)
    assert torch.equal(weights(whole), weights(again))
    assert len(logs) == 3


def test_early_stop(tmp_path: Path) -> None:
    logs = fit(
        student(), toy(), schedule(epochs=40, patience=2, lr=1e-9), QuietReporter(), tmp_path, teacher=teacher
    )
    assert len(logs) < 40


class _Falls:
    """A validation that is best after the first epoch."""

    def __init__(self) -> None:
        self.values = iter([0.9, 0.8, 0.7])
        self.averages: list[torch.Tensor] = []

    def __call__(self, net: nn.Module, average: dict[str, torch.Tensor], data: ImageData) -> float:
        self.averages.append(torch.cat([v.flatten().double() for v in average.values()]))
        return next(self.values)


@pytest.mark.parametrize("patience, kept", [(0, 2), (9, 0)])
def test_the_last_epoch_is_kept_unless_patience_asks_for_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: int, kept: int
) -> None:
    falls = _Falls()
    monkeypatch.setattr("edgedistill.distill.loop._validate", falls)
    net = student()
    fit(net, toy(), schedule(patience=patience), QuietReporter(), tmp_path, teacher=teacher)
    assert torch.equal(weights(net), falls.averages[kept])


def test_loss_that_is_no_number(tmp_path: Path) -> None:
    def broken(images: np.ndarray) -> np.ndarray:
        return np.full((len(images), 2), np.nan, np.float32)

    with pytest.raises(GateError, match=r"the loss became nan in epoch 1, step 1"):
        fit(student(), toy(), schedule(), QuietReporter(), tmp_path, teacher=broken)


def test_learning_rate_rises_and_falls() -> None:
    values = [learning_rate(schedule(), step, 100) for step in range(100)]
    assert values[0] == pytest.approx(0.05 * 0.05) and max(values) == pytest.approx(0.05)
    assert values.index(max(values)) == 20 and values[-1] < 1e-3


def test_views_resume_and_hold_the_teachers_answers(tmp_path: Path) -> None:
    data = toy()
    made = view_cache.compute(tmp_path, data.train, teacher, 2, 3, ("pad-crop",), 0, QuietReporter())
    assert made.images.shape == (3, 160, 8, 8, 1)
    np.testing.assert_array_equal(made.logits[2], teacher(np.asarray(made.images[2])))
    assert not np.array_equal(made.images[0], made.images[1])
    loaded = view_cache.load(tmp_path)
    indices = np.array([5, 9])
    seen = [loaded.batch(epoch, indices, 0)[0] for epoch in range(3)]
    assert len({image[0].tobytes() for image in seen}) == 3  # every view in turn


def test_views_whose_files_are_gone_are_computed_again(tmp_path: Path) -> None:
    """A kill between moving the files into the store and publishing them leaves only done.json."""
    data = toy()
    view_cache.compute(tmp_path, data.train, teacher, 2, 1, (), 0, QuietReporter())
    (tmp_path / "images.npy").unlink()
    again = view_cache.compute(tmp_path, data.train, teacher, 2, 1, (), 0, QuietReporter())
    np.testing.assert_array_equal(again.images[0], data.train.images_NHWC)
