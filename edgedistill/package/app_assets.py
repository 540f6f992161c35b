"""Writes what a phone's app reads of a student beside its model: labels, scales, golden vectors, raw inputs.

student.json is the index. golden-inputs.bin and golden-answers.bin hold int8 vectors one behind the other: those
of the build's golden.npz, then one for each raw input. raw-N.bin is a picture, uint8 [H, W, C], or a recording,
int16 [S] little-endian, as an app gets them before any pre-processing; its vector is what must be made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.data import frontend
from edgedistill.ir import golden, interpret, serial
from edgedistill.package import escape, preprocess
from edgedistill.package.contract import Contract, ImageInput, ModelFile

INDEX = "student.json"
_SEED = 20_250_101


@dataclass(frozen=True)
class Written:
    """How many vectors there are, raw ones included, and how many raw inputs."""

    vectors: int
    raw: int


def write(contract: Contract, folder: Path, out: Path, models: Sequence[ModelFile]) -> Written:
    """Writes the files into ``out``; the same build gives the same bytes.

    Args:
        contract: of the build.
        folder: of the build, with graph.npz and golden.npz.
        out: an existing folder.
        models: what student.json names with its digest, by file name.
    """
    vectors = golden.load(folder / contract.golden)
    raw = raw_inputs(contract)
    inputs = np.concatenate([vectors.inputs, *(ready(contract, one) for one in raw)])
    graph = serial.load(folder / "graph.npz")
    added = interpret.run_batched(graph, {graph.inputs[0]: inputs[len(vectors.inputs) :]})[graph.outputs[0]]
    answers = np.concatenate([vectors.outputs, np.asarray(added, np.int8)])
    (out / "golden-inputs.bin").write_bytes(inputs.astype(np.int8).tobytes())
    (out / "golden-answers.bin").write_bytes(answers.astype(np.int8).tobytes())
    for number, one in enumerate(raw):
        (out / f"raw-{number}.bin").write_bytes(one.astype(one.dtype.newbyteorder("<")).tobytes())
    index = {
        "schema_version": 1,
        "name": contract.name,
        "task": contract.task,
        "labels": list(contract.labels),
        "input_shape": list(contract.input.shape),
        "input": vars(contract.input_quant),
        "output": vars(contract.output_quant),
        "models": {m.format: {"file": m.path, "sha256": m.sha256} for m in models},
        "golden": {
            "vectors": len(inputs),
            "raw": [
                {"file": f"raw-{n}.bin", "shape": list(one.shape), "vector": len(vectors.inputs) + n}
                for n, one in enumerate(raw)
            ],
        },
    }
    (out / INDEX).write_text(escape.json_text(index) + "\n", encoding="ascii")
    return Written(len(inputs), len(raw))


def proofs(contract: Contract, formats: Sequence[str]) -> list[str]:
    """A line for each runtime that was proved on one of the formats."""
    return [
        f"{row.artifact} in {row.runtime}: {row.identical} of {row.values} values the same bits ({row.how})"
        for name in formats
        for row in contract.runtimes(name)
    ]


def raw_inputs(contract: Contract) -> tuple[NDArray[np.generic], ...]:
    """Made-up inputs that use every step: pictures of other shapes and sizes, recordings short and long."""
    rng = np.random.default_rng(_SEED)
    shape = contract.input
    if isinstance(shape, ImageInput):
        sizes = ((97, 131, 3), (shape.height + 29, shape.width + 3, shape.channels))
        return tuple(_picture(rng, *size) for size in sizes)
    return _recording(rng, shape.samples), _recording(rng, shape.samples // 2 + 1)


def ready(contract: Contract, raw: NDArray[np.generic]) -> NDArray[np.int8]:
    """The model's input int8 [1, ...] of a raw one, by the reference."""
    shape = contract.input
    if isinstance(shape, ImageInput):
        return preprocess.image(raw.astype(np.uint8), shape.height, shape.width, shape.channels)
    clip = preprocess.clip(raw[:, None], shape.rate_hz, shape.rate_hz, shape.samples)
    return preprocess.quantised(frontend.features(clip[None]))


def _picture(rng: np.random.Generator, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Slopes with steps where they wrap, and noise in a quarter."""
    y, x, c = np.ogrid[:height, :width, :channels]
    picture = (5 * x + 3 * y + 60 * c) % 256
    picture[: height // 2, : width // 2] = rng.integers(0, 256, (height // 2, width // 2, channels))
    return picture.astype(np.uint8)


def _recording(rng: np.random.Generator, samples: int) -> NDArray[np.int16]:
    """A rising tone in noise, with a clipped stretch."""
    t = np.arange(samples) / frontend.RATE_HZ
    wave = 6_000 * np.sin(2 * np.pi * (150 + 2_500 * t) * t) + rng.normal(0, 300, samples)
    wave[samples // 3 : samples // 3 + 400] *= 20
    return np.rint(wave).clip(-32768, 32767).astype(np.int16)
