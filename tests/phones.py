"""A stand-in for a phone: Android's real adbd on this machine, in a network of its own.

Real: adbd (Debian's build of Android 14's), its protocol, and adb. Faked, and only this: getprop, the files
of /proc/cpuinfo, clocks, heat and battery (under a made-up root), and the processor, which is QEMU's user
mode with programs for 64-bit Arm.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgedistill.runners import aarch64
from edgedistill.runners.aarch64_system import sysroot

SERIAL = "127.0.0.1:15555"  # of the network of its own: nothing here listens there
NEEDS = ("adb", "unshare", "ip", "mount", aarch64.CC, aarch64.QEMU)
START_S = 20.0
TREE = sysroot.cache() / "adbd" / "tree"  # as .ci/adbd unpacks it

_DEVICE = """
set -e
ip link set lo up
mount -t tmpfs -o size={megabytes}m phone {files}
export PATH={programs}:$PATH HOME={base}
ADBD_PORT=15555 {loader} --library-path {libraries} {adbd} >{base}/adbd.log 2>&1 &
echo $! >{base}/adbd.pid
exec adb -L localfilesystem:{base}/adb.sock server nodaemon >{base}/server.log 2>&1
"""

_GETPROP = """#!/bin/sh
# FAKE: not Android's getprop
case $1 in
ro.product.model) echo "Model X";;
ro.product.manufacturer) echo "Nobody";;
ro.build.version.release) echo 14;;
ro.product.cpu.abi) echo {abi};;
esac
"""

_CC = """#!/bin/bash
# Compiles for 64-bit Arm, and packs the program into a script that runs it under QEMU's user mode.
set -e
for word in "$@"; do [ "$last" = -o ] && out=$word; last=$word; done
{cc} "$@"
mv "$out" "$out.elf"
{{
    echo '#!/bin/sh'
    echo 'tail -c +{offset} "$0" >"$0.$$" && chmod 700 "$0.$$" && exec {qemu} "$0.$$" "$@"'
}} >"$out"
printf '%*s\\n' $(({offset} - 2 - $(wc -c <"$out"))) '' >>"$out"
cat "$out.elf" >>"$out"
chmod 700 "$out"
"""
_OFFSET = 513


@dataclass(frozen=True)
class StandIn:
    """A running adbd. ``files``: where the phone's /data/local/tmp is; ``root``: of its made-up files."""

    base: Path

    @property
    def files(self) -> Path:
        return self.base / "tmp"

    @property
    def root(self) -> Path:
        return self.base / "root"

    @property
    def cc(self) -> Path:
        return self.base / "bin" / "cc-for-qemu"

    @property
    def environment(self) -> dict[str, str]:
        return {"ADB_SERVER_SOCKET": f"localfilesystem:{self.base}/adb.sock", "HOME": str(self.base)}

    def signal_adbd(self, number: int = signal.SIGKILL) -> None:
        os.kill(int((self.base / "adbd.pid").read_text()), number)

    def seen(self, path: Path) -> Path:
        """A path as the phone sees it: its /data/local/tmp is mounted for it alone."""
        return Path(f"/proc/{(self.base / 'adbd.pid').read_text().strip()}/root{path}")

    def write(self, path: str, text: str) -> None:
        """A made-up file of /proc or /sys, whole at any time."""
        to = self.root / path.lstrip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        new = to.with_name(f"{to.name}.new")
        new.write_text(f"{text}\n")
        new.replace(to)


def reason_not_runnable() -> str | None:
    """Why there can be no stand-in here, or None."""
    missing = [name for name in NEEDS if shutil.which(name) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    if not TREE.exists():
        return "needs Android's adbd (.ci/adbd fetches it)"
    done = subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True, check=False)
    return None if done.returncode == 0 else "needs namespaces of its own (unshare -n -m, as root)"


@contextlib.contextmanager
def running(base: Path, *, megabytes: int = 64, abi: str = "arm64-v8a") -> Iterator[StandIn]:
    """adbd and a server of adb's, both gone at the end."""
    phone = StandIn(base)
    programs = base / "bin"
    for folder in (programs, phone.files):
        folder.mkdir(parents=True)
    _program(programs / "getprop", _GETPROP.format(abi=abi))
    _program(phone.cc, _CC.format(cc=aarch64.CC, qemu=shutil.which(aarch64.QEMU), offset=_OFFSET))
    phone.write("/proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd evtstrm asimddp")
    usr = TREE / "usr"
    libraries = usr / "lib" / "x86_64-linux-gnu"
    script = _DEVICE.format(
        base=base,
        files=phone.files,
        programs=programs,
        megabytes=megabytes,
        loader=usr / "lib64" / "ld-linux-x86-64.so.2",
        libraries=f"{libraries}:{libraries / 'android'}",
        adbd=usr / "lib" / "android-sdk" / "platform-tools" / "adbd",
    )
    process = subprocess.Popen(
        ["unshare", "-n", "-m", "sh", "-c", script], start_new_session=True, stdin=subprocess.DEVNULL
    )
    try:
        _connect(phone)
        yield phone
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _connect(phone: StandIn) -> None:
    deadline = time.monotonic() + START_S
    said = ""
    while time.monotonic() < deadline:
        time.sleep(0.1)
        if (phone.base / "adb.sock").exists():
            done = subprocess.run(
                ["adb", "connect", SERIAL],
                env={**os.environ, **phone.environment},
                capture_output=True,
                text=True,
                timeout=START_S,
                check=False,
            )
            said = done.stdout + done.stderr
            if said.startswith("connected"):
                return
    logs = [path.read_text(errors="replace")[-500:] for path in phone.base.glob("*.log")]
    raise RuntimeError(f"the stand-in did not start: {said} {logs}")


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o700)
