"""Makes raw inputs of odd sizes with the answers that every platform must give to them.

golden.npz proves the network; these prove what stands before it. Each case is there twice: decoded, as
the bytes of its pixels or samples, for which everything is defined, and as a PNG or WAV file, which every
decoder reads alike. See package/preprocess.py for the rule.
"""

from __future__ import annotations

import hashlib
import io
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.bench.files import GRAPH
from edgedistill.data import frontend
from edgedistill.ir import golden, interpret, serial
from edgedistill.ir.interpret import Family
from edgedistill.package import escape, preprocess
from edgedistill.package.contract import Contract, ImageInput, SoundInput

FOLDER = "golden-raw"
INDEX = "golden-raw.json"
_SIZES = ((1, 1), (1, 97), (61, 1), (37, 53), (113, 71), (200, 40), (16, 240))  # (height, width)
_CLIPS = (
    (16_000, 1, 16_000), (8_000, 1, 8_000), (44_100, 2, 44_100), (48_000, 2, 61_007), (16_000, 1, 20_001),
    (22_050, 1, 7_001), (11_025, 2, 11_025), (16_000, 2, 1),
)  # fmt: skip
_HELD_OUT = 2
_MAX_INPUT_BYTES = 65_536  # larger inputs are given by their sha256 alone


@dataclass(frozen=True, eq=False)
class Case:
    """A raw input: ``raw`` uint8 [H, W, C] or int16 [S, K], its file, and what comes of it."""

    name: str
    made: str  # "synthetic", or "held-out: ..."
    raw: NDArray[np.uint8] | NDArray[np.int16]
    file: bytes
    rate_hz: int | None
    input: NDArray[np.int8]  # of the model, without the batch
    output: NDArray[np.int8]  # [classes]

    @property
    def raw_bytes(self) -> bytes:
        """As the files hold them: little-endian."""
        return self.raw.astype(self.raw.dtype.newbyteorder("<")).tobytes()


def cases(contract: Contract, folder: Path, family: Family = "F") -> tuple[Case, ...]:
    """The same cases for the same build.

    Args:
        contract: of the build.
        folder: of the build, whose graph computes the answers.
        family: of their arithmetic.
    """
    graph = serial.load(folder / GRAPH)
    raws = _pictures(contract.input, folder) if isinstance(contract.input, ImageInput) else _clips()
    inputs = [model_input(contract, raw, rate) for _, _, raw, rate in raws]
    x = np.concatenate(inputs)
    answers = interpret.run_batched(graph, {graph.inputs[0]: x}, family)[graph.outputs[0]]
    outputs = np.asarray(answers, np.int8).reshape(len(x), -1)
    return tuple(
        Case(name, made, raw, _png(raw) if rate is None else _wav(raw, rate), rate, one[0], output)
        for (name, made, raw, rate), one, output in zip(raws, inputs, outputs, strict=True)
    )


def model_input(contract: Contract, raw: NDArray[np.generic], rate_hz: int | None) -> NDArray[np.int8]:
    """By the reference: decoded pixels [H, W, C] or samples [S, K] to the model's input [1, ...]."""
    if isinstance(contract.input, ImageInput):
        want = contract.input
        return preprocess.image(np.asarray(raw, np.uint8), want.height, want.width, want.channels)
    assert rate_hz is not None, "samples have a rate"
    return features(
        contract.input, preprocess.clip(raw, rate_hz, contract.input.rate_hz, contract.input.samples)
    )


def features(want: SoundInput, clip: NDArray[np.int16]) -> NDArray[np.int8]:
    """A clip int16 [samples] to the model's input [1, frames, bands, 1]."""
    return preprocess.quantised(frontend.features(clip[None])).reshape(want.shape)


def write(contract: Contract, folder: Path, out: Path, family: Family = "F") -> tuple[Case, ...]:
    """Writes FOLDER with its INDEX below ``out``: NAME.png or .wav, NAME.raw (decoded), NAME.input (int8)."""
    made = cases(contract, folder, family)
    place = out / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    suffix = "wav" if contract.is_sound else "png"
    rows = []
    for case in made:
        small = case.input.nbytes <= _MAX_INPUT_BYTES
        (place / f"{case.name}.{suffix}").write_bytes(case.file)
        (place / f"{case.name}.raw").write_bytes(case.raw_bytes)
        if small:
            (place / f"{case.name}.input").write_bytes(case.input.tobytes())
        rows.append(
            {
                "name": case.name,
                "made": case.made,
                "file": f"{case.name}.{suffix}",
                "raw": f"{case.name}.raw",
                "shape": list(case.raw.shape),
                "rate_hz": case.rate_hz,
                "input": f"{case.name}.input" if small else None,
                "input_sha256": hashlib.sha256(case.input.tobytes()).hexdigest(),
                "output": case.output.tolist(),
                "label": int(case.output.argmax()),
            }
        )
    index = {
        "about": "raw inputs and what must come of them; shape is [height, width, channels] of uint8 pixels, "
        "or [samples, channels] of little-endian int16 samples; input is int8 as the model takes it, "
        "output int8 logits",
        "family": family,
        "kind": "sound" if contract.is_sound else "image",
        "input_shape": list(contract.input.shape),
        "cases": rows,
    }
    (place / INDEX).write_text(escape.json_text(index) + "\n", encoding="ascii")
    return made


Raws = list[tuple[str, str, NDArray[np.uint8] | NDArray[np.int16], int | None]]


def _pictures(want: ImageInput, folder: Path) -> Raws:
    """Held-out test images from golden.npz at the model's size, and made-up pictures of odd sizes."""
    held = golden.load(folder / "golden.npz").inputs[:_HELD_OUT]
    pixels = (
        (held.astype(np.int16) + 128).astype(np.uint8).reshape(-1, want.height, want.width, want.channels)
    )
    found: Raws = [
        (f"test-{i}", "held-out: an input of golden.npz", image, None) for i, image in enumerate(pixels)
    ]
    for i, (height, width) in enumerate(_SIZES):
        channels = (3, 1, 4)[i % 3]
        found.append(
            (f"odd-{height}x{width}x{channels}", "synthetic", _picture(height, width, channels), None)
        )
    return found


def _picture(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Integers alone: edges and gradients of all slopes."""
    y, x, c = np.meshgrid(*(np.arange(n, dtype=np.int64) for n in (height, width, channels)), indexing="ij")
    return ((7 * x * x + 13 * x * y + 29 * y + 83 * c + 40 * ((x // 5 + y // 3) % 2)) % 256).astype(np.uint8)


def _clips() -> Raws:
    """Made-up sound: sawtooths whose pitch rises, in integers."""
    found: Raws = []
    for rate, channels, count in _CLIPS:
        n = np.arange(count, dtype=np.int64)[:, None] * (44_100 // rate + 1)
        k = np.arange(channels, dtype=np.int64)[None]
        samples = (n * (n // 512 + 3 + 5 * k) % 20_011 - 10_005 + 311 * k).astype(np.int16)
        found.append((f"tone-{rate}-{channels}-{count}", "synthetic", samples, rate))
    return found


def _png(pixels: NDArray[np.generic]) -> bytes:
    from PIL import Image

    flat = np.asarray(pixels, np.uint8)
    out = io.BytesIO()
    Image.fromarray(flat[..., 0] if flat.shape[2] == 1 else flat).save(out, "PNG")
    return out.getvalue()


def _wav(samples: NDArray[np.generic], rate_hz: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())
    return out.getvalue()
