"""Branches of one network (BYOT): their loss, their places, and that they are left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgedistill.distill import mix as mixes
from edgedistill.distill.branches import Branches, places
from edgedistill.distill.loop import fit
from edgedistill.distill.losses.branch import byot
from edgedistill.errors import InputError
from edgedistill.lower.passes import simplify
from edgedistill.lower.trace import trace
from edgedistill.quant import ranges
from edgedistill.quant.execute import GraphNet
from edgedistill.reporter import QuietReporter
from edgedistill.teachers.types import NOBODY
from tests.distill.test_loop import schedule, student, toy
from tests.distill.test_mix import section

SHAPES = {
    "stem": (4, 8, 8),
    "b1": (4, 8, 8),
    "b2": (8, 4, 4),
    "b3": (16, 2, 2),
    "pool": (16, 1, 1),
    "fc": (2,),
}


def test_closed_form() -> None:
    out, labels = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    logits, own, deepest = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 1.0]])
    found = byot(out, labels, deepest, [(logits, own)] * 2, temperature=2.0, alpha=0.25, hint=0.1)
    p = torch.softmax(torch.tensor([1.0, 0.0]), 0)
    kl = float((p * (p / 0.5).log()).sum())
    one = 0.75 * np.log(2) + 0.25 * 4 * kl + 0.1 * (1 + 4)
    assert float(found) == pytest.approx(2 * one, rel=1e-5)


def test_the_deepest_is_a_target_and_does_not_move() -> None:
    out, deepest = torch.randn(3, 2, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    logits, own = torch.randn(3, 2, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    byot(out, torch.tensor([0, 1, 0]), deepest, [(logits, own)]).backward()
    assert out.grad is None and deepest.grad is None
    assert logits.grad is not None and own.grad is not None and bool((own.grad != 0).all())


def test_a_branch_answers_with_logits_and_a_feature_like_the_deepest() -> None:
    branches = Branches([(4, 8, 8), (8, 4, 4)], (16, 2, 2), 3)
    answers = branches([torch.randn(5, 4, 8, 8), torch.randn(5, 8, 4, 4)])
    assert [(tuple(a.shape), tuple(b.shape)) for a, b in answers] == [((5, 3), (5, 16))] * 2
    seen = branches.bottlenecks[0](torch.randn(1, 4, 8, 8))
    assert tuple(seen.shape) == (1, 16, 2, 2)  # brought to the deepest layer's sides by a stride


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (("auto",), ["b1", "b2", "b3"]),
        (("last",), ["b2", "b3"]),
        (("stem", "b2"), ["stem", "b2", "b3"]),
        (("auto", "b1"), ["b1", "b2", "b3"]),
    ],
)
def test_places(wanted: tuple[str, ...], found: list[str]) -> None:
    assert [pair.student for pair in places(wanted, SHAPES, "taps")] == found


@pytest.mark.parametrize(
    ("wanted", "shapes", "text"),
    [
        (("fc",), SHAPES, r"fc is no feature map.*before b3.*'b1', 'b2'"),
        (("b3",), SHAPES, r"no layer is shallower.*before b3"),
        (("auto",), {"b": (4, 8, 8)}, r"no layer is shallower than the deepest.*taps"),
        (("auto",), {"fc": (4,)}, r"no layer is shallower.*student with feature maps"),
        (("b4",), SHAPES, r"the student has no layer 'b4'.*nearest: b\d"),
    ],
)
def test_places_that_are_none(wanted: tuple[str, ...], shapes: dict[str, tuple[int, ...]], text: str) -> None:
    with pytest.raises(InputError, match=f"(?s){text}"):
        places(wanted, shapes, "distill.losses[0].taps")


def test_trains_without_a_teacher_and_leaves_the_branches_behind(tmp_path: Path) -> None:
    """In float and in int8: the branches see real values there, and move on."""
    net, data = student(), toy()
    choices = section({"name": "hard-labels"}, {"name": "byot"})
    mix = mixes.make(choices, net, NOBODY, data, 0)
    assert not mix.taught and not mixes.asks_teacher(choices)
    assert mix.student_layers == ("blocks.0", "blocks.1", "blocks") and not mix.teacher_layers
    work = [tmp_path / name for name in ("float", "int8")]
    for folder in work:
        folder.mkdir()
    logs = fit(net, data, schedule(epochs=4), QuietReporter(), work[0], mix=mix)
    assert logs[-1].loss < logs[0].loss
    assert set(net.state_dict()) == set(student().state_dict())
    graph = ranges.separate_fixed_operands(simplify(trace(net, data.image_shape, data.labels)))
    calibration = (data.train.images_NHWC[:64].astype(np.float32) - 128) / 64
    quantised = GraphNet(graph, ranges.choose(graph, ranges.observe(graph, calibration, 99.999)))
    mix.in_graph(net, quantised, data)
    term = list(mix.terms)[1]
    assert all(pair.student.startswith("outputs.") and pair.scale != 1 for pair in term.pairs)
    before = [p.clone() for p in mix.parameters()]
    (log,) = fit(
        quantised, data, schedule(stage="quantise", lr=1e-3, epochs=1), QuietReporter(), work[1], mix=mix
    )
    assert np.isfinite(log.loss) and log.loss < 2 * logs[-1].loss
    assert any(not torch.equal(a, b) for a, b in zip(before, mix.parameters(), strict=True))


def test_a_branch_teaches_the_shared_layers() -> None:
    net, data = student(), toy()
    mix = mixes.make(section({"name": "byot"}), net, NOBODY, data, 0)
    from edgedistill.distill.evaluate import to_input
    from edgedistill.teachers.hooks import watching

    with watching(net, mix.student_layers) as layers:
        out = net(to_input(data.train.images_NHWC[:8]))
    batch = mixes.Batch(None, torch.from_numpy(data.train.labels[:8]), torch.arange(8), {})
    sum(mix(out, layers, batch, None).values()).backward()  # type: ignore[union-attr]
    assert isinstance(net.head, nn.Linear) and net.head.weight.grad is None  # only as a target
    assert float(F.normalize(net.stem.weight.grad.flatten(), dim=0).norm()) > 0  # type: ignore[union-attr, operator]


@pytest.mark.parametrize(
    ("wanted", "shapes"),
    [
        (("pool",), SHAPES),  # behind the deepest map, and no map itself
        (("pool",), {"pool": (16, 1, 1), "fc": (2,)}),  # no map at all
        (("late",), {**SHAPES, "late": (16, 2, 2)}),
    ],
)
def test_a_layer_that_is_not_shallow_is_refused(
    wanted: tuple[str, ...], shapes: dict[str, tuple[int, ...]]
) -> None:
    with pytest.raises(InputError, match="a branch has no place"):
        places(wanted, shapes, "here")
