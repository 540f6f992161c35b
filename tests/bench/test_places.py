"""The table of places: what the user writes, and what is refused before anything is measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgedistill import target
from edgedistill.bench import places
from edgedistill.bench.places import PLACES, PlaceRow, Request
from edgedistill.bench.versus import versus
from edgedistill.errors import InputError


@pytest.mark.parametrize("name", PLACES)
def test_every_row_can_be_imported(name: str) -> None:
    assert callable(PLACES[name].load())
    assert PLACES[name].written(name) in places.listed()


def test_addresses() -> None:
    assert Request(Path("a"), "serial:/dev/tty:1@9").address == "/dev/tty:1@9"
    assert Request(Path("a")).address == ""
    assert PlaceRow("", "a:b", address="[SERIAL]").written("adb") == "adb[:SERIAL]"
    assert PlaceRow("", "a:b", address="USER@HOST").written("ssh") == "ssh:USER@HOST"


@pytest.mark.parametrize(
    ("on", "words"),
    [
        ("serail:/dev/x", "nothing can be measured on 'serail:/dev/x'"),
        ("here:there", "here has no address"),
    ],
)
def test_what_is_refused(on: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        places.bench(Request(Path("nowhere"), on))


GIVEN = {
    "--cpu": (Request(Path("a"), cpu="cortex-a76"), "chooses an emulated processor"),
    "--mix": (Request(Path("a"), mix=True), "counts an emulated microcontroller's instructions"),
    "--python": (Request(Path("a"), python="python3"), "is of a board over ssh"),
    "--ssh-config": (Request(Path("a"), ssh_config=Path("c")), "is of a board over ssh"),
    "--benchmark-model": (Request(Path("a"), benchmark_model=Path("b")), "runs on a phone"),
}


@pytest.mark.parametrize("option", places.OPTIONS)
def test_an_option_is_refused_where_it_changes_nothing(option: str) -> None:
    request, does = GIVEN[option]
    takers = [name for name, row in PLACES.items() if option in row.takes]
    assert takers
    for name, row in PLACES.items():
        asked = replace(request, on=name)
        if name in takers:
            assert places.row_for(asked) is row
            continue
        with pytest.raises(InputError, match=f"{option} {does}") as raised:
            places.bench(asked)
        assert all(f"--on {PLACES[taker].written(taker)}" in str(raised.value.fix) for taker in takers)


def test_a_comparison_refuses_them_too() -> None:
    with pytest.raises(InputError, match="--cpu chooses an emulated processor"):
        versus(GIVEN["--cpu"][0], Path("b"))


@pytest.mark.parametrize(
    ("on", "device", "words"),
    [
        ("here", None, "--mix counts an emulated microcontroller's instructions"),
        ("emulator", "raspberry-pi-5", "Raspberry Pi 5 .* is no microcontroller"),
    ],
)
def test_where_no_instructions_are_told_apart(
    on: str, device: str | None, words: str, tmp_path: Path
) -> None:
    named = target.load(device) if device is not None else None
    (tmp_path / "student.tflite").touch()
    with pytest.raises(InputError, match=words):
        places.bench(Request(tmp_path, on, device=named, mix=True))


def test_threads_are_the_users_then_the_targets() -> None:
    four = target.Fact[int](value=4, source="a test")
    board = target.load("raspberry-pi-5").model_copy(update={"threads": four})
    assert Request(Path("a"), threads=3, device=board).threads_or_default == 3
    assert Request(Path("a"), device=board).threads_or_default == 4
    assert Request(Path("a")).threads_or_default == 1
