"""Device facts: each with a source, each file strict."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgedistill import recipe as recipes
from edgedistill import target as devices
from edgedistill import units
from edgedistill.errors import InputError, UnknownNameError

GOOD = """\
title = "A board"
[isa]
value = "armv8-a"
source = "its data sheet"
[runtimes]
value = ["litert"]
source = "its manual"
[formats]
value = ["tflite"]
source = "its manual"
"""


def write(tmp_path: Path, text: str, name: str = "my-board.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", devices.names())
def test_every_shipped_fact_has_a_source(name: str) -> None:
    device = devices.load(name)
    assert device.name == name
    facts = [
        f for f in (getattr(device, k) for k in devices.Target.model_fields) if isinstance(f, devices.Fact)
    ]
    assert len(facts) >= 3
    assert all(len(fact.source) > 10 for fact in facts)


def test_the_promised_devices_ship() -> None:
    phones = "android-flagship android-midrange android-entry iphone-a15 iphone-a17-pro"
    accelerated = "corstone-300-ethos-u55-128 corstone-300-ethos-u65-256 raspberry-pi-3 jetson-orin-nano"
    linux = "android-arm64 ios-arm64 linux-x86_64 raspberry-pi-4 raspberry-pi-5 raspberry-pi-zero-2w"
    cores = "cortex-m0plus cortex-m3 cortex-m4 cortex-m7 cortex-m33 cortex-m55"
    boards = "nucleo-l4r5zi nucleo-h743zi2 stm32f746-disco nrf52840-dk arduino-nano-33-ble"
    more = "rp2040-pico rp2350 esp32-s3"
    assert devices.names() == tuple(
        sorted(" ".join((phones, accelerated, linux, cores, boards, more)).split())
    )
    zero = devices.load("raspberry-pi-zero-2w")
    assert zero.ram_bytes is not None and zero.ram_bytes.value == 512 * 2**20


def test_microcontrollers_run_on_emulators() -> None:
    for device in map(devices.load, devices.names()):
        assert (device.default_runner == "cortex-m") == (device.emulator is not None)
        assert device.emulator is None or (device.cpu is not None and device.wants("c"))
        if device.wants("c") and not device.name.startswith("cortex-"):
            assert device.flash_bytes is not None and device.ram_bytes is not None, device.name
    board = devices.load("nucleo-l4r5zi")
    assert board.cycles_per_instruction is not None
    assert board.cycles_per_instruction.value == (1.5, 1.8)


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"(?s)no target named 'raspbery-pi-5'.*did you mean raspberry-pi-5"
    ):
        devices.load("raspbery-pi-5")


def test_a_file_of_ones_own_is_named_by_its_stem(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert devices.load(str(path)) == devices.load_file(path)
    assert devices.load_file(path).name == "my-board"
    assert devices.load_file(path).cores is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "[coers]\nvalue = 4\nsource = 'x'", "(?s)unknown key 'coers'.*did you mean 'cores'"),
        (GOOD + "[cores]\nvalue = 4", "the key 'cores.source' is missing"),
        (GOOD + "[cores]\nvalue = 0\nsource = 'x'", "cores.value must be greater than 0; it is 0"),
        (GOOD + "[cores]\nvalue = 4\nsource = ''", "cores.source must not be empty"),
        (GOOD + "cores = 4", "formats.cores"),
        ("cores = 4\n" + GOOD, "cores must be a table; it is 4"),
        (
            GOOD.replace('"litert"', '"litert2"'),
            "runtimes.value.0. must be 'litert', 'onnxruntime', 'coreml', 'c' or 'tflite-micro'",
        ),
        (GOOD.replace("[isa]", "[isa"), "this is not TOML"),
        (GOOD + "[budget]\nflash = '3 parsecs'", "'3 parsecs' is not a size"),
        (GOOD + "[budget]\nflash = '0B'", "the limit is 0B"),
        (GOOD + "[budget]\nflash = 3", "budget.flash must be a text in quotes; it is 3"),
        (GOOD + "[budget]\nflsh = '3B'", "(?s)no limit named 'flsh'.*did you mean flash"),
        (
            GOOD + "[npu]\nvalue = {accelerator = 'ethos-u55-128'}\nsource = 'x'",
            "npu.value.system_config' is missing",
        ),
        (
            GOOD
            + "[npu]\nsource = 'x'\n[npu.value]\naccelerator = 'u55'\nsystem_config = 'A'\nmemory_mode = 'B'",
            "npu.value.accelerator is not valid",
        ),
        ("default_runner = 'vela'\n" + GOOD, "the runner vela needs the fact npu"),
        (GOOD + "[cpu]\nvalue = 'cortex-m4 -wrapper x'\nsource = 'x'", "cpu.value is not valid"),
        (GOOD + "[emulator]\nvalue = 'mps2'\nsource = 'x'", "emulator.value must be 'mps2-an385'"),
        (GOOD + "[cycles_per_instruction]\nvalue = [2, 1]\nsource = 'x'", "the lower end stands first"),
        ("default_runner = 'cortex-m'\n" + GOOD, "the runner cortex-m needs the facts cpu and emulator"),
        ('name = "other"\n' + GOOD, "(?s)says name = 'other'.*file's stem"),
    ],
)
def test_a_mistake_names_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        devices.load_file(path)
    assert (caught.value.where or "").startswith(str(path))
    assert [str(one) for one in devices.check_file(path)] != []


def test_a_stem_that_cannot_name_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape("'My Board' cannot name a target")):
        devices.load_file(write(tmp_path, GOOD, "My Board.toml"))


def test_every_mistake_of_a_file_is_found_with_its_line(tmp_path: Path) -> None:
    text = GOOD.replace('"armv8-a"', "8") + "[cores]\nvalue = 0\n\n[coers]\nvalue = 1\nsource = 'x'\n"
    found = [(one.where, one.what) for one in devices.check_file(write(tmp_path, text))]
    place = f"{tmp_path / 'my-board.toml'}, line "
    assert (place + "3", "isa.value must be a text in quotes; it is 8") in found
    assert (place + "12", "cores.value must be greater than 0; it is 0") in found
    assert (place + "11", "the key 'cores.source' is missing") in found
    assert (place + "14", "unknown key 'coers'") in found
    assert len(found) == 4
    assert devices.check_file(write(tmp_path, GOOD)) == ()


def test_default_limits_are_parts_of_the_memories() -> None:
    limited = [device for device in map(devices.load, devices.names()) if device.budget]
    assert len(limited) >= 8
    for device in limited:
        limits = units.parse_limits(device.budget, where=device.name)
        assert device.flash_bytes is not None and limits["flash"] in (
            device.flash_bytes.value / 2,
            device.flash_bytes.value / 4,
        )
        assert device.ram_bytes is not None and limits["ram"] in (
            device.ram_bytes.value / 2,
            device.ram_bytes.value / 4,
        )


def test_accelerators_are_named_as_vela_names_them() -> None:
    for name, accelerator in (
        ("corstone-300-ethos-u55-128", "ethos-u55-128"),
        ("corstone-300-ethos-u65-256", "ethos-u65-256"),
    ):
        device = devices.load(name)
        assert device.npu is not None and device.npu.value.accelerator == accelerator
        assert device.default_runner == "vela" and recipes.formats(recipes.Recipe(), device) == ("tflite",)
        assert "family D" in device.notes


def test_what_is_not_stated_is_named(tmp_path: Path) -> None:
    bare = devices.gaps(devices.load_file(write(tmp_path, GOOD)))
    assert [text.partition(":")[0] for text in bare] == ["ram_bytes", "clock_hz", "cost"]
    core = [text.partition(":")[0] for text in devices.gaps(devices.load("cortex-m4"))]
    assert core[:3] == ["ram_bytes", "flash_bytes", "clock_hz"] and "emulator" not in core
    board = [text.partition(":")[0] for text in devices.gaps(devices.load("nucleo-l4r5zi"))]
    assert set(board) <= {"cost"}
    assert not any("clock" in text for text in devices.gaps(devices.load("corstone-300-ethos-u55-128")))
