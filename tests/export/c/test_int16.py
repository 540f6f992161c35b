"""C on int16: dozens of random graphs answer as the interpreter does, under AddressSanitizer and UBSan."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgedistill.errors import UnsupportedOpError
from edgedistill.export import c
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import Family, run
from tests.export.c.compiled import ARM, ARM_VARIANTS, HERE, VARIANTS, Machine, outputs
from tests.export.test_int16 import inputs, layer, one_weight
from tests.int16_graphs import mixed, tail


def answered(
    nets: list[Graph], folder: Path, flags: tuple[str, ...], family: Family, machine: Machine
) -> None:
    given = [inputs(net, i) for i, net in enumerate(nets)]
    for net, x, y in zip(nets, given, outputs(nets, given, folder, flags, family, machine), strict=True):
        expected = run(net, {net.inputs[0]: x}, family)[net.outputs[0]]
        np.testing.assert_array_equal(y, expected, err_msg=net.name)


@pytest.mark.parametrize(
    ("variant", "family", "first"), [("portable", "F", 0), ("dsp", "F", 2), ("portable", "D", 4)]
)
def test_random_graphs(variant: str, family: Family, first: int, tmp_path: Path) -> None:
    """Partly and wholly in int16, and single layers whose sums pass int32."""
    nets = [tail(first), mixed(first, share=1.0)]
    nets += [
        layer(kind, first, 5 + 60 * i, "none", 2**30) for i, kind in enumerate(("conv", "depthwise", "dense"))
    ]
    answered(nets, tmp_path, VARIANTS[variant], family, HERE)


def test_a_random_graph_on_64_bit_arm(tmp_path: Path) -> None:
    answered([tail()], tmp_path, next(iter(ARM_VARIANTS.values())), "F", ARM)


def test_the_largest_sums_do_not_overflow(tmp_path: Path) -> None:
    """4,000 products of the largest magnitude: far past int32."""
    net = layer("dense", 1, 4000, "none", 0)
    w = net.tensors["w"]
    assert w.data is not None
    net = net.with_tensors(replace(w, data=np.full_like(w.data, 127)))
    acc = 4000 * 127 * 257 * 255
    assert acc > 2**33
    answered([net], tmp_path, VARIANTS["dsp"], "F", HERE)


def test_results_past_int32_saturate(tmp_path: Path) -> None:
    """LiteRT alone is told as inexact there."""
    answered([one_weight(2**31 - 1)], tmp_path, VARIANTS["portable"], "F", HERE)


def test_sums_past_two_to_the_38_are_refused() -> None:
    net = layer("dense", 1, 70_000, "none", 0)
    w = net.tensors["w"]
    assert w.data is not None
    net = net.with_tensors(replace(w, data=np.full_like(w.data, 127)))
    with pytest.raises(UnsupportedOpError, match=r"the sum may reach .* past 2\*\*38"):
        c.check(net)
