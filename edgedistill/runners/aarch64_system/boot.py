"""Boots Linux on an emulated 64-bit Arm with a job in its memory, or runs the job in QEMU's user mode.

The emulated machine's clock is its count of instructions: nothing here is a time.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgedistill.errors import GateError
from edgedistill.runners import aarch64, programs
from edgedistill.runners.aarch64_system import guest, job
from edgedistill.runners.aarch64_system.cpio import FOLDER, PROGRAM, Archive
from edgedistill.runners.aarch64_system.job import Counted, Task
from edgedistill.runners.aarch64_system.sysroot import Sysroot

QEMU = "qemu-system-aarch64"
PACKAGE = "qemu-system-arm"  # Debian's and Ubuntu's name
BOOT_S = 900  # for the system; an idle machine boots in 20 s
MODEL_S = 60  # for each model
_MIB = 2**20


def run(system: Sysroot, tasks: Sequence[Task], *, cpu: str) -> tuple[Counted, ...]:
    """Boots once, counts every task, powers off.

    Raises:
        GateError: QEMU fails or takes too long, or a task fails.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "job"
        folder.mkdir()
        job.write(folder, tasks, count=True)
        image = Path(temporary) / "initrd.cpio"
        pack(image, system, folder)
        cores = max(task.threads for task in tasks)
        arguments = command(system.kernel, image, cpu=cpu, cores=cores, image_bytes=image.stat().st_size)
        ended = programs.run(arguments, seconds=_most_seconds(tasks))
    where = f"{QEMU} -cpu {cpu}"
    if ended.code != 0:
        raise GateError(
            f"QEMU ended with {ended.code}: {ended.last_words}",
            where=where,
            fix=f"check that there is memory for it, and that {QEMU} knows this processor (-cpu help)",
        )
    return job.read(ended.out, tasks, count=True, cpu=cpu, where=where)


def run_in_user_mode(system: Sysroot, tasks: Sequence[Task], *, cpu: str) -> tuple[Counted, ...]:
    """Answers alone, without booting: no instructions, no memory.

    Raises:
        GateError: as ``run``.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        job.write(folder, tasks, count=False)
        python = system.tree / system.python.lstrip("/")
        variables = ("-E", "PYTHONPATH=" + str(system.tree / "site"), "-E", "OPENBLAS_NUM_THREADS=1")
        emulator = (aarch64.QEMU, "-cpu", cpu, *variables, "-L", system.tree)
        arguments = (*emulator, python, "-B", guest.__file__, folder)
        ended = programs.run(arguments, seconds=_most_seconds(tasks))
    said, where = ended.out + ended.err, f"{aarch64.QEMU} -cpu {cpu}"
    return job.read(said, tasks, count=False, cpu=cpu, where=where)


def _most_seconds(tasks: Sequence[Task]) -> float:
    return BOOT_S + MODEL_S * len(tasks)


def pack(image: Path, system: Sysroot, folder: Path) -> None:
    """The file that the kernel unpacks: the cached system, then the job."""
    shutil.copyfile(system.image, image)
    with image.open("ab") as file:
        archive = Archive(file)
        content = Path(guest.__file__).read_bytes()
        archive.add("init", PROGRAM, f"#!{system.python} -B\n".encode() + content)
        archive.add(guest.JOB.lstrip("/"), FOLDER)
        archive.add_tree(folder, guest.JOB.lstrip("/") + "/")
        archive.end()


def command(kernel: Path, image: Path, *, cpu: str, cores: int, image_bytes: int) -> tuple[str | Path, ...]:
    """QEMU's arguments: no disk, no network, a clock that advances a nanosecond an instruction."""
    # the image, its files (at most half of the memory), work
    memory = max(1024, 4 * image_bytes // _MIB + 512)
    return (
        QEMU,
        *("-M", "virt,gic-version=3", "-cpu", cpu, "-smp", str(cores), "-m", str(memory)),
        *("-icount", "shift=0,sleep=off"),
        *("-nographic", "-monitor", "none", "-nic", "none", "-no-reboot"),
        *("-kernel", kernel, "-initrd", image),
        *("-append", "console=ttyAMA0 quiet panic=-1 PYTHONPATH=/site OPENBLAS_NUM_THREADS=1"),
    )


def version(program: str = QEMU) -> str:
    """``qemu 7.2.17``."""
    found = re.search(r"version (\d\S*)", programs.first_line(program))
    return f"qemu {found[1]}" if found else "qemu"
