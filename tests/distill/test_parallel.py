"""Two processes on the CPU give what one gives, and go on with each other's checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from edgedistill.distill import parallel
from edgedistill.errors import InputError
from tests.distill import together

pytest.importorskip("accelerate", reason="accelerate is not installed (pip install 'edgedistill[scale]')")

Kept = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parallel")


@pytest.fixture(scope="module")
def kept(folder: Path) -> Kept:
    """What two processes made of the trainings of together.py."""
    together.train("relations", folder / "begun-alone", epochs=3, until=1)
    workers = together.start(["-m", "tests.distill.together", str(folder)], 2, cwd=together.ROOT)
    ends = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], ends
    return torch.load(folder / "together.pt", weights_only=True)


def distance(weights: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> float:
    """The largest difference, by the largest value of the tensor that it is in."""
    return max(
        float(
            (value.double() - others[name].double()).abs().max()
            / others[name].double().abs().max().clamp_min(0.1)
        )
        for name, value in weights.items()
    )


@pytest.mark.parametrize(
    "name, losses, batch", [("hinton", "hinton", 24), ("uneven", "hinton", 25), ("mix", "relations", 24)]
)
def test_two_processes_train_as_one(kept: Kept, tmp_path: Path, name: str, losses: str, batch: int) -> None:
    """BatchNorm, a batch that 2 does not divide, relations, a projector and a memory bank."""
    net, logs = together.train(losses, tmp_path, batch=batch)
    assert kept[name]["losses"] == pytest.approx([log.loss for log in logs], rel=1e-4)
    assert distance(kept[name]["weights"], net.state_dict()) < 1e-3


def test_two_processes_learn_the_same_scales(kept: Kept, tmp_path: Path) -> None:
    net, logs = together.train_int8(tmp_path)
    assert kept["int8"]["losses"] == pytest.approx([log.loss for log in logs], rel=1e-3)
    assert distance(kept["int8"]["weights"], net.state_dict()) < 1e-2


def test_two_processes_go_on_from_one(kept: Kept, tmp_path: Path) -> None:
    net, logs = together.train("relations", tmp_path, epochs=3)
    assert kept["resumed"]["losses"] == pytest.approx([log.loss for log in logs], rel=1e-4)
    assert distance(kept["resumed"]["weights"], net.state_dict()) < 1e-3


def test_one_process_goes_on_from_two(kept: Kept, folder: Path, tmp_path: Path) -> None:
    whole, _ = together.train("relations", tmp_path, epochs=3)
    assert (folder / "begun-together" / "checkpoint.pt").exists()
    net, logs = together.train("relations", folder / "begun-together", epochs=3)
    assert [log.epoch for log in logs] == [1, 2, 3]
    assert distance(net.state_dict(), whole.state_dict()) < 1e-3


def test_parts_make_the_whole() -> None:
    parts = [parallel.Team(rank, 3).part(10) for rank in range(3)]
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(10))


def test_a_batch_smaller_than_the_team() -> None:
    with pytest.raises(InputError, match="a batch of 2 examples cannot be divided among 3 processes"):
        parallel.Team(0, 3).check_batch(2, "distill.batch")


def test_alone_nothing_is_touched() -> None:
    """One process computes with the very tensors that it had before there were teams."""
    alone, x = parallel.Team(), torch.ones(4, 2)
    assert alone.whole(x, 4) is x and alone.part(4) == slice(0, 4)
    state = torch.get_rng_state()
    with alone.forward(3):
        torch.nn.functional.batch_norm(x, None, None, training=True)
    assert torch.equal(state, torch.get_rng_state())


def test_a_process_that_accelerate_started_alone_tells_its_own_mistakes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parallel.launch, "launched", lambda: True)
    monkeypatch.setattr(parallel, "_join", lambda: parallel.Team())

    @parallel.joined()
    def wrong() -> None:
        raise InputError("the real message", where="here", fix="there")

    with pytest.raises(InputError, match="the real message"):
        wrong()
