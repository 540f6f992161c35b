"""The command ``doctor``: what this machine has, and what a build here can and cannot do."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import typer

from edgedistill.cli.output import Json, Quiet, print_json, print_table
from edgedistill.errors import GateError

_NEEDED = (
    "torch",
    "numpy",
    "onnx",
    "onnxruntime",
    "ai-edge-litert",
    "coremltools",
    "pyarrow",
    "pillow",
    "pydantic",
)
_OPTIONAL = {
    "timm": "teachers timm:NAME: pip install 'edgedistill[timm]', which brings torchvision too",
    "transformers": "teachers hf:NAME: pip install 'edgedistill[hf]'",
    "tensorflow": "teachers keras:FILE: pip install 'edgedistill[tensorflow]'",
    "soundfile": "clips in FLAC, and wav files other than 16-bit PCM: pip install 'edgedistill[audio]'",
    "accelerate": "training on several processes or GPUs: pip install 'edgedistill[scale]'",
    "pyautoattack": "AutoAttack on finished students: pip install 'edgedistill[adversarial]'",
    "pyserial": "boards on a serial line: pip install 'edgedistill[serial]'",
    "zeus": "energy measurements: pip install 'edgedistill[energy]'",
}


@dataclass(frozen=True)
class Check:
    """One line of the answer."""

    name: str
    state: Literal["good", "missing", "bad", "note"]
    detail: str


def doctor(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to be written to.")] = Path(
        "out"
    ),
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Checks libraries, runtimes, the output folder and this machine; exit code 1 if a build cannot run."""
    checks = tuple(_checks(out))
    if json_:
        print_json([asdict(check) for check in checks])
    elif not quiet:
        print_table(("check", "state", "detail"), [(c.name, c.state, c.detail) for c in checks])
    broken = [check.name for check in checks if check.state == "bad"]
    if broken:
        raise GateError(
            f"a build cannot run here: {', '.join(broken)}", fix="pip install --upgrade edgedistill"
        )


def _checks(out: Path) -> Iterator[Check]:
    from edgedistill.bench.energy import reason_not_measurable
    from edgedistill.bench.machine import machine
    from edgedistill.runners import RUNNERS

    yield Check("machine", "note", machine())
    yield Check("python", "good" if sys.version_info >= (3, 10) else "bad", sys.version.split()[0])
    for name in _NEEDED:
        version = _version(name)
        yield Check(name, "good" if version else "bad", version or "not installed")
    for name, purpose in _OPTIONAL.items():
        version = _version(name)
        yield Check(name, "good" if version else "missing", version or f"only needed for {purpose}")
    for name, row in RUNNERS.items():
        if row.programs or row.suffix == "c/":
            continue  # compilers, emulators, and what runs C files have lines of their own
        words = (
            "int8 files are verified and measured here"
            if row.can_run_here
            else "files are checked, not run, here"
        )
        yield Check(f"runtime {name}", "good" if row.can_run_here else "note", words)
    yield from _firmware()
    yield _arm_linux()
    yield _ssh()
    reason = reason_not_measurable()
    yield Check("energy", "note" if reason else "good", reason or "the meter can be read")
    yield _accelerator()
    yield _output(out)


def _firmware() -> Iterator[Check]:
    """What compiles and runs models in C, and what compiles for an accelerator."""
    from edgedistill.runners import aarch64, adb, browser, c_here, cortex_m, vela

    reason = c_here.reason_not_runnable()
    yield Check("C compiler", "missing" if reason else "good", reason or f"{c_here.compiler()}")
    wanted = {
        **{name: (cortex_m.missing(name), "microcontrollers") for name in (cortex_m.CC, cortex_m.QEMU)},
        **{name: (aarch64.missing(name), "64-bit Arm") for name in aarch64.PACKAGES},
    }
    for program, (reason, what) in wanted.items():
        detail = f"{reason}; only needed for emulated {what}" if reason else "found"
        yield Check(program, "missing" if reason else "good", detail)
    reason = adb.reason_not_runnable()
    detail = f"{reason}; only needed for bench --on adb" if reason else "found"
    yield Check("adb", "missing" if reason else "good", detail)
    reason = browser.missing()
    detail = f"{reason}; only needed for bench --on browser" if reason else "found"
    yield Check("browser", "missing" if reason else "good", detail)
    yield _plugin()
    reason = vela.reason_not_runnable()
    yield Check(
        "vela", "missing" if reason else "good", f"{reason}; only needed for Ethos-U" if reason else "found"
    )


def _plugin() -> Check:
    """What tells instructions of emulated microcontrollers apart."""
    from edgedistill.runners import cortex_m
    from edgedistill.runners.cortex_m import mix

    reason = cortex_m.missing(cortex_m.CC) or cortex_m.missing(cortex_m.QEMU) or mix.missing(cortex_m.CC)
    if reason is not None:
        detail = f"{reason}; only needed for loads, stores and products of emulated microcontrollers"
        return Check("instruction mix", "missing", detail)
    return Check("instruction mix", "good", "QEMU takes plugins, and this machine's compiler makes them")


def _arm_linux() -> Check:
    """What counts instructions of the runtimes on 64-bit Arm."""
    from edgedistill.runners import aarch64_system

    reason = aarch64_system.reason_not_runnable()
    if reason is not None:
        return Check("emulated Arm Linux", "missing", f"{reason}; only needed for bench --on emulator")
    cached = aarch64_system.cached()
    if cached is None:
        detail = "its files come with the first bench --on emulator (about 110 MB, apt and pip)"
        return Check("emulated Arm Linux", "note", detail)
    return Check("emulated Arm Linux", "good", f"{len(cached.packages)} packages in {cached.folder}")


def _ssh() -> Check:
    """What reaches a Linux board."""
    from edgedistill.runners import openssh

    reason = openssh.reason_not_runnable()
    detail = f"{reason}; only needed for bench --on ssh:USER@HOST" if reason else "found"
    return Check("ssh", "missing" if reason else "good", detail)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _accelerator() -> Check:
    if importlib.util.find_spec("torch") is None:
        return Check("accelerator", "bad", "torch is not installed")
    import torch

    if torch.cuda.is_available():
        return Check("accelerator", "note", f"{torch.cuda.get_device_name(0)}")
    return Check(
        "accelerator", "note", f"none; training runs on the CPU with {torch.get_num_threads()} threads"
    )


def _output(out: Path) -> Check:
    """Looks without creating anything: the nearest folder that exists decides."""
    import os
    import shutil

    from edgedistill.units import format_bytes

    there = next((p for p in (out.absolute(), *out.absolute().parents) if p.exists()), Path("/"))
    if not there.is_dir() or not os.access(there, os.W_OK):
        return Check("output", "bad", f"{there} cannot be written")
    return Check("output", "good", f"{out}: {format_bytes(shutil.disk_usage(there).free)} free")
