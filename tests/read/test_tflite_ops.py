"""Operators that only others' files hold: what each becomes computes what LiteRT's kernels compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgedistill.errors import UnsupportedOpError
from edgedistill.export.tflite_flatbuffer import ModelWriter
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import run
from edgedistill.read.tflite import from_bytes
from edgedistill.runners.litert import LiteRt

Body = Callable[["File"], int]
RNG = np.random.default_rng(3)


class File:
    """A .tflite of a few operators, written by hand."""

    def __init__(
        self, shape: tuple[int, ...] = (1, 6, 6, 4), scale: float = 0.05, zero_point: int = -7
    ) -> None:
        self.writer = ModelWriter()
        self.shape = shape
        self.x = self.value("x", shape, scale, zero_point)

    def value(self, name: str, shape: tuple[int, ...], scale: float = 0.05, zero_point: int = -7) -> int:
        return self.writer.tensor(name, shape, "int8", scale=np.float32([scale]), zero_point=zero_point)

    def constant(self, name: str, data: NDArray[Any], *scale: float, axis: int = 0) -> int:
        return self.writer.tensor(
            name,
            data.shape,
            data.dtype.name,
            scale=np.float32(scale) if scale else None,
            quantized_dimension=axis,
            data=data,
        )

    def op(
        self, kind: str, inputs: list[int], output: int, options: str = "", version: int = 2, **fields: Any
    ) -> int:
        made = getattr(self.writer.schema, options + "T")() if options else None
        for field, value in fields.items():
            setattr(made, field, value)
        self.writer.operator(kind, version, inputs, [output], made)
        return output

    def finish(self, body: Body) -> bytes:
        output = body(self)
        return self.writer.finish("hand", "", {"x": self.x}, {"y": output})


def unary(kind: str, scale: float = 0.05, zero_point: int = -7, options: str = "", **fields: Any) -> Body:
    return lambda f: f.op(kind, [f.x], f.value("y", f.shape, scale, zero_point), options, **fields)


def mean(keep: bool) -> Body:
    def body(f: File) -> int:
        axes = f.constant("axes", np.array([1, 2], np.int32))
        shape = (1, 1, 1, f.shape[3]) if keep else (1, f.shape[3])
        return f.op("MEAN", [f.x, axes], f.value("y", shape), "ReducerOptions", keepDims=keep)

    return body


def two(kind: str, *shape: int, scale: float = 0.06) -> Body:
    def body(f: File) -> int:
        other = f.constant("c", RNG.integers(-127, 128, shape).astype(np.int8), 0.03)
        inputs = [other, f.x] if shape else [f.x, other]
        return f.op(kind, inputs, f.value("y", f.shape, scale, 3), f"{kind.title()}Options")

    return body


def pad_alone(f: File) -> int:
    amounts = f.constant("amounts", np.array([[0, 0], [1, 0], [0, 2], [0, 0]], np.int32))
    return f.op("PAD", [f.x, amounts], f.value("y", (1, 7, 8, 4)), "PadOptions")


def pad_and_conv(f: File) -> int:
    padded = f.value("p", (1, 9, 9, 4))
    amounts = f.constant("amounts", np.array([[0, 0], [2, 1], [1, 2], [0, 0]], np.int32))
    f.op("PAD", [f.x, amounts], padded, "PadOptions")
    w = f.constant("w", RNG.integers(-127, 128, (5, 3, 3, 4)).astype(np.int8), 0.01)
    b = f.constant("b", RNG.integers(-900, 900, 5).astype(np.int32), 0.0005)
    y = f.value("y", (1, 5, 5, 5), 0.3)
    return f.op(
        "CONV_2D",
        [padded, w, b],
        y,
        "Conv2DOptions",
        3,
        padding=0,
        strideH=2,
        strideW=2,
        dilationHFactor=1,
        dilationWFactor=1,
    )


def dilated(f: File) -> int:
    w = f.constant("w", RNG.integers(-127, 128, (5, 3, 3, 4)).astype(np.int8), 0.01)
    b = f.constant("b", RNG.integers(-900, 900, 5).astype(np.int32), 0.0005)
    y = f.value("y", (1, 6, 6, 5), 0.3)
    return f.op(
        "CONV_2D",
        [f.x, w, b],
        y,
        "Conv2DOptions",
        3,
        padding=0,
        strideH=1,
        strideW=1,
        dilationHFactor=2,
        dilationWFactor=2,
    )


def multiplier(f: File) -> int:
    w = f.constant(
        "w", RNG.integers(-127, 128, (1, 3, 3, 8)).astype(np.int8), *np.linspace(0.01, 0.02, 8), axis=3
    )
    b = f.constant("b", np.zeros(8, np.int32), *np.float32(0.05) * np.linspace(0.01, 0.02, 8))
    y = f.value("y", (1, 6, 6, 8), 0.2)
    return f.op(
        "DEPTHWISE_CONV_2D",
        [f.x, w, b],
        y,
        "DepthwiseConv2DOptions",
        3,
        padding=0,
        strideH=1,
        strideW=1,
        depthMultiplier=8,
        dilationHFactor=1,
        dilationWFactor=1,
    )


def dense_on_an_image(f: File) -> int:
    w = f.constant("w", RNG.integers(-127, 128, (9, 144)).astype(np.int8), 0.01)
    b = f.constant("b", RNG.integers(-900, 900, 9).astype(np.int32), 0.0005)
    return f.op(
        "FULLY_CONNECTED",
        [f.x, w, b],
        f.value("y", (1, 9), 0.02),
        "FullyConnectedOptions",
        4,
        fusedActivationFunction=f.writer.schema.ActivationFunctionType.RELU_N1_TO_1,
    )


def squeeze(f: File) -> int:
    pooled = mean(True)(f)
    return f.op("SQUEEZE", [pooled], f.value("z", (1, 4)), "SqueezeOptions", 1, squeezeDims=[1, 2])


SEVEN = {"shape": (1, 7, 7, 4)}  # an average of an odd number of values never lies on a half
EXACT: dict[str, tuple[Body, dict[str, Any]]] = {  # the same bits as XNNPACK
    "mean": (mean(True), SEVEN),
    "mean_flat": (mean(False), SEVEN),
    "relu": (unary("RELU"), {}),
    "add_constant": (two("ADD", 1, 6, 6, 4, scale=0.05), {}),
    "mul_per_channel": (two("MUL", 4, scale=0.08), {}),
    "pad_alone": (pad_alone, {}),
    "pad_and_conv": (pad_and_conv, {}),
    "dilated": (dilated, {}),
    "multiplier_of_one_channel": (multiplier, {"shape": (1, 6, 6, 1)}),
    "dense_on_an_image": (dense_on_an_image, {}),
    "squeeze": (squeeze, SEVEN),
}
NEAR: dict[str, Body] = {  # kernels that approximate what the table has rounded correctly
    "logistic": unary("LOGISTIC", 1 / 256, -128),
    "tanh": unary("TANH", 1 / 128, 0),
    "hard_swish": unary("HARD_SWISH", 0.04, -20, version=1),
    "leaky_relu": unary("LEAKY_RELU", 0.05, 0, "LeakyReluOptions", alpha=0.2),
    "relu6_rescaled": unary("RELU6", 6 / 255, -128),
    "requantise": unary("QUANTIZE", 0.07, 4, "QuantizeOptions"),
}


def both(data: bytes, shape: tuple[int, ...]) -> tuple[NDArray[np.int32], Graph]:
    """Our answers less LiteRT's."""
    graph = from_bytes(data, "hand").graph
    x = np.random.default_rng(0).integers(-128, 128, (50, *shape[1:])).astype(np.int8)
    ours = run(graph, {"x": x})[graph.outputs[0]]
    theirs = LiteRt(data).run(x)
    assert ours.shape == theirs.shape and np.std(theirs.astype(float)) > 2
    return ours.astype(np.int32) - theirs, graph


