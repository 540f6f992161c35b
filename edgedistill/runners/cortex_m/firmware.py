"""Makes firmware of a model in C: compiled for a device's core, linked with the device's flash and RAM."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import GateError, InputError
from edgedistill.runners import programs
from edgedistill.runners.c_source import CSource
from edgedistill.runners.cortex_m import toolchain
from edgedistill.runners.cortex_m.elf import Sections, sections
from edgedistill.runners.cortex_m.machines import MACHINES, Machine
from edgedistill.target import Target
from edgedistill.units import format_bytes

COMPILE_S = 300
STACK_BYTES = 2_048
"""That the linker keeps free: an inference takes less than half of it, see benchmarks/mcu_instructions.py."""

SEMIHOSTING = "semihosting.h"  # what programs on an emulator include
HARNESS = ("startup.c", "firmware.c")
"""The programs around a model that run it on the inputs of the image."""

NOTHING = "nothing.c"  # stands for a model where flash is counted

_OVERFLOW = re.compile(r"region\W+(\w+)\W+overflowed by (\d+) byte")


@dataclass(frozen=True)
class Firmware:
    """The compiled parts of a device's firmware; ``link`` makes an image of them and some inputs."""

    device: Target
    machine: Machine
    cc: str
    folder: Path
    model: Path  # the model's object file
    nothing: Path  # an object file of the same name that does nothing
    others: tuple[Path, ...]

    def link(self, inputs: NDArray[np.int8], name: str) -> Path:
        """An image that holds ``inputs`` int8 [N, ...] beside the device's memories.

        Raises:
            InputError: the model does not fit the device.
        """
        (self.folder / "inputs.bin").write_bytes(np.ascontiguousarray(inputs).tobytes())
        (self.folder / "inputs.S").write_text(
            '    .section .inputs, "a"\n    .balign 4\n    .global inputs, inputs_end\n'
            'inputs:\n    .incbin "inputs.bin"\ninputs_end:\n'
        )
        data = compile_file(self.device, self.cc, self.folder, "inputs.S", ())
        parts = (self.model, *self.others, data)
        return link_objects(self.device, self.machine, self.cc, self.folder, parts, name)

    def linked_bytes(self, inputs: NDArray[np.int8]) -> int:
        """Flash that the model adds to an image: constants, code, and its part of the compiler's library."""
        whole = sections(self.link(inputs, "whole"))
        without = sections(replace(self, model=self.nothing).link(inputs, "without"))
        return whole.flash_bytes - without.flash_bytes


def compile_model(
    source: CSource,
    device: Target,
    folder: Path,
    *,
    cc: str = toolchain.CC,
    more: Sequence[str] = (),
    programs_c: Sequence[str] = HARNESS,
) -> Firmware:
    """Compiles a model and what runs it.

    Args:
        source: the model.
        device: with cpu and emulator.
        folder: where the files go; it exists.
        cc: GCC for Arm.
        more: flags for the model alone, such as warnings.
        programs_c: files of this package that run it.

    Raises:
        GateError: the compiler does not take the files.
    """
    assert device.emulator is not None, f"{device.name}: no emulator"
    machine = MACHINES[device.emulator.value]
    for name in (*programs_c, SEMIHOSTING):
        (folder / name).write_text(resource(name), encoding="utf-8")
    (folder / "model_under_test.h").write_text(source.macros() + registers(machine), encoding="utf-8")
    flash, ram = memories(device, machine)
    (folder / "firmware.ld").write_text(linker_script(machine, flash, ram), encoding="utf-8")
    model = model_object(source, device, folder, cc=cc, more=more)
    include = ("-std=gnu99", f"-I{source.header.parent}", "-fno-tree-loop-distribute-patterns")
    (folder / NOTHING).write_text(resource(NOTHING), encoding="utf-8")
    nothing = compile_file(device, cc, folder, NOTHING, include)
    others = tuple(compile_file(device, cc, folder, name, include) for name in programs_c)
    return Firmware(device, machine, cc, folder, model, nothing, others)


def registers(machine: Machine) -> str:
    """The addresses of a machine's devices, as C macros."""
    found = {"FPGAIO": machine.fpgaio, "UART": machine.uart, "HZ": machine.counter_hz}
    return "".join(f"#define BOARD_{name} {value:#x}u\n" for name, value in found.items())


