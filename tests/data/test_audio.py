"""Clips: found, decoded to one second at 16 kHz, split by speaker; and what is said about bad ones."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edgedistill import data
from edgedistill.data import audio, frontend
from edgedistill.data.audio import Clip
from edgedistill.data.types import ImageData
from edgedistill.errors import DataError, UnknownNameError
from edgedistill.recipe import DataSection
from tests import sounds


def load(source: Path, cache: Path, seed: int = 0, **options: object) -> ImageData:
    section = DataSection.model_validate({"source": str(source), **options})
    return data.load(section, seed=seed, cache=cache)


def decoded(path: Path) -> Clip:
    clip = audio.decode((path.name, path))
    assert isinstance(clip, Clip), clip
    return clip


def problem(path: Path) -> str:
    text = audio.decode((path.name, path))
    assert isinstance(text, str)
    return text


def speakers(root: Path, split: data.Split) -> set[str]:
    """The speakers of a split, found again by their samples."""
    files = {decoded(path).samples.tobytes(): path for path in root.rglob("*.wav")}
    assert split.waveforms is not None
    return {audio.GROUPS["nohash"].of(files[wave.tobytes()].relative_to(root)) for wave in split.waveforms}


def test_a_folder_of_clips_becomes_features_of_disjoint_speakers(tmp_path: Path) -> None:
    root = sounds.class_folders(tmp_path / "words", speakers=20, each=2)
    found = load(root, tmp_path / "cache")
    assert found.task == data.task_of(str(root)) == "keyword-spotting"
    assert found.labels == ("_silence_", "high", "low") and found.image_shape == (49, 40, 1)
    assert sum(map(len, (found.train, found.validation, found.test))) == 120
    heard = [speakers(root, split) for split in (found.train, found.validation, found.test)]
    assert not heard[0] & heard[1] and not heard[0] & heard[2] and not heard[1] & heard[2]
    for split in (found.train, found.validation, found.test):
        assert split.waveforms is not None and split.noise is not None
        np.testing.assert_array_equal(split.images_NHWC, frontend.features(np.asarray(split.waveforms)))
        assert (split.labels[split.noise] == 0).all() and len(split.noise) == int((split.labels == 0).sum())


def test_speakers_stay_in_their_split_whatever_the_seed_and_the_others(tmp_path: Path) -> None:
    root = sounds.class_folders(tmp_path / "words")
    one, two = load(root, tmp_path / "a", seed=0), load(root, tmp_path / "b", seed=1)
    assert one.fingerprint == two.fingerprint
    before = speakers(root, one.test)
    sounds.write_wav(root / "low" / "another_nohash_0.wav", sounds.tone(320, 999))
    assert speakers(root, load(root, tmp_path / "c").test) - {"another"} == before


@pytest.mark.parametrize(
    ("rule", "path", "group"),
    [
        ("nohash", "yes/0ab1_nohash_3.wav", "0ab1"),
        ("nohash", "_unknown_/cat_0ab1_nohash_3.wav.flac", "0ab1"),
        ("nohash", "_silence_/17.wav", "_silence_/17.wav"),
        ("prefix", "a/84-121123-0001.flac", "84"),
        ("folder", "yes/anna/1.wav", "anna"),
        ("file", "yes/anna_nohash_1.wav", "yes/anna_nohash_1.wav"),
    ],
)
def test_how_a_group_is_found(rule: str, path: str, group: str) -> None:
    assert audio.GROUPS[rule].of(Path(path)) == group


def test_given_test_speakers_are_not_trained_on(tmp_path: Path) -> None:
    sounds.class_folders(tmp_path / "words" / "train", speakers=12)
    for name, hz in (("low", 300), ("high", 2_500), ("_silence_", 1)):
        sounds.write_wav(tmp_path / "words" / "test" / name / "sp003_nohash_9.wav", sounds.tone(hz, 77))
    found = load(tmp_path / "words", tmp_path / "cache")
    assert len(found.test) == 3 and len(found.train) + len(found.validation) == 34
    assert any("2 training clips are of speakers of the test clips" in text for text in found.warnings)


def test_short_clips_are_padded_and_long_ones_cut_in_the_middle(tmp_path: Path) -> None:
    wave = np.arange(1, 20_001, dtype=np.int16)
    sounds.write_wav(tmp_path / "long.wav", wave)
    sounds.write_wav(tmp_path / "short.wav", wave[:10_000])
    long, short = decoded(tmp_path / "long.wav"), decoded(tmp_path / "short.wav")
    assert long.cut and not short.cut
    np.testing.assert_array_equal(long.samples, wave[2_000:18_000])
    np.testing.assert_array_equal(short.samples[3_000:13_000], wave[:10_000])
    assert not short.samples[:3_000].any() and not short.samples[13_000:].any()


def test_stereo_is_mixed_and_other_rates_are_resampled(tmp_path: Path) -> None:
    left = sounds.tone(400, 1)
    sounds.write_wav(tmp_path / "stereo.wav", np.stack([left, left // 2], axis=1), channels=2)
    mixed = decoded(tmp_path / "stereo.wav")
    expected = np.rint((left.astype(float) + left // 2) / 2)
    np.testing.assert_array_equal(mixed.samples, expected)
    sounds.write_wav(tmp_path / "rate.wav", sounds.tone(400, 1, samples=44_100, rate=44_100), rate=44_100)
    other = decoded(tmp_path / "rate.wav")
    assert mixed.mixed and other.resampled and not other.cut
    assert np.abs(np.fft.rfft(other.samples)).argmax() == 400


def test_flac_and_other_wavs_are_read_to_the_bit(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile", reason="needs soundfile")
    wave = sounds.tone(700, 3)
    soundfile.write(tmp_path / "a.flac", wave, 16_000, subtype="PCM_16")
    soundfile.write(tmp_path / "b.wav", wave / 32768, 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "c.wav", wave.astype(np.int32) << 16, 16_000, subtype="PCM_24")
    for name in ("a.flac", "b.wav", "c.wav"):
        np.testing.assert_array_equal(decoded(tmp_path / name).samples, wave)
    content = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "d.flac").write_bytes(content[: len(content) // 2])
    (tmp_path / "e.flac").write_bytes(b"fLaC" + b"\0" * 50)
    assert problem(tmp_path / "d.flac") and problem(tmp_path / "e.flac")


def test_broken_files_say_what_is_wrong(tmp_path: Path) -> None:
    sounds.write_wav(tmp_path / "whole.wav", sounds.tone(400, 1))
    content = (tmp_path / "whole.wav").read_bytes()
    for name, part in (
        ("cut", content[:10_044]),
        ("head", content[:20]),
        ("none", b""),
        ("text", b"hello" * 99),
    ):
        (tmp_path / f"{name}.wav").write_bytes(part)
    sounds.write_wav(tmp_path / "zero.wav", np.zeros(0, np.int16))
    sounds.write_wav(tmp_path / "slow.wav", sounds.tone(400, 1), rate=11)
    assert problem(tmp_path / "cut.wav") == "cut.wav: truncated: 5000 of 16000 samples are there"
    assert problem(tmp_path / "none.wav") == "none.wav: empty file"
    assert problem(tmp_path / "zero.wav") == "zero.wav: it holds no samples"
    assert problem(tmp_path / "slow.wav") == "slow.wav: a sample rate of 11 Hz, not 4000 to 192000"
    assert "no wav file" in problem(tmp_path / "text.wav")
    assert problem(tmp_path / "head.wav").startswith("head.wav: ")
    assert problem(tmp_path / "gone.wav").startswith("gone.wav: ")


def test_some_broken_clips_are_left_out_and_many_are_refused(tmp_path: Path) -> None:
    root = sounds.class_folders(tmp_path / "words")
    (root / "low" / "sp001_nohash_0.wav").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 of 72 clips are broken .*low/sp001_nohash_0\.wav: empty file"):
        load(root, tmp_path / "cache")
    found = load(root, tmp_path / "cache", max_broken_share=0.1)
    assert sum(map(len, (found.train, found.validation, found.test))) == 71
    assert any("1 of 72 clips are broken" in text for text in found.warnings)
    assert {len(s.labels) == len(s.images_NHWC) for s in (found.train, found.validation, found.test)} == {
        True
    }


def test_the_same_clip_is_not_in_two_splits(tmp_path: Path) -> None:
    root = sounds.class_folders(tmp_path / "words")
    first = load(root, tmp_path / "a")
    tested = next(iter(speakers(root, first.test) - {""}))
    trained = sorted(s for s in speakers(root, first.train) if s.startswith("sp"))[0]
    source = root / "low" / f"{tested}_nohash_0.wav" if tested.startswith("sp") else root / tested
    (root / "low" / f"{trained}_nohash_7.wav").write_bytes(source.read_bytes())
    again = load(root, tmp_path / "b")
    assert len(again.train) == len(first.train)
    assert any("1 clips are in two splits" in text for text in again.warnings)


def refused(source: Path, cache: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        load(source, cache, **options)
    assert caught.value.fix and caught.value.where
    return str(caught.value)


def test_data_that_cannot_be_used(tmp_path: Path) -> None:
    root = sounds.class_folders(tmp_path / "words", speakers=4)
    assert "is for images" in refused(root, tmp_path / "c", resolution=32)
    with pytest.raises(UnknownNameError, match="did you mean nohash"):
        load(root, tmp_path / "c", group="nohsh")
    sounds.write_wav(tmp_path / "one" / "low" / "a.wav", sounds.tone(300, 1))
    assert "only one class" in refused(tmp_path / "one", tmp_path / "c")
    sounds.write_wav(tmp_path / "one" / "high" / "a.wav", sounds.tone(900, 1))
    assert "2 classes have fewer than 3 clips" in refused(tmp_path / "one", tmp_path / "c")
    for name, hz in (("low", 300), ("high", 900)):
        for i in range(3):
            sounds.write_wav(tmp_path / "one" / name / f"anna_nohash_{i}.wav", sounds.tone(hz, i))
            (tmp_path / "one" / name / "a.wav").unlink(missing_ok=True)
    assert "all 6 clips are of one or two speakers (anna)" in refused(tmp_path / "one", tmp_path / "c")
    np.savez(tmp_path / "pixels.npz", x=np.zeros((9, 8, 8), np.uint8), y=np.arange(9) % 3)
    assert "sound and the other images" in refused(root, tmp_path / "c", test=str(tmp_path / "pixels.npz"))


def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    root = sounds.class_folders(tmp_path / "words", speakers=4)
    (root / "low" / "sp009_nohash_0.flac").write_bytes(b"fLaC")
    text = refused(root, tmp_path / "cache")
    assert "needs the soundfile library" in text and "edgedistill[audio]" in text


def test_real_clips(real_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("soundfile", reason="needs soundfile")
    source = real_data / "speech_commands"
    words = ("yes", "no", "_silence_", "_unknown_")
    for word in words:
        (tmp_path / "some" / word).mkdir(parents=True)
        for path in sorted((source / word).iterdir())[:60]:
            (tmp_path / "some" / word / path.name).symlink_to(path)
    found = load(tmp_path / "some", tmp_path / "cache")
    assert found.labels == tuple(sorted(words)) and not found.warnings
    assert sum(map(len, (found.train, found.validation, found.test))) == 240
