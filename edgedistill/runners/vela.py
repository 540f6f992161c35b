"""Asks Vela, Arm's compiler for the Ethos-U accelerators, what a network costs there: an estimate, no run."""

from __future__ import annotations

import csv
import math
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgedistill.errors import GateError, InputError
from edgedistill.read import tflite_file
from edgedistill.runners import programs
from edgedistill.target import Target

VELA = "vela"
INSTALL = "pip install 'edgedistill[npu]'"
SECONDS = 300  # a network for a microcontroller takes under a second
CONFIG = "Arm/vela.ini"  # ships with Vela: clocks and bandwidths of typical systems
FIGURES = (  # columns of its summary; memory in KiB
    "core_clock",
    "cycles_total",
    "sram_memory_used",
    "dram_memory_used",
    "on_chip_flash_memory_used",
    "off_chip_flash_memory_used",
    "nn_macs",
)
_KIB = 1024
_WARNING = re.compile(
    r"^Warning \(supported operators\) operator: (?P<kind>\w+), ofm: '(?P<name>.*)'\n(?P<reason>(?:.+\n)*)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Fallback:
    """An operator that the accelerator leaves to the processor. ``reason``: Vela's words, or none."""

    kind: str
    output: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.output!r}" + (f" ({self.reason})" if self.reason else "")


@dataclass(frozen=True, eq=False)
class Estimate:
    """What Vela says of one inference. Cycles are the accelerator's; the processor's are in none of them."""

    version: str  # "vela 5.2.0"
    accelerator: str
    system_config: str
    memory_mode: str
    clock_hz: float
    cycles: int
    sram_bytes: int
    dram_bytes: int
    flash_bytes: int  # on and off the chip
    macs: int
    on_npu: int  # operators, as Vela counts them after splitting softmax and its like
    on_cpu: tuple[Fallback, ...]
    tflite: bytes  # the network for the device's runtime: one operator for all that runs on the accelerator

    @property
    def latency_ms(self) -> float:
        return 1e3 * self.cycles / self.clock_hz


def reason_not_runnable() -> str | None:
    """Why there is no estimate here, or None where there can be one."""
    return (
        None
        if programs.find(VELA)
        else f"Vela is not installed here ({INSTALL}, or pip install ethos-u-vela)"
    )


def estimate(tflite: bytes, device: Target) -> Estimate:
    """What an int8 network costs on a device's accelerator; its weights may have any values.

    Weights are compressed, so an untrained network of the same shape differs by some percent in flash and
    in cycles of layers that wait for their weights.

    Args:
        tflite: a full-integer file, batch 1 or open.
        device: with the fact ``npu``.

    Raises:
        InputError: Vela is not installed, or does not know the configuration.
        GateError: it does not take the network, or does not end.
    """
    assert device.npu is not None, "only a device with an Ethos-U has an estimate"
    vela = programs.find(VELA)
    if vela is None:
        raise InputError("Vela is not installed", where=device.title, fix=INSTALL)
    npu = device.npu.value
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model, out = folder / "student.tflite", folder / "out"
        model.write_bytes(tflite)
        ended = programs.run(
            [
                vela,
                f"--config={CONFIG}",
                f"--accelerator-config={npu.accelerator}",
                f"--system-config={npu.system_config}",
                f"--memory-mode={npu.memory_mode}",
                f"--output-dir={out}",
                "--show-cpu-operations",
                model,
            ],
            seconds=SECONDS,
            folder=folder,
        )
        if ended.code != 0:
            raise _refused(ended, device)
        figures, data = _figures(_only(out, "*_summary_*.csv")), _only(out, "*_vela.tflite").read_bytes()
    return Estimate(
        version=f"vela {programs.first_line(vela)}",
        accelerator=npu.accelerator,
        system_config=npu.system_config,
        memory_mode=npu.memory_mode,
        clock_hz=figures["core_clock"],
        cycles=round(figures["cycles_total"]),
        sram_bytes=round(figures["sram_memory_used"] * _KIB),
        dram_bytes=round(figures["dram_memory_used"] * _KIB),
        flash_bytes=round(
            (figures["on_chip_flash_memory_used"] + figures["off_chip_flash_memory_used"]) * _KIB
        ),
        macs=round(figures["nn_macs"]),
        on_npu=_on_npu(ended.out),
        on_cpu=tuple(_on_cpu(data, ended.out)),
        tflite=data,
    )


def _on_cpu(compiled: bytes, said: str) -> Iterator[Fallback]:
    """The operators of Vela's own file that are not its accelerator's, with its reason where it gave one."""
    reasons = [(m["kind"], m["name"], " ".join(m["reason"].split())) for m in _WARNING.finditer(said)]
    file = tflite_file.parse(compiled, "Vela's file")
    for op in file.ops:
        if op.kind == "CUSTOM 'ethos-u'":
            continue
        name = file.tensors[op.outputs[0]].name
        given = (text for kind, of, text in reasons if kind == op.kind and of.startswith(name))
        yield Fallback(op.kind, name, next(given, "").removeprefix("Reason: "))


def _on_npu(said: str) -> int:
    match = re.search(r"^NPU operators = (\d{1,9})\b", said, re.MULTILINE)
    if match is None:
        raise _other_version("Vela does not say how many operators run on the accelerator")
    return int(match[1])


def _figures(summary: Path) -> dict[str, float]:
    """The columns of FIGURES, each a number of 0 or more; the clock ticks."""
    try:
        with summary.open(encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file), {})
        found = {name: float(row[name]) for name in FIGURES}
    except (KeyError, TypeError, ValueError, csv.Error) as error:  # no column, no value, no number or no text
        raise _other_version(f"Vela's summary cannot be read: {error}") from error
    if not all(0 <= value < math.inf for value in found.values()) or found["core_clock"] == 0:
        raise _other_version(f"Vela's summary has figures that cannot be: {found}")
    return found


def _only(folder: Path, pattern: str) -> Path:
    found = next(folder.glob(pattern), None)
    if found is None:
        raise _other_version(f"Vela ended without a file {pattern}")
    return found


def _other_version(what: str) -> GateError:
    return GateError(what, where=VELA, fix="use a version of Vela from 5.0 on")


def _refused(ended: programs.Ended, device: Target) -> InputError | GateError:
    last = ended.last_words.splitlines()[-1]
    assert device.npu is not None
    if "CliOptionError" in last or "invalid choice" in last:
        return InputError(
            f"Vela does not know this accelerator: {last}",
            where=f"target {device.name}, npu",
            fix="take names from `vela --help` and `vela --list-configs Arm/vela.ini`",
        )
    return GateError(
        f"Vela does not take this network: {last}",
        where=f"target {device.name}, {device.npu.value.accelerator}",
        fix="pip install --upgrade ethos-u-vela, or report it with the .tflite",
    )