def linker_script(machine: Machine, flash_bytes: int, ram_bytes: int) -> str:
    """For so much flash and RAM at a machine's addresses."""
    return Template(resource("firmware.ld")).substitute(
        flash_origin=f"{machine.flash.origin:#x}",
        flash_bytes=flash_bytes,
        ram_origin=f"{machine.ram.origin:#x}",
        ram_bytes=ram_bytes,
        inputs_origin=f"{machine.inputs.origin:#x}",
        inputs_bytes=machine.inputs.length,
        stack_bytes=STACK_BYTES,
    )


def model_object(
    source: CSource, device: Target, folder: Path, *, cc: str = toolchain.CC, more: Sequence[str] = ()
) -> Path:
    """A model alone, compiled as its firmware has it; for the arguments see ``compile_model``.

    Raises:
        GateError: the compiler does not take the files.
    """
    return compile_file(device, cc, folder, source.source, ("-std=c99", *more))


def linked_alone(source: CSource, device: Target, folder: Path, *, cc: str = toolchain.CC) -> Sections:
    """What a model keeps in an image: itself without what no inference reads, and its part of the library.

    Raises:
        GateError: the compiler does not take the files.
    """
    model = model_object(source, device, folder, cc=cc)
    image = model.with_suffix(".elf")
    script = ("-nostartfiles", "-Wl,--gc-sections", f"-Wl,--entry={source.name}_invoke")
    command = [cc, *toolchain.flags(device), *toolchain.OPTIMISED, *script, "-o", image.name, model.name]
    ended = programs.run(command, seconds=COMPILE_S, folder=folder)
    if ended.code != 0:
        raise _failed("linked", cc, ended)
    return sections(image)


def compile_file(device: Target, cc: str, folder: Path, source: str | Path, more: Sequence[str]) -> Path:
    """The object file of one source in ``folder``, compiled for a device's core.

    Raises:
        GateError: the compiler does not take it.
    """
    target = folder / f"{Path(source).stem}.o"
    command = [cc, *toolchain.flags(device), *toolchain.OPTIMISED, *more]
    ended = programs.run([*command, "-c", source, "-o", target.name], seconds=COMPILE_S, folder=folder)
    if ended.code != 0:
        raise _failed(f"compiled ({Path(source).name})", cc, ended)
    return target


def link_objects(
    device: Target, machine: Machine, cc: str, folder: Path, objects: Sequence[Path], name: str
) -> Path:
    """An image of object files in ``folder``, by the linker script there.

    Raises:
        InputError: it does not fit the device.
        GateError: the linker does not take them.
    """
    image = folder / f"{name}.elf"
    script = ("-nostartfiles", "-Wl,--gc-sections", "-Tfirmware.ld")
    command = [cc, *toolchain.flags(device), *toolchain.OPTIMISED, *script, "-o", image.name]
    ended = programs.run([*command, *(path.name for path in objects)], seconds=COMPILE_S, folder=folder)
    if ended.code != 0:
        raise _does_not_fit(device, machine, ended) or _failed("linked", cc, ended)
    return image


def memories(device: Target, machine: Machine) -> tuple[int, int]:
    """Bytes of flash and of RAM: the device's, as far as the emulator has as much."""
    flash = device.flash_bytes.value if device.flash_bytes is not None else machine.flash.length
    ram = device.ram_bytes.value if device.ram_bytes is not None else machine.ram.length
    return min(flash, machine.flash.length), min(ram, machine.ram.length)


def resource(name: str) -> str:
    """The text of a file of this package."""
    return resources.files("edgedistill.runners.cortex_m").joinpath(name).read_text(encoding="utf-8")


def _failed(done: str, cc: str, ended: programs.Ended) -> GateError:
    no_library = re.search(r"stdint\.h|-lc\b|-lgcc\b|crt0|specs", ended.err) is not None
    return GateError(
        f"the firmware could not be {done}: {ended.last_words}",
        where=cc,
        fix=f"apt-get install {toolchain.PACKAGES[toolchain.CC]}"
        if no_library
        else "use the C files as they were built, and a GCC for Arm that knows the target's cpu",
    )


def _does_not_fit(device: Target, machine: Machine, ended: programs.Ended) -> InputError | None:
    found = {region: int(count) for region, count in _OVERFLOW.findall(ended.err)}
    flash, ram = memories(device, machine)
    limits = {"FLASH": ("flash", flash), "RAM": ("RAM", ram)}
    words = [
        f"{found[region]:,} bytes too many for {format_bytes(size)} of {name}"
        for region, (name, size) in limits.items()
        if region in found
    ]
    if not words:
        return None
    return InputError(
        f"the firmware does not fit {device.title}: {' and '.join(words)}",
        where=f"target {device.name}",
        fix="choose a smaller --student (`edgedistill list students`), a lower data.resolution, "
        "or a device with more memory",
    )
