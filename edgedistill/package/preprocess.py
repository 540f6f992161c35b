"""The reference of pre-processing: from any picture or recording to the very input that training had.

Every language of a package does these steps with the same bytes as result. NumPy alone is needed, and Pillow
to read picture files, so that this file is also the one that the Python package ships.

Pictures (as data/decode.py makes training images):

1. decoded and turned upright by the EXIF orientation; grey stays grey, a palette becomes its colours,
   CMYK becomes RGB, of 16 bits the upper 8 count, and alpha is dropped: the stored colours count as if
   opaque (a decoder that multiplies by alpha must be told not to);
2. grey to RGB by repeating; RGB to grey as ``(19595 R + 38470 G + 7471 B + 32768) >> 16`` (ITU-R BT.601);
3. cropped about the centre to the model's aspect ratio, at fractions of a pixel (``box``);
4. resized with the triangle filter over the area that an output pixel covers, first across and then
   down, each pass to 8 bits (``coefficients``); a pass equals Pillow's BILINEAR (Resample.c), and Pillow 13
   may take the two passes of one call in the other order;
5. ``q = pixel - 128``.

JPEG decoders differ from one another by a few units, so two of them need not give the same bytes; from
the decoded pixels on, everything is defined to the bit. Coefficients are in double precision (IEEE 754),
computed in the order that is written here, without fused multiply-add.

Sound (as data/audio.py makes training clips):

1. samples in units of 16 bits: of 8 bits ``(u - 128) * 256``, of 24 and 32 bits divided by 256 and 65536;
2. of a recording longer than a second the middle second, at its own rate; the mean of all channels;
3. resampled to the model's rate (``resampled``), for 44.1 kHz as for 8 kHz; in double precision, where
   another order of additions moves a value by less than 1e-9 of a unit of 16 bits;
4. of what is longer than the clip the middle, and zeros on both sides of what is shorter: of an odd number
   of zeros the extra one comes last; rounded half to even first to 24 bits behind the point, so that the
   last bits of a sum do not decide, and then to a whole number; clamped to 16 bits;
5. log-mel features in integers (data/frontend.py, frontend.c), ``q = feature - 128``.

Shapes: H, W, C of a picture; S samples, K channels of a recording.
"""

from __future__ import annotations

import io
import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
Real = NDArray[np.float64]

PRECISION_BITS = 22  # of a coefficient: 32 - 8 for a pixel - 2 for the sum
MAX_PIXELS = 64 * 2**20
HALF_WIDTH = 10  # of the resampling filter, in samples of the lower rate
KAISER_BETA = 5.0
RATES_HZ = (4_000, 192_000)


def image(pixels_HWC: U8, height: int, width: int, channels: int) -> NDArray[np.int8]:
    """The model's input int8 [1, height, width, channels] of an upright picture.

    Args:
        pixels_HWC: of 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGBA) channels.
        height, width: of the model.
        channels: of the model, 1 or 3.
    """
    return quantised(resized(in_colour(pixels_HWC, channels), height, width))[None]


def quantised(values: U8) -> NDArray[np.int8]:
    """``q = value - 128``."""
    return (values.astype(np.int16) - 128).astype(np.int8)


def in_colour(pixels_HWC: U8, channels: int) -> U8:
    """Alpha dropped; grey [H, W, 1] or RGB [H, W, 3] as ``channels`` says."""
    assert pixels_HWC.ndim == 3 and pixels_HWC.shape[2] in (1, 2, 3, 4) and channels in (1, 3), (
        "pixels [H,W,C]"
    )
    colours = pixels_HWC[..., : 1 if pixels_HWC.shape[2] < 3 else 3]
    if colours.shape[2] == channels:
        return colours
    if channels == 3:
        return np.repeat(colours, 3, axis=2)
    weighted = colours.astype(np.int32) @ np.array([19_595, 38_470, 7_471], np.int32)
    return ((weighted + 32_768) >> 16).astype(np.uint8)[..., None]


def box(height: int, width: int, out_height: int, out_width: int) -> tuple[np.float32, ...]:
    """(left, top, right, bottom) of the centred part with the model's aspect ratio, float32 as in Pillow."""
    zoom = min(width / out_width, height / out_height)
    crop_w, crop_h = zoom * out_width, zoom * out_height
    left, top = max((width - crop_w) / 2, 0.0), max((height - crop_h) / 2, 0.0)
    right, bottom = min(left + crop_w, width), min(top + crop_h, height)
    return np.float32(left), np.float32(top), np.float32(right), np.float32(bottom)


