"""Counts the instructions of every step of many models, in few images, on an emulated Arm Cortex-M."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgedistill.errors import InputError
from edgedistill.export.c import Model
from edgedistill.runners.cortex_m import firmware, qemu, toolchain
from edgedistill.runners.cortex_m.elf import sections
from edgedistill.runners.cortex_m.machines import MACHINES, Machine
from edgedistill.target import Target

EMULATE_S = 600
MOST_STEPS = 512  # of a model
_ROOM_BYTES = 16 * 1024  # of flash and of RAM, for what runs the models and for the stack
_LINE = re.compile(r"(loop|overhead|model|lap) ([0-9a-f]{8})")
_SIZE = re.compile(r"^#define \w+_(INPUT|OUTPUT|ARENA)_BYTES (\d+)$", re.MULTILINE)
_STEP = re.compile(r"^    (?=/\* .* -> .* \*/$|return 0;$)", re.MULTILINE)


@dataclass(frozen=True)
class Laps:
    """Instructions of one inference: before the first step, of each step that runs, after the last."""

    before: int
    steps: tuple[int, ...]
    after: int


def count(models: Sequence[Model], device: Target, *, cc: str = toolchain.CC) -> Iterator[tuple[Laps, ...]]:
    """The laps of models, in order, image by image.

    Args:
        models: of different names.
        device: one for which ``toolchain.reason_not_runnable`` is None.
        cc: GCC for Arm.

    Raises:
        InputError: a model is larger than the emulator's memory.
        GateError: compiler or emulator fail, or the firmware says something else.
    """
    assert device.emulator is not None, f"{device.name}: no emulator"
    assert len({model.name for model in models}) == len(models), "models of different names"
    machine = MACHINES[device.emulator.value]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        waiting: list[Model] = []
        objects: list[Path] = []
        flash = 0
        for model in models:
            made = _compiled(model, device, folder, cc)
            found = sections(made)
            flash_bytes = found.text + found.rodata + found.data
            check(model, flash_bytes, machine)
            if waiting and flash + flash_bytes > machine.flash.length - _ROOM_BYTES:
                yield _run(waiting, objects, device, folder, cc)
                waiting, objects, flash = [], [], 0
            waiting.append(model)
            objects.append(made)
            flash += flash_bytes
        if waiting:
            yield _run(waiting, objects, device, folder, cc)


def sizes(model: Model) -> dict[str, int]:
    """Bytes of INPUT, OUTPUT and ARENA, as its header says."""
    return {name: int(size) for name, size in _SIZE.findall(model.header)}


def instrumented(model: Model) -> str:
    """Its source with a call of ``edge_lap`` in front of each step and behind the last."""
    head, start, body = model.source.partition(f"int {model.name}_invoke(")
    assert start, "a model has an inference"
    return f"void edge_lap(void);\n{head}{start}{_STEP.sub('    edge_lap();' + chr(10) + '    ', body)}"


def parse(text: str, models: int, name: str, machine: Machine) -> tuple[Laps, ...]:
    """What an image of so many models said, strictly.

    Raises:
        GateError: a line is not the firmware's, or the counter does not count instructions.
    """
    overhead = 0
    found: list[list[int]] = []
    for row in text.splitlines():
        match = _LINE.fullmatch(row)
        if match is None or (match[1] == "lap" and not found):
            raise qemu.garbled(name, row)
        value = int(match[2], 16)
        match match[1]:
            case "loop":
                qemu.check_loop(machine.instructions(value), name)
            case "overhead":
                overhead = machine.instructions(value)
            case "model":
                found.append([])
            case _:
                found[-1].append(machine.instructions(value) - overhead)
    if len(found) != models or any(len(laps) < 2 or min(laps) < 0 for laps in found):
        raise qemu.garbled(name, f"{len(found)} models of {models}")
    return tuple(Laps(laps[0], tuple(laps[1:-1]), laps[-1]) for laps in found)


def _compiled(model: Model, device: Target, folder: Path, cc: str) -> Path:
    (folder / f"{model.name}.h").write_text(model.header, encoding="utf-8")
    (folder / f"{model.name}.c").write_text(instrumented(model), encoding="utf-8")
    return firmware.compile_file(device, cc, folder, f"{model.name}.c", ("-std=c99",))


def check(model: Model, flash_bytes: int, machine: Machine) -> None:
    """Whether a machine holds a model.

    Raises:
        InputError: it does not.
    """
    ram_bytes = sum(sizes(model).values())
    if max(flash_bytes - machine.flash.length, ram_bytes - machine.ram.length) > -_ROOM_BYTES:
        raise InputError(
            f"a model of {flash_bytes:,} bytes of flash and {ram_bytes:,} of RAM is too large to emulate",
            where=model.name,
            fix="choose a smaller network",
        )


def _run(
    models: Sequence[Model], objects: Sequence[Path], device: Target, folder: Path, cc: str
) -> tuple[Laps, ...]:
    assert device.emulator is not None
    name = device.emulator.value
    machine = MACHINES[name]
    largest = {key: max(sizes(model)[key] for model in models) for key in ("INPUT", "OUTPUT", "ARENA")}
    declared = "".join(f"int {m.name}_invoke(const signed char *, signed char *, void *);\n" for m in models)
    listed = ", ".join(f"{model.name}_invoke" for model in models)
    macros = "".join(f"#define {key}_BYTES {size}\n" for key, size in largest.items())
    (folder / "laps.h").write_text(
        f"{firmware.registers(machine)}{macros}#define MODELS {len(models)}u\n"
        f"#define MOST_LAPS {MOST_STEPS}\n{declared}"
        f"static int (*const models[])(const signed char *, signed char *, void *) = {{{listed}}};\n",
        encoding="utf-8",
    )
    for file in ("laps.c", "startup.c", firmware.SEMIHOSTING):
        (folder / file).write_text(firmware.resource(file), encoding="utf-8")
    script = firmware.linker_script(machine, machine.flash.length, machine.ram.length)
    (folder / "firmware.ld").write_text(script, encoding="utf-8")
    others = [firmware.compile_file(device, cc, folder, c, ("-std=gnu99",)) for c in ("laps.c", "startup.c")]
    image = firmware.link_objects(device, machine, cc, folder, [*objects, *others], "laps")
    return parse(qemu.said_by(image, name, seconds=EMULATE_S), len(models), name, machine)
