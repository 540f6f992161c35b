"""The reference of pre-processing is what training does, to the bit, and so is the C that packages ship."""

import io
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from edgedistill.data import audio, decode
from edgedistill.package import languages, preprocess

SIDES = st.one_of(st.integers(1, 90), st.sampled_from([1, 2, 8_000]))


@settings(max_examples=60, deadline=None)
@given(
    SIDES,
    SIDES,
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([1, 3]),
    st.sampled_from([1, 3]),
    st.data(),
)
def test_pictures_become_what_training_makes_of_them(
    height: int, width: int, out_h: int, out_w: int, channels: int, out_c: int, data: st.DataObject
) -> None:
    if height * width > 700_000:
        height = 3
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    pixels = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    trained = decode._pixels(pixels, decode.Geometry(out_h, out_w, out_c))
    made = preprocess.image(pixels, out_h, out_w, out_c)
    assert np.array_equal(made[0].astype(np.int16) + 128, trained)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 60), st.data())
def test_one_pass_is_pillows(size: int, out: int, data: st.DataObject) -> None:
    start = np.float32(data.draw(st.floats(0, size / 2, width=32)))
    end = np.float32(data.draw(st.floats(size * 0.75, size, width=32)))
    line = np.random.default_rng(size).integers(0, 256, (1, size), dtype=np.uint8)
    pillow = Image.fromarray(line).resize(
        (out, 1), Image.Resampling.BILINEAR, box=(float(start), 0, float(end), 1)
    )
    made = preprocess._pass(line.T[:, :, None], *preprocess.coefficients(size, start, end, out))
    assert np.array_equal(made[:, 0, 0], np.asarray(pillow)[0])


def test_a_picture_whose_crop_would_start_below_zero_is_no_broken_one() -> None:
    """41 x 4 pixels to 13 x 2: rounding moves the crop's left side to -4e-16."""
    sizes = [
        (h, w, oh, ow) for h in range(30, 50) for w in range(2, 12) for oh in (13, 23) for ow in (2, 7, 9)
    ]
    for height, width, out_h, out_w in sizes:
        pixels = np.zeros((height, width, 1), dtype=np.uint8)
        assert decode._pixels(pixels, decode.Geometry(out_h, out_w, 1)).shape == (out_h, out_w, 1)


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def files() -> dict[str, bytes]:
    """One picture in many guises."""
    rng = np.random.default_rng(1)
    rgb = Image.fromarray(rng.integers(0, 256, (31, 17, 3), dtype=np.uint8))
    alpha = Image.fromarray(rng.integers(0, 256, (31, 17, 4), dtype=np.uint8))
    deep = Image.fromarray(rng.integers(0, 65_536, (31, 17), dtype=np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6
    palette = rgb.quantize(16)
    return {
        "rgb": _saved(rgb, "PNG"),
        "rgba": _saved(alpha, "PNG"),
        "grey": _saved(rgb.convert("L"), "PNG"),
        "grey and alpha": _saved(alpha.convert("LA"), "PNG"),
        "black and white": _saved(rgb.convert("1"), "PNG"),
        "palette": _saved(palette, "PNG"),
        "transparent palette": _saved(palette, "PNG", transparency=3),
        "16 bits": _saved(deep, "PNG"),
        "cmyk": _saved(rgb.convert("CMYK"), "JPEG"),
        "turned": _saved(rgb, "JPEG", exif=turned),
    }


@pytest.mark.parametrize("name", files())
@pytest.mark.parametrize("channels", [1, 3])
def test_files_become_what_training_makes_of_them(name: str, channels: int) -> None:
    content = files()[name]
    trained = decode._pixels(content, decode.Geometry(12, 9, channels))
    made = preprocess.image(preprocess.read_image(content), 12, 9, channels)
    assert np.array_equal(made[0].astype(np.int16) + 128, trained)


def wav(samples: NDArray[np.generic], rate: int, width: int = 2) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return out.getvalue()


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 48_000])
@pytest.mark.parametrize(("channels", "seconds"), [(1, 1.0), (2, 1.4), (3, 0.3)])
def test_recordings_become_what_training_makes_of_them(
    rate: int, channels: int, seconds: float, tmp_path: Path
) -> None:
    rng = np.random.default_rng(rate)
    samples = rng.normal(0, 12_000, (int(rate * seconds), channels)).clip(-32_768, 32_767).astype("<i2")
    path = tmp_path / "a.wav"
    path.write_bytes(wav(samples, rate))
    trained = audio.decode((path.name, path))
    assert isinstance(trained, audio.Clip)
    read, found_rate = preprocess.read_wav(path)
    assert found_rate == rate
    assert np.array_equal(preprocess.clip(read, rate, 16_000, 16_000), trained.samples)


