"""What LiteRT computes on int16, kernel by kernel, against the rule of ir/numerics16.py and its alternatives.

    python -m benchmarks.int16_rules --json FILE [--values 200000]

Random int16 inputs through LiteRT's default kernels and its reference kernels.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import provenance
from edgedistill.export.tflite_flatbuffer import ModelWriter
from edgedistill.ir import numerics16
from edgedistill.runners.litert import LiteRt

Int16 = NDArray[np.int16]
CHANNELS = 16


def weighted(kind: str, bias: str, seed: int) -> tuple[bytes, Callable[[Int16], Int16]]:
    """A 1x1 CONV_2D, DEPTHWISE_CONV_2D or a FULLY_CONNECTED with biases of a type, and the rule's answer."""
    rng = np.random.default_rng(seed)
    writer, dense, depthwise = ModelWriter(), kind == "FULLY_CONNECTED", kind == "DEPTHWISE_CONV_2D"
    shape = (1, CHANNELS) if dense else (1, 1, 1, CHANNELS)
    s_x, s_y = (np.array([v], np.float32) for v in rng.uniform(1e-5, 1e-3, 2))
    s_w = (s_y / s_x * rng.uniform(0.5, 1.5, CHANNELS) / 73 / (1 if depthwise else 4)).astype(np.float32)
    w = rng.integers(-127, 128, (CHANNELS,) if depthwise else (CHANNELS, CHANNELS)).astype(np.int8)
    b = rng.integers(-(2**20), 2**20, CHANNELS)
    x_index = writer.tensor("x", shape, "int16", scale=s_x)
    kernel = w if dense else w.reshape(1, 1, 1, -1) if depthwise else w[:, None, None, :]
    w_index = writer.tensor(
        "w", kernel.shape, "int8", scale=s_w, quantized_dimension=3 if depthwise else 0, data=kernel
    )
    b_index = writer.tensor("b", b.shape, bias, scale=(s_x * s_w).astype(np.float32), data=b.astype(bias))
    y_index = writer.tensor("y", shape, "int16", scale=s_y)
    name = {"CONV_2D": "Conv2DOptionsT", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptionsT"}
    options: Any = getattr(writer.schema, name.get(kind, "FullyConnectedOptionsT"))()
    if not dense:
        options.padding = writer.schema.Padding.VALID
        options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
    if depthwise:
        options.depthMultiplier = 1
    version = {"CONV_2D": 4, "DEPTHWISE_CONV_2D": 5}.get(kind, 7)
    if bias == "int32":  # without these the kernels read it as int64
        options.quantizedBiasType, version = writer.schema.TensorType.INT32, {"CONV_2D": 8}.get(kind, 11)
    writer.operator(kind, version, [x_index, w_index, b_index], [y_index], options)
    m = numerics16.multiplier_16(s_x, s_w, s_y)

    def rule(x: Int16) -> Int16:
        real = x.astype(np.float64)
        acc = (real * w if depthwise else real @ w.T.astype(np.float64)) + b
        return numerics16.requantise_16(acc, m, numerics16.LOWEST, numerics16.HIGHEST)

    return writer.finish("g", "", {"x": x_index}, {"y": y_index}), rule


def narrowed(times: int) -> tuple[bytes, Callable[[Int16], NDArray[np.int8]]]:
    """QUANTIZE to int8 at ``times`` (odd) the scale, and the nearest value."""
    writer = ModelWriter()
    unit = np.array([0.00123], np.float32)
    x_index = writer.tensor("x", (1, CHANNELS), "int16", scale=unit)
    y_index = writer.tensor("y", (1, CHANNELS), "int8", scale=(unit * np.float32(times)), zero_point=7)
    writer.operator("QUANTIZE", 2, [x_index], [y_index], writer.schema.QuantizeOptionsT())

    def nearest(x: Int16) -> NDArray[np.int8]:
        steps = (2 * x.astype(np.int64) + times) // (2 * times) + 7
        return np.asarray(np.clip(steps, -128, 127), np.int8)

    return writer.finish("g", "", {"x": x_index}, {"y": y_index}), nearest


def differing(file: bytes, right: Callable[[Int16], NDArray[Any]], x: Int16) -> Mapping[str, int]:
    """Values that LiteRT's default and reference kernels compute otherwise, and by how much at most."""
    found: dict[str, int] = {"values": x.size}
    for name, reference in (("default", False), ("reference", True)):
        gap = np.abs(LiteRt(file, reference=reference).run(x).astype(np.int32) - right(x))
        found |= {name: int((gap != 0).sum()), f"{name}_worst": int(gap.max())}
    return found


def main() -> None:
    """Measures and writes FILE."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--values", type=int, default=200_000)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    rows: dict[str, Mapping[str, int]] = {}
    count = chosen.values // CHANNELS
    for kind, bias in (
        ("CONV_2D", "int64"),
        ("CONV_2D", "int32"),
        ("DEPTHWISE_CONV_2D", "int64"),
        ("FULLY_CONNECTED", "int64"),
        ("FULLY_CONNECTED", "int32"),
    ):
        file, rule = weighted(kind, bias, 1)
        shape = (count, CHANNELS) if kind == "FULLY_CONNECTED" else (count, 1, 1, CHANNELS)
        x = rng.integers(-32768, 32768, shape).astype(np.int16)
        rows[f"{kind}, bias {bias}"] = differing(file, rule, x)
    every = np.arange(-32768, 32768).astype(np.int16).reshape(-1, CHANNELS)
    for times in (1, 3, 127):
        rows[f"QUANTIZE to int8, {times} times the scale"] = differing(*narrowed(times), every)
    for name, row in rows.items():
        print(f"{name:40} " + ", ".join(f"{key} {value:,}" for key, value in row.items()))
    provenance.write(chosen.json, {"operators": rows}, {".": Path.cwd()})


if __name__ == "__main__":
    main()
