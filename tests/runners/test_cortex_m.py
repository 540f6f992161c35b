"""Firmware: flags, memories, what the emulator says; and one run, where compiler and emulator are."""

from __future__ import annotations

import itertools
import shutil
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgedistill import target
from edgedistill.errors import GateError, InputError
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import interpret
from edgedistill.runners import cortex_m, programs
from edgedistill.runners.cortex_m import elf, firmware, qemu, toolchain
from edgedistill.runners.cortex_m.machines import MACHINES
from edgedistill.target import Fact, Target
from tests.graphs import random_input, small_integer_graph

M4 = target.load("cortex-m4")
MPS2 = MACHINES["mps2-an386"]
SAID = """\
overhead 00000020
loop 0009c420
arena 00000400
stack 00000154
first 00000c80
ticks 00000c80
output 0102ff
ticks 00000ca0
output 0a0b
more 80
"""


def board(**sizes: int) -> Target:
    facts = {name: Fact(value=size, source="made up") for name, size in sizes.items()}
    return M4.model_copy(update={"name": "my-board", "title": "My board", **facts})


def test_ticks_are_instructions_to_the_instruction() -> None:
    for machine in MACHINES.values():
        ticks = machine.counter_hz * 128 / 1e9
        for count in (1, 1_234_567, 100_000_001):
            found = {machine.instructions(round(count * ticks) + late) for late in (-1, 0, 1)}
            assert count in found and found <= {count - 1, count, count + 1}
            assert machine.instructions(round(count * ticks)) == count
        assert machine.most_instructions > 1e9


def test_memories_of_a_machine_do_not_overlap() -> None:
    for name, machine in MACHINES.items():
        regions = sorted((machine.flash, machine.ram, machine.inputs), key=lambda r: r.origin)
        for one, other in itertools.pairwise(regions):
            assert one.origin + one.length <= other.origin, name


def test_what_the_firmware_said() -> None:
    said = qemu.parse(SAID, "mps2-an386", MPS2)
    assert said.outputs == (b"\x01\x02\xff", b"\x0a\x0b\x80")
    assert said.instructions == (990, 1000)  # 3.2 ticks each, 10 of them before and after
    assert said.first_again == (990, 990)
    assert (said.arena_bytes, said.stack_bytes) == (1024, 340)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "something else"),
        ("hello\n" + SAID, "something else than inferences: 'hello'"),
        (SAID.replace("0102ff", "0102f"), "something else"),
        (SAID + "ticks 00000010\n", "3 times and 2 outputs"),
        (SAID.replace("loop 0009c420", "loop 00000020"), "counted 0 instructions for 200,000"),
    ],
)
def test_what_no_firmware_says_is_an_error(text: str, words: str) -> None:
    with pytest.raises(GateError, match=words):
        qemu.parse(text, "mps2-an386", MPS2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cortex-m0plus", "-mthumb -mcpu=cortex-m0plus -mfloat-abi=soft"),
        ("cortex-m3", "-mthumb -mcpu=cortex-m3 -mfloat-abi=soft"),
        ("nucleo-l4r5zi", "-mthumb -mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16"),
        ("nucleo-h743zi2", "-mthumb -mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-d16"),
        ("rp2350", "-mthumb -mcpu=cortex-m33 -mfloat-abi=hard -mfpu=fpv5-sp-d16"),
        ("cortex-m55", "-mthumb -mcpu=cortex-m55 -mfloat-abi=hard"),
    ],
)
def test_flags_follow_the_target(name: str, expected: str) -> None:
    assert " ".join(toolchain.flags(target.load(name))) == expected


def test_extensions_that_a_core_lacks_are_switched_off() -> None:
    bare = {"features": None}
    assert "-mcpu=cortex-m33+nodsp" in toolchain.flags(target.load("cortex-m33").model_copy(update=bare))
    assert "-mcpu=cortex-m55+nomve" in toolchain.flags(target.load("cortex-m55").model_copy(update=bare))


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    here: set[str] = set()
    monkeypatch.setattr(shutil, "which", lambda name: name if name in here else None)
    assert "apt-get install gcc-arm-none-eabi" in (cortex_m.reason_not_runnable(M4) or "")
    assert cortex_m.reason_not_runnable(M4, "my-gcc") == "there is no my-gcc on the PATH"
    here.add(cortex_m.CC)
    assert "apt-get install qemu-system-arm" in (cortex_m.reason_not_runnable(M4) or "")
    here.add(cortex_m.QEMU)
    assert cortex_m.reason_not_runnable(M4) is None
    assert "has no emulator" in (cortex_m.reason_not_runnable(target.load("esp32-s3")) or "")


def test_the_linker_gets_the_smaller_of_board_and_machine() -> None:
    assert firmware.memories(board(flash_bytes=65_536, ram_bytes=20_480), MPS2) == (65_536, 20_480)
    assert firmware.memories(M4, MPS2) == (MPS2.flash.length, MPS2.ram.length)
    assert firmware.memories(board(flash_bytes=2**30, ram_bytes=2**30), MPS2) == (2**22, 2**21)


