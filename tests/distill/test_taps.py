"""Taps find layers by name and by resolution, and say what is near when they don't."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgedistill.distill import taps
from edgedistill.distill.taps import Pair, Shapes
from edgedistill.errors import InputError
from edgedistill.teachers.architectures import ResNet
from edgedistill.teachers.hooks import watching
from tests.distill.test_loop import student, toy

STUDENT: Shapes = {
    "stem": (4, 8, 8),
    "blocks.0": (4, 8, 8),
    "blocks.1": (8, 4, 4),
    "pool": (8, 1, 1),
    "head": (2,),
}
TEACHER: Shapes = {"a": (9, 8, 8), "layer1": (9, 8, 8), "layer2": (7, 4, 4), "odd": (7, 3, 3), "fc": (2,)}


def resolve(*texts: str, many: bool = False, teacher: Shapes = TEACHER) -> tuple[Pair, ...]:
    return taps.resolve(texts, STUDENT, teacher, many=many, where="distill.losses[0].taps")


def test_the_last_layer_of_every_resolution() -> None:
    assert taps.stages(STUDENT) == {(8, 8): "blocks.0", (4, 4): "blocks.1", (1, 1): "pool"}
    decoder = {"down": (4, 4, 4), "up": (4, 8, 8), "again": (4, 4, 4)}
    assert taps.stages(decoder) == {(8, 8): "up", (4, 4): "again"}


def test_pairs_by_resolution_and_by_name() -> None:
    both = (Pair("blocks.0", ("layer1",)), Pair("blocks.1", ("layer2",)))
    assert resolve("auto") == both and resolve("last") == both[1:]
    assert resolve("stem <- a", "head <- fc") == (Pair("stem", ("a",)), Pair("head", ("fc",)))
    assert resolve("blocks.1 <- a + layer2", many=True) == (Pair("blocks.1", ("a", "layer2")),)
    assert resolve("auto", many=True) == (Pair("blocks.1", ("layer1", "layer2")),)


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("blcks.0 <- layer1", "the student has no layer 'blcks.0'", "blocks.0 [4,8,8]"),
        ("blocks.0 <- layr2", "the teacher has no layer 'layr2'", "layer2 [7,4,4]"),
        ("blocks.0 <- zzzzzz", "the teacher has no layer 'zzzzzz'", "layer1 [9,8,8], layer2 [7,4,4]"),
        ("blocks.0", "'blocks.0' names no pair of layers", "STUDENT_LAYER <- TEACHER_LAYER"),
        ("blocks.0 <- ", "names no pair of layers", "auto"),
        ("blocks.0 <- a + layer1", "names 2 teacher layers for a loss that takes one", "many-to-one"),
    ],
)
def test_a_tap_that_does_not_exist(text: str, what: str, fix: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve(text)
    assert what in caught.value.what and fix in (caught.value.fix or "")
    assert caught.value.where == "distill.losses[0].taps" and caught.value.exit_code == 2


def test_no_resolution_in_common_names_what_there_is() -> None:
    with pytest.raises(InputError, match=r"student: blocks\.0 \[4,8,8\].*teacher: conv \[3,7,7\]"):
        resolve("auto", teacher={"conv": (3, 7, 7)})
    with pytest.raises(InputError, match="teacher: no feature maps"):
        resolve("auto", teacher={"tokens": (49, 16)})


def check(own: str, other: str, maps_only: bool = False) -> None:
    taps.check_shapes(Pair(own, (other,)), STUDENT, TEACHER, maps_only=maps_only, where="here")


def test_shapes_that_can_and_cannot_be_matched() -> None:
    check("blocks.1", "layer1")  # 4 and 8: the larger is averaged
    check("head", "fc")
    for own, other, maps_only in (
        ("blocks.0", "odd", False),
        ("blocks.0", "fc", False),
        ("head", "fc", True),
    ):
        with pytest.raises(
            InputError, match=rf"{own} \[.*\] and the teacher's {other} \[.*cannot be matched"
        ):
            check(own, other, maps_only)


def test_larger_maps_are_averaged() -> None:
    large, small = torch.arange(16.0).view(1, 1, 4, 4), torch.zeros(1, 3, 2, 2)
    a, b = taps.same_sides(large, small)
    assert a.flatten().tolist() == [2.5, 4.5, 10.5, 12.5] and torch.equal(b, small)
    assert taps.same_sides(small, large)[1].shape == (1, 1, 2, 2)
    vector = torch.zeros(2, 5)
    assert taps.same_sides(vector, vector) == (vector, vector)


def test_watching_changes_nothing_and_leaves_nothing() -> None:
    torch.manual_seed(0)
    net = ResNet(1, (4, 6), 1, 3).eval()
    x = torch.randn(2, 1, 8, 8)
    expected = net(x)
    with watching(net, ("layer1", "linear")) as seen:
        found = net(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert seen["layer1"].shape == (2, 4, 8, 8) and torch.equal(seen["linear"], found)
    assert all(not layer._forward_hooks for layer in net.modules())
    kept = dict(seen)
    net(x + 1)
    assert all(torch.equal(seen[name], kept[name]) for name in kept)


def test_layers_with_other_answers_than_a_tensor() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.indices, self.fc = nn.LSTM(3, 4), nn.Identity(), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y, _ = self.lstm(x)
            self.indices(y.argmax(2))
            return self.fc(y)  # type: ignore[no-any-return]

    with watching(Odd(), None) as seen:
        pass
    assert seen == {}
    net = Odd()
    with watching(net, None) as seen:
        net(torch.zeros(5, 1, 3))
    assert {name: tuple(value.shape) for name, value in seen.items()} == {"lstm": (5, 1, 4), "fc": (5, 1, 2)}


def test_the_students_shapes_leave_it_as_it_was() -> None:
    net = student().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    shapes = taps.student_shapes(net, toy().train.images_NHWC[:2])
    assert shapes["blocks.0"] == (4, 8, 8) and shapes["head"] == (2,) and net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
