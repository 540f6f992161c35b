"""The one network value that everything prints or runs: small, immutable, typed.

Legend of shape letters: N batch, H height, W width, C channels, I input channels,
O output channels, K kernel positions. Activations are NHWC; the batch dimension of
every activation is written as 1 and stands for any batch.

A graph is *float* (all activations float32, ``quant`` None: what the trace gives) or
*integer* (activations int8, or int16 around chosen layers, with per-tensor ``QParams``:
what quantisation gives). Inputs and outputs of an integer graph are always int8.
Both have the same operators, so one printer per format serves both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgedistill.ir.ops import Attrs

DType = Literal["int8", "int16", "int32", "float32"]


@dataclass(frozen=True, eq=False)
class QParams:
    """Affine quantisation ``real = scale * (q - zero_point)`` (Jacob et al. 2018, section 2.1).

    ``scale`` is float32 [1] (per tensor) or [C] (per channel along ``axis``).
    Weights, biases and int16 activations are symmetric (``zero_point`` 0). ``bits``: 8, or 16 of an
    int16 activation.
    """

    scale: NDArray[np.float32]
    zero_point: int = 0
    axis: int | None = None
    bits: int = 8

    def __post_init__(self) -> None:
        assert self.scale.dtype == np.float32 and self.scale.ndim == 1, "scale is float32 [1] or [C]"
        assert (self.axis is None) == (self.scale.shape == (1,)) or self.axis is not None


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named value; ``data`` makes it a constant.

    Layouts of constants: CONV_2D weights [O, KH, KW, I], DEPTHWISE_CONV_2D weights
    [1, KH, KW, C], FULLY_CONNECTED weights [O, I], biases [O] (int32 in an integer
    graph, with per-channel scale ``s_x * s_w[c]``), TABLE [256] int8 (index ``q + 128``).
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    quant: QParams | None = None
    data: NDArray[Any] | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of one instance (batch 1)."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Op:
    """One operator: ``attrs`` (a dataclass per kind) says which, ``name`` says from which layer."""

    name: str
    attrs: Attrs
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The operator's name in capitals, as in TFLite: CONV_2D, ADD, ..."""
        return self.attrs.kind


@dataclass(frozen=True, eq=False)
class Graph:
    """Operators in topological order over named tensors."""

    name: str
    tensors: Mapping[str, Tensor]
    ops: tuple[Op, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    labels: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))

    @property
    def is_integer(self) -> bool:
        """True when activations are integers (after quantisation)."""
        return self.tensors[self.inputs[0]].dtype in ("int8", "int16")

    def is_int16(self, op: Op) -> bool:
        """Whether an operator computes in the 16x8 scheme: what it writes, or reads, is int16."""
        return any(self.tensors[name].dtype == "int16" for name in (*op.inputs, *op.outputs))

    def int16_activations(self) -> tuple[str, ...]:
        """Those of ``activations`` that are int16."""
        return tuple(name for name in self.activations() if self.tensors[name].dtype == "int16")

    def replace(self, **changes: Any) -> Graph:
        """A new graph with some fields changed."""
        return replace(self, **changes)

    def with_tensors(self, *new: Tensor) -> Graph:
        """A new graph with tensors added or replaced by name."""
        return replace(self, tensors={**self.tensors, **{t.name: t for t in new}})

    def producer(self, tensor: str) -> Op | None:
        """The operator that writes ``tensor`` (None for inputs and constants)."""
        return next((op for op in self.ops if tensor in op.outputs), None)

    def consumers(self, tensor: str) -> tuple[Op, ...]:
        """The operators that read ``tensor``, in order."""
        return tuple(op for op in self.ops if tensor in op.inputs)

    def activations(self) -> tuple[str, ...]:
        """Names of all non-constant tensors: inputs first, then outputs of the operators in order."""
        return self.inputs + tuple(o for op in self.ops for o in op.outputs)
