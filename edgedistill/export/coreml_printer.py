"""Core ML's program: one MIL operator (or a few) for each operator of the graph."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from edgedistill.errors import InputError
from edgedistill.ir.graph import Graph, Op
from edgedistill.ir.ops import (
    Add,
    Concat,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool2D,
    Mul,
    Quantize,
    Reshape,
    Table,
)

Var = Any  # a MIL variable; coremltools has no type stubs
PROBABILITIES = "class_probabilities"
_NCHW = (0, 3, 1, 2)
_NHWC = (0, 2, 3, 1)

# MIL's own words: NameSanitizer of coremltools 9 (mil/passes/defs/preprocess.py), which renames them.
# fmt: off
_RESERVED = frozenset((
    "any", "bool", "program", "func", "tensor", "list", "dict", "tuple", "true", "false", "string",
    "bf16", "fp16", "fp32", "fp64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
    "uint64", "state",
))
# fmt: on


def import_coremltools() -> Any:
    """coremltools, or an error that says what to install."""
    try:
        import coremltools
    except ImportError as e:
        raise InputError(
            "coremltools is not installed", where="format coreml", fix="pip install coremltools"
        ) from e
    return coremltools


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without coremltools' remarks on versions of torch and its progress bars; errors are raised as ever."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def mil_name(name: str) -> str:
    """A name that MIL allows: letters, digits, underscores, a letter first, none of the language's words."""
    clean = re.sub(r"[^A-Za-z0-9_]", "_", name)
    clean = clean if re.match(r"[A-Za-z]", clean) else f"v_{clean}"
    return f"{clean}_" if clean in _RESERVED else clean


