"""The operators of the graph: one small frozen dataclass of attributes per kind.

``act`` names the activation that the operator ends in. In a float graph it is applied;
in an integer graph it is a fact about the output's quantisation, because saturation to
int8 does the clamping: RELU has zero point -128, RELU6 also ``255 * scale <= 6``. An int16
output has zero point 0, so there the activation is applied (``numerics16.limits_16``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

Act = Literal["none", "relu", "relu6"]
Function = Literal[
    "sigmoid", "tanh", "gelu", "silu", "hardswish", "hardsigmoid", "elu", "leaky_relu", "lookup"
]
Pads = tuple[int, int, int, int]  # top, bottom, left, right
Pair = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Conv2D:
    """inputs: x [N,H,W,I], w [O,KH,KW,I], b [O] -> y [N,H',W',O]; padding is with real zero."""

    kind: ClassVar[str] = "CONV_2D"
    stride: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    act: Act = "none"


@dataclass(frozen=True)
class DepthwiseConv2D:
    """inputs: x [N,H,W,C], w [1,KH,KW,C], b [C] -> y [N,H',W',C]; channel multiplier 1.

    ``constant`` marks weights that are arithmetic, not learned (pooling, requantisation).
    """

    kind: ClassVar[str] = "DEPTHWISE_CONV_2D"
    stride: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    act: Act = "none"
    constant: bool = False


@dataclass(frozen=True)
class FullyConnected:
    """inputs: x [N,I], w [O,I], b [O] -> y [N,O]."""

    kind: ClassVar[str] = "FULLY_CONNECTED"
    act: Act = "none"


@dataclass(frozen=True)
class Add:
    """inputs: a, b of equal shape -> y. Exact under the odd-denominator rule."""

    kind: ClassVar[str] = "ADD"
    act: Act = "none"


@dataclass(frozen=True)
class Mul:
    """inputs: a [N,H,W,C], b [N,H,W,C] or [N,1,1,C] -> y. Exact under the odd-denominator rule."""

    kind: ClassVar[str] = "MUL"
    act: Act = "none"


@dataclass(frozen=True)
class MaxPool2D:
    """inputs: x [N,H,W,C] -> y; equal scales; padding never wins."""

    kind: ClassVar[str] = "MAX_POOL_2D"
    kernel: Pair = (2, 2)
    stride: Pair = (2, 2)
    pads: Pads = (0, 0, 0, 0)


@dataclass(frozen=True)
class Concat:
    """inputs: any number of [N,H,W,Ci] -> y [N,H,W,sum Ci]; equal scales."""

    kind: ClassVar[str] = "CONCATENATION"
    axis: int = 3


@dataclass(frozen=True)
class Reshape:
    """inputs: x -> y of the output tensor's shape (NHWC order, batch kept)."""

    kind: ClassVar[str] = "RESHAPE"


@dataclass(frozen=True)
class Table:
    """A unary function. Float graph: inputs x, ``fn`` is applied. Integer graph: x, table [256] int8.

    ``lookup`` exists in integer graphs only: the table alone says what it does (a clip, a change of scale).
    """

    kind: ClassVar[str] = "TABLE"
    fn: Function = "sigmoid"
    alpha: float = 0.0  # elu's alpha, leaky_relu's slope


@dataclass(frozen=True)
class Quantize:
    """inputs: x -> y, the same real values as int8 or int16. Float graph: y is x.

    int8 to int16: the input's scale is a whole multiple of the output's. int16 to int8: equal scales.
    """

    kind: ClassVar[str] = "QUANTIZE"


Attrs: TypeAlias = (
    Conv2D | DepthwiseConv2D | FullyConnected | Add | Mul | MaxPool2D | Concat | Reshape | Table | Quantize
)


def is_constant(attrs: Attrs) -> bool:
    """Whether an operator's weights are arithmetic, not learned."""
    return isinstance(attrs, DepthwiseConv2D) and attrs.constant


OPS: Mapping[str, type[Attrs]] = {
    cls.kind: cls
    for cls in (
        Conv2D,
        DepthwiseConv2D,
        FullyConnected,
        Add,
        Mul,
        MaxPool2D,
        Concat,
        Reshape,
        Table,
        Quantize,
    )
}