@pytest.mark.parametrize("name", EXACT)
def test_the_same_bits_as_xnnpack(name: str) -> None:
    body, options = EXACT[name]
    file = File(**options)
    off, _ = both(file.finish(body), file.shape)
    assert not off.any()


@pytest.mark.parametrize("name", NEAR)
def test_at_most_one_unit_from_the_kernels(name: str) -> None:
    file = File()
    off, graph = both(file.finish(NEAR[name]), file.shape)
    assert np.abs(off).max() <= 1 and (off != 0).mean() < 0.06
    assert [op.kind for op in graph.ops] == ["TABLE"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (unary("RSQRT"), "the graph has no such operator"),
        (lambda f: mean_over(f, 3), "axes [3], not height and width"),
        (
            lambda f: (
                f.op("SOFTMAX", [f.x], f.value("s", f.shape), "SoftmaxOptions", beta=1.0) and unary_of(f)
            ),
            "not the last",
        ),
        (
            lambda f: f.op("DEQUANTIZE", [f.x], f.writer.tensor("f", f.shape, "float32")) and unary_of(f),
            "float32",
        ),
    ],
)
def test_what_is_not_supported_says_why(body: Body, words: str) -> None:
    with pytest.raises(UnsupportedOpError) as caught:
        from_bytes(File().finish(body), "hand")
    assert words in str(caught.value)


def mean_over(f: File, axis: int) -> int:
    axes = f.constant("axes", np.array([axis], np.int32))
    return f.op("MEAN", [f.x, axes], f.value("y", (1, 6, 6, 1)), "ReducerOptions", keepDims=True)


def unary_of(f: File) -> int:
    """A RELU of the tensor before."""
    last = len(f.writer._tensors) - 1
    return f.op("RELU", [last], f.value("y", f.shape))