class _Printer:
    """Writes operators into the MIL function that is open; ``real`` holds every activation as float32."""

    def __init__(self, graph: Graph, mb: Any) -> None:
        self.graph = graph
        self.mb = mb
        self.real: dict[str, Var] = {}
        self.stored: dict[str, Var] = {}  # int8 values, in an integer graph

    def enter(self, name: str, x: Var) -> None:
        """The model's input: real values, quantised to the graph's int8."""
        if self.graph.is_integer:
            self._store(name, x, f"{mil_name(name)}_real")
        else:
            self.real[name] = x

    def emit(self, op: Op) -> None:
        """One operator. Its activation too in a float graph; in an integer graph saturation does that."""
        a, (y,) = op.attrs, op.outputs
        name = mil_name(y)
        assert not isinstance(a, Quantize), f"{op.name}: int16 is not printed"
        if isinstance(a, Table):
            if self.graph.is_integer:
                self._lookup(op)
            else:
                self.real[y] = self._function(a, self.value(op.inputs[0]), name)
        elif isinstance(a, Reshape):
            self.real[y] = self._reshape(op, name)
        elif isinstance(a, MaxPool2D | Concat):  # values are moved: equal scales, nothing to quantise
            self.real[y] = self._plain(op, name)
        elif self.graph.is_integer:
            self._store(y, self._plain(op, f"{name}_sum"), name)
        elif a.act == "none":
            self.real[y] = self._plain(op, name)
        else:
            activation = self.mb.relu if a.act == "relu" else self.mb.relu6
            self.real[y] = activation(x=self._plain(op, f"{name}_sum"), name=name)

    def value(self, name: str) -> Var:
        """An activation, or a constant operand, as float32."""
        t = self.graph.tensors[name]
        if t.data is None or name in self.real:
            return self.real[name]
        data = t.data.transpose(_NCHW) if t.data.ndim == 4 else t.data
        if t.quant is not None:
            data = (data.astype(np.float32) - np.float32(t.quant.zero_point)) * t.quant.scale[0]
        self.real[name] = self.mb.const(
            val=np.ascontiguousarray(data.astype(np.float32)), name=mil_name(name)
        )
        return self.real[name]

    def _store(self, name: str, real: Var, as_name: str) -> None:
        scale, zero = self._quant(name)
        stored = f"{mil_name(name)}_int8"
        q = self.mb.quantize(input=real, scale=scale, zero_point=zero, output_dtype="int8", name=stored)
        self.stored[name] = q
        self.real[name] = self.mb.dequantize(input=q, scale=scale, zero_point=zero, name=as_name)

    def _quant(self, name: str) -> tuple[np.float32, np.int8]:
        q = self.graph.tensors[name].quant
        assert q is not None, f"{name} is not an int8 activation"
        return np.float32(q.scale[0]), np.int8(q.zero_point)

    def _plain(self, op: Op, name: str) -> Var:
        a, mb = op.attrs, self.mb
        x = self.value(op.inputs[0])
        match a:
            case Conv2D() | DepthwiseConv2D():
                weights, bias = self._weights(op.inputs[1]), self._bias(op.inputs[2])
                groups = self.graph.tensors[op.inputs[1]].shape[3] if isinstance(a, DepthwiseConv2D) else 1
                return mb.conv(
                    x=x,
                    weight=weights,
                    bias=bias,
                    strides=list(a.stride),
                    pad_type="custom",
                    pad=list(a.pads),
                    groups=groups,
                    name=name,
                )
            case FullyConnected():
                return mb.linear(
                    x=x, weight=self._weights(op.inputs[1]), bias=self._bias(op.inputs[2]), name=name
                )
            case Add():
                return mb.add(x=x, y=self.value(op.inputs[1]), name=name)
            case Mul():
                return mb.mul(x=x, y=self.value(op.inputs[1]), name=name)
            case MaxPool2D():
                return mb.max_pool(
                    x=x,
                    kernel_sizes=list(a.kernel),
                    strides=list(a.stride),
                    pad_type="custom",
                    pad=list(a.pads),
                    name=name,
                )
            case Concat():
                rank = len(self.graph.tensors[op.outputs[0]].shape)
                axis = (0, 2, 3, 1)[a.axis % 4] if rank == 4 else a.axis % rank
                return mb.concat(values=[self.value(n) for n in op.inputs], axis=axis, name=name)
            case _:
                raise AssertionError(f"{op.name}: {op.kind} is printed elsewhere")

    def _weights(self, name: str) -> Var:
        if name in self.stored:
            return self.stored[name]
        data, t = mil_weights(self.graph, name), self.graph.tensors[name]
        if t.quant is None:
            self.stored[name] = self.mb.const(val=data.astype(np.float32), name=mil_name(name))
        else:
            self.stored[name] = self.mb.constexpr_affine_dequantize(
                quantized_data=data,
                zero_point=np.zeros(data.shape[0], np.int8),
                scale=np.ascontiguousarray(np.broadcast_to(t.quant.scale, data.shape[:1])),
                axis=0,
                name=mil_name(name),
            )
        return self.stored[name]

    def _bias(self, name: str) -> Var:
        t = self.graph.tensors[name]
        assert t.data is not None
        scale = np.float64(1) if t.quant is None else t.quant.scale.astype(np.float64)
        return (t.data * scale).astype(np.float32)

    def _reshape(self, op: Op, name: str) -> Var:
        """In NHWC order; values lie elsewhere in NCHW."""
        mb, x = self.mb, self.value(op.inputs[0])
        shape = list(self.graph.tensors[op.outputs[0]].shape)
        if len(self.graph.tensors[op.inputs[0]].shape) == 4:
            x = mb.transpose(x=x, perm=list(_NHWC), name=f"{name}_from_NHWC")
        if len(shape) != 4:
            return mb.reshape(x=x, shape=shape, name=name)
        return mb.transpose(x=mb.reshape(x=x, shape=shape, name=f"{name}_NHWC"), perm=list(_NCHW), name=name)

    def _lookup(self, op: Op) -> None:
        """A table of 256 int8 entries at index ``q + 128``."""
        (x, table), (y,) = op.inputs, op.outputs
        mb, data = self.mb, self.graph.tensors[table].data
        assert data is not None
        name = mil_name(y)
        q = self.stored.get(x)
        if q is None:  # a moved value: quantising it again gives the same int8
            scale, zero = self._quant(x)
            q = mb.quantize(
                input=self.value(x),
                scale=scale,
                zero_point=zero,
                output_dtype="int8",
                name=f"{name}_input_int8",
            )
        wide = mb.cast(x=q, dtype="int32", name=f"{name}_wide")
        index = mb.add(x=wide, y=np.int32(128), name=f"{name}_index")
        entries = mb.const(val=data, name=mil_name(table))
        scale, zero = self._quant(y)
        self.stored[y] = mb.gather(
            x=entries, indices=index, axis=0, validate_indices=False, name=f"{name}_int8"
        )
        self.real[y] = mb.dequantize(input=self.stored[y], scale=scale, zero_point=zero, name=name)

    def _function(self, a: Table, x: Var, name: str) -> Var:
        mb = self.mb
        match a.fn:
            case "sigmoid":
                return mb.sigmoid(x=x, name=name)
            case "tanh":
                return mb.tanh(x=x, name=name)
            case "gelu":
                return mb.gelu(x=x, mode="EXACT", name=name)
            case "silu":
                return mb.silu(x=x, name=name)
            case "hardsigmoid":
                return mb.sigmoid_hard(x=x, alpha=1 / 6, beta=0.5, name=name)
            case "hardswish":
                gate = mb.sigmoid_hard(x=x, alpha=1 / 6, beta=0.5, name=f"{name}_gate")
                return mb.mul(x=x, y=gate, name=name)
            case "elu":
                return mb.elu(x=x, alpha=a.alpha, name=name)
            case "leaky_relu":
                return mb.leaky_relu(x=x, alpha=a.alpha, name=name)


def mil_weights(graph: Graph, name: str) -> Any:
    """A layer's weights in MIL's layout: [O,I,KH,KW], depthwise [C,1,KH,KW], dense [O,I]."""
    data = graph.tensors[name].data
    assert data is not None, f"{name} is not a constant"
    if data.ndim == 2:
        return data
    depthwise = any(op.kind == "DEPTHWISE_CONV_2D" for op in graph.consumers(name))
    return np.ascontiguousarray(data.transpose((3, 0, 1, 2) if depthwise else _NCHW))


def program(graph: Graph, ct: Any, classifier: bool) -> Any:
    """The MIL program of a graph; a classifier also gives its probabilities."""
    from coremltools.converters.mil import Builder as mb
    from coremltools.converters.mil.mil import Function, Program

    result = Program()
    inputs = {}
    for name in graph.inputs:
        shape = graph.tensors[name].shape
        inputs[mil_name(name)] = mb.placeholder([shape[i] for i in _NCHW] if len(shape) == 4 else list(shape))
    with Function(inputs, opset_version=ct.target.iOS17) as function:
        printer = _Printer(graph, mb)
        for name in graph.inputs:
            printer.enter(name, function.inputs[mil_name(name)])
        for op in graph.ops:
            printer.emit(op)
        outputs = [printer.real[name] for name in graph.outputs]
        if classifier:
            outputs.append(mb.softmax(x=outputs[0], axis=-1, name=PROBABILITIES))
        function.set_outputs(outputs)
    result.add_function("main", function)
    return result
