"""The families: known sizes, and clear answers to wrong numbers."""

from pathlib import Path

import pytest
import torch

from edgedistill import students
from edgedistill.errors import InputError, UnknownNameError
from edgedistill.ir.plan import macs
from edgedistill.lower.passes import simplify
from edgedistill.lower.trace import trace
from edgedistill.students.blocks import count_values
from edgedistill.students.dscnn import PaddedConv2d
from edgedistill.students.mobilenet import InvertedResidual


def test_resnet8_is_mlperf_tinys() -> None:
    net = students.parse("resnet").build(10, 3)
    assert count_values(net) == 78_666  # Banbury et al. 2021
    total = sum(macs(simplify(trace(net, (32, 32, 3)))).values())
    assert abs(total - 12.50e6) < 0.02e6


@pytest.mark.parametrize(
    "spec", ["resnet:width=4,depth=14", "mobilenet:width=8,depth=1,expansion=2,kernel=5"]
)
def test_families_answer_for_any_numbers(spec: str) -> None:
    net = students.parse(spec).build(7, 1)
    assert net(torch.zeros(2, 1, 16, 16)).shape == (2, 7)


def test_resolution_belongs_to_the_data() -> None:
    assert students.parse("resnet:width=8,resolution=24").resolution == 24


def test_unknown_family_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean resnet"):
        students.parse("resnets")


def test_unknown_number_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean width"):
        students.parse("resnet:widht=8")


@pytest.mark.parametrize("spec", ["resnet:width=-1", "resnet:width=x", "resnet:width"])
def test_wrong_number(spec: str) -> None:
    with pytest.raises(InputError, match="not a number above 0"):
        students.parse(spec)


def test_impossible_depth() -> None:
    with pytest.raises(InputError, match="depths are 8, 14, 20"):
        students.parse("resnet:depth=9").build(10, 3)


def test_callable_that_cannot_be_imported() -> None:
    with pytest.raises(InputError, match="cannot import"):
        students.parse("no_such.module:net").build(10, 3)


def test_callable_that_fails_is_the_users_to_repair(tmp_path: Path) -> None:
    file = tmp_path / "nets.py"
    file.write_text("def make(classes):\n    return None\n")
    with pytest.raises(InputError, match=r"calling .*make failed: TypeError.*channels"):
        students.parse(f"{file}:make").build(10, 3)


def test_dscnn_costs_less_than_mlperf_tinys() -> None:
    graph = simplify(trace(students.parse("dscnn").build(12, 1), (49, 40, 1)))
    assert sum(macs(graph).values()) == 2_499_648  # MLPerf Tiny's: 2.66 M
    assert count_values(students.parse("dscnn").build(12, 1)) < 27_000
    assert {op.kind for op in graph.ops} == {"CONV_2D", "DEPTHWISE_CONV_2D", "RESHAPE", "FULLY_CONNECTED"}


@pytest.mark.parametrize(
    "spec", ["dscnn:width=8,depth=2,halvings=2", "dscnn:width=8,frames=3,bands=5,step=3"]
)
@pytest.mark.parametrize("size", [(49, 40), (50, 41), (31, 10)])
def test_dscnn_pads_as_tflite_does(spec: str, size: tuple[int, int]) -> None:
    net = students.parse(spec).build(3, 1).eval()
    torch.manual_seed(0)
    x = torch.randn(2, 1, *size)
    graph = simplify(trace(net, (*size, 1)))
    from edgedistill.ir import interpret

    got = interpret.run(graph, {"input": x.permute(0, 2, 3, 1).numpy()})[graph.outputs[0]]
    torch.testing.assert_close(torch.from_numpy(got), net(x), rtol=1e-4, atol=1e-5)
    for op in graph.ops:
        if op.kind == "CONV_2D" and "pads" in vars(op.attrs):
            h, w = graph.tensors[op.inputs[0]].shape[1:3]
            stride = op.attrs.stride
            assert graph.tensors[op.outputs[0]].shape[1:3] == (-(-h // stride[0]), -(-w // stride[1]))


@pytest.mark.parametrize(
    ("spec", "same"),
    [
        ("resnet:width=8,width2=16,width3=32,blocks1=1,blocks2=1,blocks3=1", "resnet:width=8"),
        ("resnet:width=8,blocks1=2,blocks2=2,blocks3=2", "resnet:width=8,depth=14"),
        ("mobilenet:width=8,stem=8,head=64,blocks2=2,expansion1=4,stem_stride=1", "mobilenet:width=8"),
        ("dscnn:width=16,stem=16,kernel=3", "dscnn:width=16"),
    ],
)
def test_numbers_of_stages_default_to_the_familys_rule(spec: str, same: str) -> None:
    states = []
    for text in (spec, same):
        torch.manual_seed(0)
        states.append(students.parse(text).build(10, 3).state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_stages_own_numbers_are_its_own() -> None:
    spec = students.parse("mobilenet:width=4,width2=12,blocks1=1,blocks2=3,blocks3=1,head=20,stem_stride=2")
    built = spec.build(10, 3)
    layers = dict(built.named_modules())
    assert layers["0.0"].stride == (2, 2)
    assert built.get_parameter("6.0.weight").shape == (20, 24, 1, 1)  # the third stage has twice the second's
    assert sum(isinstance(layer, InvertedResidual) for layer in layers.values()) == 5
    assert built(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


@pytest.mark.parametrize(
    "spec", ["resnet:width4=8", "mobilenet:blocks4=1", "resnet:stages=2,depth=6,width3=8"]
)
def test_a_number_of_a_stage_that_is_not_there_is_refused(spec: str) -> None:
    with pytest.raises(InputError, match="of a stage that the student does not have"):
        students.parse(spec).build(10, 3)


@pytest.mark.parametrize("step", [1, 2, 8])
def test_a_first_kernel_of_one_value_reads_every_step(step: int) -> None:
    """Not by oneDNN's strided 1x1 kernel, which ends the process in backward (benchmarks/LOG.md)."""
    conv = PaddedConv2d(3, 5, (1, 1), (2, step))
    x = torch.randn(4, 3, 9, 17)
    y = conv(x)
    assert y.grad_fn._saved_stride == (1, 1)  # type: ignore[union-attr]
    expected = torch.einsum("nihw,oi->nohw", x[:, :, ::2, ::step], conv.weight[:, :, 0, 0])
    torch.testing.assert_close(y, expected)