def test_what_does_not_fit_is_told_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = (
        "ld: firmware.elf section `.bss' will not fit in region `RAM'\n"
        "ld: region `RAM' overflowed by 1234 bytes\nld: region `FLASH' overflowed by 5 bytes\n"
    )

    def run(arguments: list[str], **_: object) -> programs.Ended:
        return programs.Ended(int("-o" in arguments and "firmware0.elf" in arguments), "", said)

    monkeypatch.setattr(programs, "run", run)
    device = board(flash_bytes=65_536, ram_bytes=20_480)
    made = firmware.Firmware(device, MPS2, "cc", tmp_path, tmp_path / "model.o", tmp_path / "nothing.o", ())
    with pytest.raises(InputError) as caught:
        made.link(np.zeros((1, 4), np.int8), "firmware0")
    assert "My board: 5 bytes too many for 64.0 KiB of flash and 1,234 bytes too many" in caught.value.what
    assert "smaller --student" in (caught.value.fix or "")
    said = "ld: cannot find -lc"
    with pytest.raises(GateError, match=r"(?s)could not be linked.*libnewlib-arm-none-eabi"):
        made.link(np.zeros((1, 4), np.int8), "firmware0")


def test_programs_that_hang_or_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"did not end within 0\.2 s"):
        programs.run([sys.executable, "-c", "import time; time.sleep(60)"], seconds=0.2)
    with pytest.raises(GateError, match="cannot be started: No such file"):
        programs.run([tmp_path / "nothing"], seconds=1)
    ended = programs.run([sys.executable, "-c", "import sys; sys.exit('words; $HOME `x`')"], seconds=30)
    assert (ended.code, ended.last_words) == (1, "words; $HOME `x`")


def test_sections_by_kind(tmp_path: Path) -> None:
    kinds = [(1, 6, 100), (1, 2, 40), (1, 3, 8), (8, 3, 16), (1, 0, 999), (0x7000_0001, 2, 24)]
    headers = b"".join(
        struct.pack("<10I", 0, kind, flags, 0, 0, size, 0, 0, 0, 0) for kind, flags, size in kinds
    )
    head = b"\x7fELF\x01\x01".ljust(32, b"\0") + struct.pack("<I", 52)
    file = tmp_path / "model.o"
    file.write_bytes(head.ljust(46, b"\0") + struct.pack("<HHH", 40, len(kinds), 0) + headers)
    found = elf.sections(file)
    assert found == elf.Sections(text=100, rodata=40, data=8, bss=16) and found.flash_bytes == 148
    for broken in (b"", b"\x7fELF\x02\x01" + b"\0" * 60, file.read_bytes()[:100]):
        file.write_bytes(broken)
        with pytest.raises(GateError, match="cannot be read"):
            elf.sections(file)


REASON = cortex_m.reason_not_runnable(M4)


@pytest.mark.skipif(REASON is not None, reason=REASON or "")
class TestInQemu:
    """On the emulator itself."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        graph = small_integer_graph(5)
        c.write(graph, Metadata("edgedistill student", "", graph.labels, 1 / 64, 0, "0"), tmp_path / "c")
        return tmp_path / "c"

    def test_a_hundred_inputs_in_pieces(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        graph = small_integer_graph(5)
        x = random_input(graph, 100)
        whole = cortex_m.run(folder, M4, x)
        expected = interpret.run_batched(graph, {graph.inputs[0]: x})[graph.outputs[0]]
        np.testing.assert_array_equal(whole.outputs, expected.reshape(100, -1))
        assert (
            len(whole.instructions) == 100 and min(whole.instructions) > 0 and whole.repeat_spread <= 4
        )  # two readings, each within a tick of 1.6
        assert whole.arena_bytes == c.memory(graph).peak
        assert 0 < whole.stack_bytes < firmware.STACK_BYTES and whole.model.flash_bytes > 1000
        small = replace(MPS2, inputs=replace(MPS2.inputs, length=40 * x[0].nbytes))
        monkeypatch.setattr(firmware, "MACHINES", {"mps2-an386": small})
        pieces = cortex_m.run(folder, M4, x)
        np.testing.assert_array_equal(pieces.outputs, whole.outputs)
        np.testing.assert_allclose(pieces.instructions, whole.instructions, rtol=0, atol=4)

    def test_a_board_that_is_too_small(self, folder: Path) -> None:
        x = random_input(small_integer_graph(5), 1)
        with pytest.raises(
            InputError, match=r"does not fit My board: .* bytes too many for 4\.0 KiB of flash"
        ):
            cortex_m.run(folder, board(flash_bytes=4096), x)
        with pytest.raises(InputError, match=r"bytes too many for 3\.0 KiB of RAM"):
            cortex_m.run(folder, board(ram_bytes=3072), x)

    def test_altered_files_are_the_compilers_words(self, folder: Path) -> None:
        source = next(folder.glob("*.c"))
        source.write_text(source.read_text().replace("return 0;", "return nothing;"))
        with pytest.raises(GateError, match=r"(?s)could not be compiled.*nothing"):
            cortex_m.run(folder, M4, random_input(small_integer_graph(5), 1))

    def test_a_fault_is_told(self, folder: Path) -> None:
        source = next(folder.glob("*.c"))
        fault = "*(volatile int *)0xF0000000 = 1; return 0;"
        source.write_text(source.read_text().replace("return 0;", fault))
        with pytest.raises(GateError, match="the program faulted"):
            cortex_m.run(folder, M4, random_input(small_integer_graph(5), 1))
