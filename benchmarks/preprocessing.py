"""Pre-processing in every language that a package ships, on 200 pictures and 200 recordings, byte by byte.

    python -m benchmarks.preprocessing --json FILE

What training makes of a file, the reference in NumPy and each language are compared. A language is a row of
LANGUAGES: a function that gives its answers, or says why it did not run.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import wave
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import provenance
from edgedistill.data import audio, decode
from edgedistill.package import languages, preprocess
from edgedistill.package.languages import Picture, Recording
from edgedistill.runners import aarch64, programs
from tests.package import kotlin

Case = Picture | Recording
Answers = Callable[[Sequence[Case]], bytes | str]  # a str: why it was not run

COUNT = 200
INPUTS = ((32, 32, 3), (96, 96, 1), (224, 224, 3), (64, 48, 3))  # height, width, channels of a model
KINDS = ("rgb", "grey", "rgba", "16 bits", "cmyk", "turned", "palette")
RATES_HZ = (8_000, 16_000, 44_100)


def _here(cases: Sequence[Case]) -> bytes | str:
    if programs.find("gcc") is None:
        return "there is no gcc here"
    return languages.in_c(cases, ["gcc"])


def _aarch64(cases: Sequence[Case]) -> bytes | str:
    reason = aarch64.reason_not_runnable()
    if reason is not None:
        return reason
    return languages.in_c(cases, [aarch64.CC, "-static"], under=(aarch64.QEMU, "-cpu", aarch64.CPU))


def _kotlin(cases: Sequence[Case]) -> bytes | str:
    """The Android module's Kotlin on a desktop's JVM."""
    reason = kotlin.missing()
    if reason is not None:
        return reason
    with tempfile.TemporaryDirectory() as temporary:
        program = kotlin.of_phones(Path(temporary))
        found = b""
        for package, kind in (("pictures", Picture), ("sounds", Recording)):
            part = [case for case in cases if isinstance(case, kind)]
            folder = Path(temporary) / f"{package}-cases"
            folder.mkdir()
            results, seconds = program.preprocess(package, part, folder, warm_ups=len(part))
            print(f"kotlin: {len(part)} {package} in {seconds:.3f} s")
            found += results
        return found


LANGUAGES: Mapping[str, Answers] = {
    "c": _here,
    "c, 64-bit Arm in QEMU": _aarch64,
    "kotlin, on a desktop's JVM": _kotlin,
}


def picture_file(rng: np.random.Generator, number: int) -> tuple[str, bytes]:
    """A file of some kind and an odd size."""
    kind = KINDS[number % len(KINDS)]
    height, width = (int(v) for v in np.exp(rng.uniform(0, np.log(600), 2)))
    if number < len(KINDS):
        height, width = 1, 1
    elif number % 20 == 0:
        height, width = int(rng.integers(1, 30)), 8_000
    rgb = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    out = io.BytesIO()
    if kind == "cmyk":
        rgb.convert("CMYK").save(out, "JPEG")
    elif kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = int(rng.integers(2, 9))
        rgb.save(out, "JPEG", exif=exif)
    elif kind == "rgba":
        Image.fromarray(rng.integers(0, 256, (height, width, 4), dtype=np.uint8)).save(out, "PNG")
    elif kind == "16 bits":
        Image.fromarray(rng.integers(0, 65_536, (height, width), dtype=np.uint16)).save(out, "PNG")
    elif kind == "palette":
        rgb.quantize(32).save(out, "PNG")
    else:
        (rgb.convert("L") if kind == "grey" else rgb).save(out, "PNG")
    return kind, out.getvalue()


def recording_file(rng: np.random.Generator, number: int, path: Path) -> None:
    """A WAV file of some rate, one or two channels, from one sample to two seconds; noise, or ramps."""
    rate, channels = RATES_HZ[number % 3], 1 + number % 2
    count = 1 if number < 6 else int(rng.integers(1, 2 * rate))
    if number % 7 == 0:  # ramps resample to exact halves
        samples = np.arange(count)[:, None] * 3 % 30_011 + np.arange(channels)[None]
    else:
        samples = rng.normal(0, 9_000, (count, channels)).clip(-32_768, 32_767)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def cases(folder: Path) -> tuple[list[Case], int]:
    """Pictures, then recordings, decoded by the reference; and how many training sees with other bytes."""
    rng = np.random.default_rng(0)
    made: list[Case] = []
    other = 0
    for number in range(COUNT):
        _, content = picture_file(rng, number)
        height, width, channels = INPUTS[number % len(INPUTS)]
        case = Picture(preprocess.read_image(content), height, width, channels)
        trained = decode._pixels(content, decode.Geometry(height, width, channels))
        other += preprocess.quantised(trained).tobytes() != case.expected()
        made.append(case)
    for number in range(COUNT):
        path = folder / f"{number}.wav"
        recording_file(rng, number, path)
        samples, rate_hz = preprocess.read_wav(path)
        recording = Recording(samples, rate_hz, 16_000, 16_000)
        clip = audio.decode((path.name, path))
        other += (
            not isinstance(clip, audio.Clip) or clip.samples.astype("<i2").tobytes() != recording.expected()
        )
        made.append(recording)
    return made, other


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        made, other = cases(Path(temporary))
    rows: list[dict[str, object]] = [
        {"language": "training (Pillow, SciPy)", "pictures": COUNT, "recordings": COUNT, "different": other}
    ]
    for name, answers in LANGUAGES.items():
        found = answers(made)
        if isinstance(found, str):
            rows.append({"language": name, "not run": found})
            continue
        same = languages.identical(made, found)
        rows.append(
            {
                "language": name,
                "pictures": COUNT,
                "recordings": COUNT,
                "different pictures": COUNT - sum(same[:COUNT]),
                "different recordings": COUNT - sum(same[COUNT:]),
            }
        )
    for row in rows:
        print(row)
    provenance.write(told.json, {"rows": rows, "bytes": sum(len(c.expected()) for c in made)}, {})


if __name__ == "__main__":
    main()