def test_eight_24_and_32_bits_are_in_units_of_sixteen() -> None:
    eight = np.array([[0], [128], [255]], np.uint8)
    assert preprocess.read_wav(wav(eight, 8_000, 1))[0].ravel().tolist() == [-32_768, 0, 32_512]
    wide = np.array([[-(2**31)], [65_536 * 3 + 32_768]], "<i4")
    assert preprocess.read_wav(wav(wide, 8_000, 4))[0].ravel().tolist() == [-32_768, 3.5]
    three = np.frombuffer(bytes([0, 1, 0, 255, 255, 255]), np.uint8).reshape(2, 3)
    content = wav(three[:, :1], 8_000, 1)
    header = bytearray(wav(np.zeros((3, 1), np.int16), 8_000))
    header[32:36] = bytes([3, 0, 24, 0])  # block align 3, 24 bits
    assert len(content) > 0
    assert preprocess.read_wav(bytes(header[:44]) + three.tobytes())[0].ravel().tolist() == [1.0, -1 / 256]


@given(st.binary(max_size=120))
def test_no_bytes_are_more_than_a_broken_wav(content: bytes) -> None:
    for bad in (content, wav(np.zeros((4, 1), np.int16), 8_000)[:20] + content):
        try:
            samples, rate = preprocess.read_wav(bad)
        except ValueError:
            continue
        assert samples.size and 4_000 <= rate <= 192_000


def some() -> list[languages.Picture | languages.Recording]:
    rng = np.random.default_rng(7)
    shapes = [(1, 1, 1), (1, 97, 3), (61, 1, 4), (37, 53, 3), (3, 8_000, 3), (40, 30, 2), (32, 32, 3)]
    found: list[languages.Picture | languages.Recording] = []
    for shape in shapes:
        for height, width, channels in ((32, 32, 3), (9, 14, 1), (90, 41, 3)):
            found.append(
                languages.Picture(rng.integers(0, 256, shape, dtype=np.uint8), height, width, channels)
            )
    for rate, count, channels in (
        (8_000, 8_000, 1),
        (44_100, 50_000, 2),
        (16_000, 17, 3),
        (48_000, 9_001, 1),
    ):
        samples = rng.integers(-32_768, 32_768, (count, channels)).astype(np.int16)
        found.append(languages.Recording(samples, rate, 16_000, 16_000))
    return found


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc here")
def test_c_gives_the_same_bytes() -> None:
    cases = some()
    assert languages.identical(cases, languages.in_c(cases, ["gcc"])) == [True] * len(cases)


def test_a_wrong_byte_is_seen() -> None:
    cases = some()[3:6]
    right = bytearray(b"".join(case.expected() for case in cases))
    assert languages.identical(cases, bytes(right)) == [True] * 3
    right[len(cases[0].expected())] ^= 1
    assert languages.identical(cases, bytes(right)) == [True, False, True]


def test_a_ramp_that_resamples_to_halves_is_the_same_in_every_order_of_additions() -> None:
    """The mean of two channels a unit apart is a half everywhere, and a low-pass leaves a ramp as it is."""
    n = np.arange(4_800, dtype=np.int16)[:, None] * 3
    samples = np.concatenate([n, n + 1], axis=1)
    inner = preprocess.clip(samples, 48_000, 16_000, 1_600)[100:-100]
    assert np.array_equal(inner, np.rint(9 * np.arange(100, 1_500) + 0.5))
