"""What can be said of a Core ML model where Core ML does not predict: the file, read back and evaluated.

``check`` compares operators, scales and int8 weights of the file with the graph.
``evaluate`` runs the file's program in NumPy, operator by operator, as the MIL documentation
defines them: it shows that the program means the graph, not what Apple's hardware answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import InputError
from edgedistill.export.coreml_printer import import_coremltools, mil_name, mil_weights, quiet
from edgedistill.ir.graph import Graph, Op
from edgedistill.ir.ops import Conv2D, DepthwiseConv2D, Table

Array = NDArray[Any]

# What each kind becomes. ADD and MUL are also used as helpers, so they are compared by name.
_MIL = {
    "CONV_2D": "conv",
    "DEPTHWISE_CONV_2D": "conv",
    "FULLY_CONNECTED": "linear",
    "MAX_POOL_2D": "max_pool",
    "CONCATENATION": "concat",
    "RESHAPE": "reshape",
}
_FLOAT_FUNCTIONS = {
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "gelu": "gelu",
    "silu": "silu",
    "hardswish": "mul",
    "hardsigmoid": "sigmoid_hard",
    "elu": "elu",
    "leaky_relu": "leaky_relu",
}


def check(path: Path, graph: Graph) -> list[str]:
    """Every way in which the file differs from the graph; none: an empty list.

    Raises:
        InputError: the file cannot be read as a Core ML model.
    """
    operations = [op for op in _operations(path) if op.op_type != "const"]
    by_name = {v.name: op for op in operations for v in op.outputs}
    problems: list[str] = []
    wanted = Counter(_MIL[op.kind] for op in graph.ops if op.kind in _MIL)
    for kind in sorted(set(_MIL.values())):
        found = sum(op.op_type == kind for op in operations)
        if found != wanted[kind]:
            problems.append(f"{found} operators {kind} in the file, {wanted[kind]} in the graph")
    for op in graph.ops:
        problems += _check_operator(op, graph, by_name)
    return problems


def _check_operator(op: Op, graph: Graph, by_name: Mapping[str, Any]) -> list[str]:
    problems: list[str] = []
    name = mil_name(op.outputs[0])
    if name not in by_name:
        return [f"{op.name}: no value {name!r} in the file"]
    if isinstance(op.attrs, Table) and not graph.is_integer:
        found, expected = by_name[name].op_type, _FLOAT_FUNCTIONS[op.attrs.fn]
        if found != expected:
            problems.append(f"{op.name}: operator {found} in the file, {expected} in the graph")
    if isinstance(op.attrs, Conv2D | DepthwiseConv2D):
        conv = by_name.get(f"{name}_sum", by_name[name])
        window = tuple(int(n) for n in (*conv.strides.val, *conv.pad.val))
        if window != (*op.attrs.stride, *op.attrs.pads):
            problems.append(f"{op.name}: strides and pads {window} in the file")
    if not graph.is_integer:
        if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            layer = by_name.get(f"{name}_sum", by_name[name])
            if not _same_bits(layer.weight.val, mil_weights(graph, op.inputs[1])):
                problems.append(f"{op.name}: float weights {op.inputs[1]!r} differ")
        return problems
    if op.kind in ("MAX_POOL_2D", "CONCATENATION", "RESHAPE"):
        return problems
    stored = by_name.get(f"{name}_int8")
    quant = graph.tensors[op.outputs[0]].quant
    assert quant is not None
    if stored is None or stored.op_type != ("gather" if op.kind == "TABLE" else "quantize"):
        problems.append(f"{op.name}: the file has no int8 value {name}_int8")
    elif op.kind == "TABLE":
        if not _same_bits(stored.x.val, graph.tensors[op.inputs[1]].data):
            problems.append(f"{op.name}: table {op.inputs[1]!r} differs")
    elif not _same_quant(stored, quant.scale[0], quant.zero_point):
        problems.append(f"{op.name}: scale or zero point of the output differs")
    if not _same_quant(by_name[name], quant.scale[0], quant.zero_point):
        problems.append(f"{op.name}: scale or zero point of the dequantised output differs")
    if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        problems += _check_weights(op, graph, by_name)
    return problems


def _check_weights(op: Op, graph: Graph, by_name: Mapping[str, Any]) -> list[str]:
    w, b = graph.tensors[op.inputs[1]], graph.tensors[op.inputs[2]]
    found = by_name.get(mil_name(w.name))
    if found is None or found.op_type != "constexpr_affine_dequantize":
        return [f"{op.name}: the file has no int8 weights {w.name!r}"]
    assert w.quant is not None and b.quant is not None and b.data is not None
    data = mil_weights(graph, w.name)
    problems = []
    if not _same_bits(found.quantized_data.val, data):
        problems.append(f"{op.name}: int8 weights {w.name!r} differ")
    if not _same_bits(found.scale.val, np.broadcast_to(w.quant.scale, data.shape[:1])):
        problems.append(f"{op.name}: scales of weights {w.name!r} differ")
    if np.any(found.zero_point.val):
        problems.append(f"{op.name}: weights {w.name!r} have a zero point")
    layer = by_name[f"{mil_name(op.outputs[0])}_sum"]
    if not _same_bits(layer.bias.val, (b.data * b.quant.scale.astype(np.float64)).astype(np.float32)):
        problems.append(f"{op.name}: bias {b.name!r} differs")
    return problems


def evaluate(path: Path, x_NCHW: Array) -> dict[str, Array]:
    """Every value of the file's program for one real-valued input, by its MIL name, 4-D values in NCHW."""
    operations = _operations(path)
    inputs = [v for op in operations for v in _flat(op.inputs.values()) if v.op is None]
    assert len({v.name for v in inputs}) == 1, "the program has one input"
    values: dict[str, Array] = {inputs[0].name: x_NCHW.astype(np.float32)}
    for op in operations:
        if op.op_type == "const":
            values[op.outputs[0].name] = op.outputs[0].val
        elif op.op_type != "classify":
            arguments = {k: _argument(v, values) for k, v in op.inputs.items() if v is not None}
            values[op.outputs[0].name] = _EVALUATE[op.op_type](arguments)
    constants = {
        op.outputs[0].name for op in operations if op.op_type in ("const", "constexpr_affine_dequantize")
    }
    return {name: value for name, value in values.items() if name not in constants}