def coefficients(
    size: int, start: np.float32, end: np.float32, out: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """First input and weights [out, taps] of each output of one pass; a weight of 1 is 2^22.

    An output covers ``scale`` inputs about ``centre``; the filter is a triangle as wide as two outputs, or
    two inputs where the picture is enlarged. Weights are normalised in double precision and then rounded.
    """
    scale = float(end - start) / out  # the difference in float32
    filter_scale = max(scale, 1.0)
    centre = float(start) + (np.arange(out) + 0.5) * scale
    first = np.maximum(np.trunc(centre - filter_scale + 0.5), 0.0)
    count = np.minimum(np.trunc(centre + filter_scale + 0.5), size) - first
    taps = np.arange(int(count.max()), dtype=np.float64)
    distance = np.abs((taps[None] + first[:, None] - centre[:, None] + 0.5) * (1.0 / filter_scale))
    weights = np.where((distance < 1.0) & (taps[None] < count[:, None]), 1.0 - distance, 0.0)
    total = np.zeros(out)
    for tap in range(weights.shape[1]):  # in this order
        total += weights[:, tap]
    weights /= total[:, None]
    return first.astype(np.int64), np.trunc(0.5 + weights * (1 << PRECISION_BITS)).astype(np.int32)


def resized(pixels_HWC: U8, height: int, width: int) -> U8:
    """Centre-cropped to the aspect ratio and resized, uint8 [height, width, C]."""
    rows, columns = pixels_HWC.shape[:2]
    if (rows, columns) == (height, width):
        return pixels_HWC
    left, top, right, bottom = box(rows, columns, height, width)
    narrow = _pass(pixels_HWC.transpose(1, 0, 2), *coefficients(columns, left, right, width))  # [width,H,C]
    return _pass(narrow.transpose(1, 0, 2), *coefficients(rows, top, bottom, height))


def _pass(lines: U8, first: NDArray[np.int64], weights: NDArray[np.int32]) -> U8:
    """Weighted sums along the first axis, rounded half up to 8 bits."""
    total = np.full((len(first), *lines.shape[1:]), 1 << (PRECISION_BITS - 1), dtype=np.int32)
    for tap in range(weights.shape[1]):
        line = np.minimum(first + tap, len(lines) - 1)  # beyond the edge the weight is 0
        total += weights[:, tap, None, None] * lines[line]
    return (total >> PRECISION_BITS).clip(0, 255).astype(np.uint8)


def read_image(file: Path | bytes) -> U8:
    """The upright pixels [H, W, 1 or 3] of a picture file.

    Raises:
        ValueError, OSError: it is no picture, a broken one, or larger than 64 Mpx.
    """
    from PIL import Image, ImageOps

    content = file if isinstance(file, bytes) else file.read_bytes()
    opened = Image.open(io.BytesIO(content))
    if opened.width * opened.height > MAX_PIXELS:
        raise ValueError(f"{opened.width}x{opened.height} is more than {MAX_PIXELS >> 20} Mpx")
    upright = ImageOps.exif_transpose(opened)
    if upright.mode.startswith("I"):
        upper = np.asarray(upright).astype(np.int64).clip(0, 65535) >> 8
        return upper.astype(np.uint8)[..., None]
    if upright.mode == "P":
        upright = upright.convert("RGBA" if "transparency" in upright.info else "RGB")
    grey = upright.mode in ("1", "L", "LA")
    pixels = np.asarray(upright.convert("L" if grey else "RGB"), dtype=np.uint8)
    return pixels.reshape(upright.height, upright.width, 1 if grey else 3)


def clip(samples_SK: NDArray[np.generic], rate_hz: int, to_hz: int, length: int) -> NDArray[np.int16]:
    """The clip int16 [length] that features are computed from.

    Args:
        samples_SK: in units of 16 bits, at least one.
        rate_hz: of the samples, 4,000 to 192,000.
        to_hz, length: of the model.
    """
    assert samples_SK.ndim == 2 and samples_SK.size, "samples [S, K]"
    assert RATES_HZ[0] <= rate_hz <= RATES_HZ[1], "a sample rate of 4 to 192 kHz"
    second = _middle(samples_SK, rate_hz)
    mono = second.mean(axis=1) if second.shape[1] > 1 else second[:, 0].astype(np.float64)
    if rate_hz != to_hz:
        mono = resampled(mono, rate_hz, to_hz)
    mono = _middle(mono, length)
    missing = length - len(mono)
    padded = np.pad(mono, (missing // 2, missing - missing // 2))
    exact = np.rint(padded * 2.0**24) / 2.0**24  # what is a half but for the last bits of a sum becomes one
    return np.rint(exact).clip(-32768, 32767).astype(np.int16)


def resampled(mono_S: Real, rate_hz: int, to_hz: int) -> Real:
    """By a polyphase low-pass, as scipy.signal.resample_poly with its default window.

    With U = to / gcd and D = rate / gcd, output m is the sum over n, in rising order, of
    ``x[n] * h[10 max(U, D) + m D - n U]``; there are ceil(S U / D) of them.
    """
    common = math.gcd(rate_hz, to_hz)
    up, down = to_hz // common, rate_hz // common
    h = low_pass(up, down)
    half = HALF_WIDTH * max(up, down)
    count = -(-len(mono_S) * up // down)
    at = np.arange(count, dtype=np.int64) * down
    first = -((half - at) // up)  # the lowest n whose tap exists: ceil((at - half) / up)
    total = np.zeros(count)
    for step in range(2 * half // up + 1):
        n = first + step
        tap = half + at - n * up
        inside = (n >= 0) & (n < len(mono_S)) & (tap >= 0)
        total += np.where(inside, mono_S[n.clip(0, len(mono_S) - 1)] * h[tap.clip(0, 2 * half)], 0.0)
    return total


def low_pass(up: int, down: int) -> Real:
    """Taps [20 max(up, down) + 1]: a sinc of cut-off 1 / max(up, down) in a Kaiser window, of sum ``up``."""
    most = max(up, down)
    half = HALF_WIDTH * most
    n = np.arange(-half, half + 1, dtype=np.float64)
    inside = np.sqrt(np.maximum(1.0 - (n / half) ** 2, 0.0))
    taps = np.sinc(n / most) * _bessel_i0(KAISER_BETA * inside)
    return np.asarray(taps * (up / taps.sum()))


def _bessel_i0(x: Real) -> Real:
    """Modified Bessel function of order 0 by its power series (Abramowitz & Stegun, 9.6.12); x <= 5."""
    term, total = np.ones_like(x), np.ones_like(x)
    for k in range(1, 31):
        term = term * (x * x / 4) / (k * k)
        total = total + term
    return total


def _middle(samples: NDArray[np.generic], count: int) -> NDArray[np.generic]:
    before = max(len(samples) - count, 0) // 2
    return samples[before : before + count]


def read_wav(file: Path | bytes) -> tuple[Real, int]:
    """Samples [S, K] in units of 16 bits, and the rate, of a WAV file of 8, 16, 24 or 32-bit PCM.

    Raises:
        ValueError, OSError: it is no such file, or a broken one.
    """
    content = file if isinstance(file, bytes) else file.read_bytes()
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise ValueError("this is no WAV file")
    form: tuple[int, int, int, int] | None = None  # kind, channels, rate, bits
    at = 12
    while at + 8 <= len(content):
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        if name == b"fmt " and size >= 16 and at + 24 <= len(content):
            kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", content, at + 8)
            if kind == 0xFFFE and size >= 26 and at + 34 <= len(content):  # the sub-format has the kind
                kind = int.from_bytes(content[at + 32 : at + 34], "little")
            form = kind, channels, rate, bits
        if name == b"data" and form is not None:
            return _samples(content[at + 8 : at + 8 + size], size, *form)
        at += 8 + size + size % 2
    raise ValueError("the WAV file ends before its samples")


def _samples(data: bytes, size: int, kind: int, channels: int, rate: int, bits: int) -> tuple[Real, int]:
    if kind != 1 or bits not in (8, 16, 24, 32) or not channels:
        raise ValueError(f"the WAV file holds {bits}-bit samples of kind {kind}, not PCM of 8 to 32 bits")
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        raise ValueError(f"a sample rate of {rate} Hz, not {RATES_HZ[0]} to {RATES_HZ[1]}")
    width = bits // 8
    if len(data) < size:
        raise ValueError(f"the WAV file is cut off: {len(data)} of {size} bytes of samples are there")
    raw = np.frombuffer(data[: size // (width * channels) * width * channels], np.uint8).reshape(-1, width)
    if not len(raw):
        raise ValueError("the WAV file holds no samples")
    if bits == 8:
        return (raw.astype(np.float64) - 128.0).reshape(-1, channels) * 256.0, rate
    value = np.zeros(len(raw), dtype=np.int64)
    for byte in range(width):
        value |= raw[:, byte].astype(np.int64) << (8 * byte)
    value -= (value >> (bits - 1)) << bits
    return value.astype(np.float64).reshape(-1, channels) / 2.0 ** (bits - 16), rate
