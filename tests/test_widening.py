"""Layers in int16 by name, or only where int8 costs too much; what cannot be is said before training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgedistill import recipe as recipes
from edgedistill import students, target, widening
from edgedistill.build import trace_student
from edgedistill.data.types import ImageData
from edgedistill.deliver import Run
from edgedistill.distill import evaluate
from edgedistill.errors import InputError, UnknownNameError, UnsupportedOpError
from edgedistill.ir import serial
from edgedistill.ir.graph import Graph
from edgedistill.ir.verify import inexact
from edgedistill.lower.student import float_graph
from edgedistill.quant.execute import GraphNet
from edgedistill.recipe import QuantiseSection, Recipe
from edgedistill.record import Int16
from edgedistill.reporter import QuietReporter
from edgedistill.sizing import fits
from edgedistill.store import Store
from edgedistill.training import quantise
from tests.distill import together
from tests.test_phases import network, small


def built(recipe: Recipe, folder: Path, data: ImageData | None = None) -> tuple[Graph, Int16 | None]:
    """The integer graph of a student that is not trained before, and what the record says of int16."""
    run = Run(recipe, Store(folder), QuietReporter(), hashes={"distill": "untrained"})
    torch.manual_seed(0)
    spec = students.parse(recipe.student.spec)
    weights = {name: value.numpy() for name, value in spec.build(3, 1).state_dict().items()}
    _, integer, _ = quantise(run, spec, data or together.data(), together.TEACHER, weights)
    return integer, run.int16[-1] if run.int16 else None


class Residual(nn.Module):
    """An addition of vectors, whose operands cannot be int16 where it is not."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 16))
        self.second = nn.Linear(16, 16)
        self.last = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.first(x))
        answer: torch.Tensor = self.last(torch.relu(y + self.second(y)))
        return answer


def residual(classes: int, channels: int) -> nn.Module:
    """A student by its name."""
    return Residual()


def agreeing(student: nn.Module | None = None) -> ImageData:
    """Validation labels are what the float student answers, just so: it knows all, and int8 only some."""
    data = together.data()
    torch.manual_seed(0)
    net = GraphNet(float_graph((student or network()).eval(), data.image_shape, data.labels))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2000, *data.image_shape)).astype(np.uint8)
    logits = np.sort(evaluate.logits(net, images), 1)
    images = images[np.argsort(logits[:, -1] - logits[:, -2])[:100]]
    labels = evaluate.logits(net, images).argmax(1)
    return replace(data, validation=replace(data.validation, images_NHWC=images, labels=labels))


def test_named_layers_are_int16_and_told(tmp_path: Path) -> None:
    recipe = small(**{"quantise.int16": ("0",), "quantise.epochs": 1})
    integer, told = built(recipe, tmp_path)
    assert told is not None and told.chosen_by == "name" and told.layers == ("0",)
    wide = [name for name in integer.activations() if integer.tensors[name].dtype == "int16"]
    assert list(told.tensors) == wide and len(wide) == 3 and told.activations == len(integer.activations())
    assert inexact(integer) == () and "int16, by name: 0; validation accuracy" in told.why
    again, found = built(recipe, tmp_path)  # kept, with what is told
    assert serial.to_bytes(again) == serial.to_bytes(integer) and found == told


def test_auto_changes_nothing_where_int8_is_good_enough(tmp_path: Path) -> None:
    plain, nothing = built(small(), tmp_path / "plain")
    integer, told = built(small(**{"quantise.int16": "auto", "quantise.int16_loss": 100}), tmp_path / "auto")
    assert serial.to_bytes(integer) == serial.to_bytes(plain) and nothing is None
    assert told is not None and told.layers == () and told.why.startswith("int8 throughout: int8 costs ")


def test_auto_takes_layers_until_the_loss_is_small(tmp_path: Path) -> None:
    data, keys = agreeing(), {"quantise.epochs": 0, "quantise.percentile": 60.0}
    lossy = {**keys, "quantise.int16": "auto", "quantise.int16_loss": 2.0}
    integer, told = built(small(**lossy), tmp_path, data)
    assert told is not None and told.layers == tuple(step.layer for step in told.steps) != ()
    assert told.student_float == 1.0 and told.student_int8 < 0.98 and told.accuracy > told.student_int8
    falling = [step.divergence for step in told.steps]
    assert falling == sorted(falling, reverse=True)
    assert all(step.accuracy < 0.98 for step in told.steps[:-1])  # it stops where accuracy suffices
    assert inexact(integer) == () and told.why.startswith("int16, because int8 costs ")


def test_auto_leaves_out_layers_that_cannot_be_int16_alone(tmp_path: Path) -> None:
    """Operands of an addition of vectors that is int8 cannot be int16."""
    torch.manual_seed(0)
    data = agreeing(Residual())
    keys = {"student.spec": "tests.test_widening:residual", "quantise.epochs": 0, "quantise.percentile": 75.0}
    recipe = small(**keys, **{"quantise.int16": "auto", "quantise.int16_loss": 0.0})
    integer, told = built(recipe, tmp_path, data)
    assert told is not None and told.layers[0] == "add" and inexact(integer) == ()
    with pytest.raises(UnsupportedOpError, match="only images can"):
        built(small(**keys, **{"quantise.int16": ("second",)}), tmp_path, data)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("export.formats", ("tflite", "coreml"), "Core ML cannot hold them: its quantize takes int8 alone"),
        ("export.onnx_form", "qdq", "the QDQ form cannot hold them exactly"),
        ("quantise.scales", "learned", "their scales are observed"),
    ],
)
def test_what_cannot_hold_int16_is_said_before_training(key: str, value: object, text: str) -> None:
    widening.check(recipes.resolve(None, {key: value}))  # alone it can be
    for layers in (("stem",), "auto"):
        with pytest.raises(InputError, match=f"int16 activations are asked for, and {text}") as error:
            widening.check(recipes.resolve(None, {key: value, "quantise.int16": layers}))
        assert error.value.where == key and error.value.exit_code == 2


def test_an_unknown_layer_is_found_with_the_untrained_student(tmp_path: Path) -> None:
    recipe = small(**{"quantise.int16": ("00",)})
    run = Run(recipe, Store(tmp_path), QuietReporter())
    graph = trace_student(
        run, students.parse(recipe.student.spec), ("a", "b", "c"), together.data().image_shape
    )
    with pytest.raises(UnknownNameError, match="no layer named '00'"):
        fits.check(graph, [target.load("android-arm64")], recipe)
    named = small(**{"quantise.int16": ("0",)})
    more = fits.check(graph, [target.load("android-arm64")], named)["android-arm64"].arena_bytes
    assert more > fits.check(graph, [target.load("android-arm64")], small())["android-arm64"].arena_bytes


def test_recipes_take_a_list_or_auto() -> None:
    assert QuantiseSection(int16="auto").int16 == "auto"
    assert recipes.resolve(None, {"quantise.int16": ["a", "b*"]}).quantise.int16 == ("a", "b*")
    with pytest.raises(InputError, match="int16"):
        recipes.resolve(None, {"quantise.int16": "some"})