def _operations(path: Path) -> list[Any]:
    """The operators of the file's program, weights loaded."""
    with quiet():
        ct = import_coremltools()
        from coremltools.converters.mil.frontend.milproto.load import load

        try:
            spec = ct.models.utils.load_spec(str(path))
            weights = path / "Data" / "com.apple.CoreML" / "weights"
            program = load(spec, spec.specificationVersion, str(weights))
        except Exception as e:  # coremltools raises what its parsers raise, without a class of its own
            raise InputError(
                f"the Core ML model cannot be read: {(str(e) or type(e).__name__).splitlines()[0]}",
                where=str(path),
                fix="check that the .mlpackage folder is complete, or build it again",
            ) from e
    return list(program.functions["main"].operations)


def _flat(variables: Any) -> list[Any]:
    return [
        v
        for item in variables
        if item is not None
        for v in (item if isinstance(item, list | tuple) else [item])
    ]


def _argument(v: Any, values: Mapping[str, Array]) -> Any:
    if isinstance(v, list | tuple):
        return [_argument(item, values) for item in v]
    return values.get(v.name, v.val)


def _same_bits(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())


def _same_quant(op: Any, scale: np.float32, zero_point: int) -> bool:
    found_zero = 0 if op.zero_point is None else int(op.zero_point.val)
    return bool(np.float32(op.scale.val) == scale) and found_zero == zero_point


def _quantize(a: Mapping[str, Any]) -> Array:
    q = np.rint(a["input"] / np.float32(a["scale"])) + np.float32(a.get("zero_point", 0))
    return np.asarray(np.clip(q, -128, 127), np.int8)


def _dequantize(a: Mapping[str, Any]) -> Array:
    q = a["input"].astype(np.float32) - np.float32(a.get("zero_point", 0))
    return np.asarray(q * np.float32(a["scale"]), np.float32)


def _constexpr(a: Mapping[str, Any]) -> Array:
    shape = (-1,) + (1,) * (a["quantized_data"].ndim - 1)
    return np.asarray(a["quantized_data"].astype(np.float32) * a["scale"].reshape(shape), np.float32)


def _windows(x: Array, kernel: tuple[int, int], a: Mapping[str, Any], fill: float) -> Array:
    """[N, C, H', W', KH, KW] after padding."""
    top, bottom, left, right = (int(n) for n in a["pad"])
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    views = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(2, 3))
    return views[:, :, :: int(a["strides"][0]), :: int(a["strides"][1])]


def _conv(a: Mapping[str, Any]) -> Array:
    w = a["weight"]
    views = _windows(a["x"], w.shape[2:], a, 0.0)
    depthwise = int(a["groups"]) > 1
    y = (
        np.einsum("nchwkl,ckl->nchw", views, w[:, 0])
        if depthwise
        else np.einsum("nihwkl,oikl->nohw", views, w)
    )
    return np.asarray(y + a["bias"].reshape(1, -1, 1, 1), np.float32)


def _erf(x: Array) -> Array:
    from math import erf

    return np.asarray(np.vectorize(erf)(x.astype(np.float64)))


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


_EVALUATE: Mapping[str, Callable[[Mapping[str, Any]], Array]] = {
    "quantize": _quantize,
    "dequantize": _dequantize,
    "constexpr_affine_dequantize": _constexpr,
    "conv": _conv,
    "linear": lambda a: np.asarray(a["x"] @ a["weight"].T + a["bias"], np.float32),
    "add": lambda a: np.asarray(a["x"] + a["y"]),
    "mul": lambda a: np.asarray(a["x"] * a["y"]),
    "max_pool": lambda a: _windows(a["x"], tuple(a["kernel_sizes"]), a, -np.inf).max((-1, -2)),
    "concat": lambda a: np.concatenate(a["values"], int(a["axis"])),
    "reshape": lambda a: a["x"].reshape(a["shape"]),
    "transpose": lambda a: a["x"].transpose(a["perm"]),
    "cast": lambda a: a["x"].astype(str(a["dtype"])),
    "gather": lambda a: np.take(a["x"], a["indices"], int(a["axis"])),
    "relu": lambda a: np.maximum(a["x"], 0),
    "relu6": lambda a: np.clip(a["x"], 0, 6),
    "sigmoid": lambda a: _sigmoid(a["x"]),
    "sigmoid_hard": lambda a: np.clip(a["x"] * a["alpha"] + a["beta"], 0, 1),
    "tanh": lambda a: np.tanh(a["x"]),
    "silu": lambda a: a["x"] * _sigmoid(a["x"]),
    "gelu": lambda a: np.asarray(a["x"] * 0.5 * (1 + _erf(a["x"] / np.sqrt(2))), np.float32),
    "elu": lambda a: np.where(a["x"] > 0, a["x"], a["alpha"] * np.expm1(a["x"])),
    "leaky_relu": lambda a: np.where(a["x"] > 0, a["x"], a["alpha"] * a["x"]),
    "softmax": lambda a: _softmax(a["x"]),
}
