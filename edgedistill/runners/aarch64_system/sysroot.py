"""Gathers a small 64-bit Arm Debian with the runtimes' own wheels, once, and keeps it in the user's cache.

What is downloaded, and from where, is apt's and pip's own configuration. Nothing is installed on this
system: apt works in folders of its own, and packages are unpacked, not configured. The wheels have the
versions of the runtimes that are installed here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from edgedistill.errors import GateError
from edgedistill.runners import programs
from edgedistill.runners.aarch64_system.cpio import Archive
from edgedistill.units import format_bytes

PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6", "libgcc-s1", "zlib1g", "libgomp1")
KERNEL = "linux-image-cloud-arm64"
WHEELS = ("ai-edge-litert", "onnxruntime")
TAGS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")  # of glibc 2.28 and older
TOOLS = ("apt-get", "dpkg-deb")

KEPT = (  # of the unpacked packages; the rest is for people and for what no model needs
    "lib/ld-linux*",
    "lib/aarch64-linux-gnu/*.so*",
    "usr/bin/python3*",
    "usr/lib/aarch64-linux-gnu/*.so*",
    "usr/lib/ld-linux*",
    "usr/lib/python3*",
)
LEFT_OUT = ("**/tests", "ai_edge_litert/*WebGpu*")  # of the wheels: tests, and a GPU that QEMU lacks
MOST_BYTES = 500 * 2**20  # of the system's image; it was 200 MiB
KEPT_SYSTEMS = 2  # the newest in the cache; older versions go when one is made

_REVISION = 1  # of what is gathered and how; another one makes another system
_DOWNLOAD_S = 900
_UNPACK_S = 120
_NO_HOOKS = """#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
"""  # commands of this system's own, which would act on it


@dataclass(frozen=True)
class Sysroot:
    """A finished system: ``tree`` to look into, ``image`` and ``kernel`` to boot."""

    folder: Path

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    @property
    def image(self) -> Path:
        return self.folder / "base.cpio"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def python(self) -> str:
        """``/usr/bin/python3.11``, as the system itself names it."""
        return str(self._manifest["python"])

    @property
    def packages(self) -> tuple[str, ...]:
        """Of Debian and of Python, with versions."""
        return tuple(self._manifest["packages"])

    @property
    def _manifest(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        return found


def cache() -> Path:
    """The user's cache of edgedistill (XDG Base Directory Specification)."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(root) if os.path.isabs(root) else Path.home() / ".cache") / "edgedistill"


def find() -> Sysroot | None:
    """The system for the runtimes that are installed here, if it was gathered before."""
    folder = cache() / f"aarch64-{_key()}"
    return Sysroot(folder) if folder.is_dir() else None


def reason_not_gatherable() -> str | None:
    """Why no system can be gathered here, or None where apt and dpkg are."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"there is no {' and no '.join(missing)} here (Debian has them)" if missing else None


def get() -> Sysroot:
    """The cached system, or a new one: about 110 MB to download, half a minute.

    Raises:
        GateError: apt or pip cannot give the files, with their last words.
    """
    found = find()
    if found is not None:
        return found
    reason = reason_not_gatherable()
    if reason is not None:
        raise GateError(reason, where="the files of an emulated 64-bit Arm", fix="use a Debian system")
    folder = cache() / f"aarch64-{_key()}"
    try:
        cache().mkdir(parents=True, exist_ok=True)
        with _alone():
            if not folder.is_dir():  # another process may have made it meanwhile
                with tempfile.TemporaryDirectory(dir=cache(), prefix="gathering-") as temporary:
                    made = _gather(Path(temporary))
                    made.rename(folder)
                _forget_old(folder)
    except OSError as error:
        raise GateError(
            f"the files of an emulated 64-bit Arm cannot be kept: {error.strerror or error}",
            where=str(cache()),
            fix="make room there, or name another folder with XDG_CACHE_HOME",
        ) from error
    return Sysroot(folder)


def requirements() -> tuple[str, ...]:
    """Of pip: the runtimes' versions that are installed here; without one, the newest."""
    return ("numpy", *(_pinned(name) for name in WHEELS))


def _pinned(name: str) -> str:
    try:
        return f"{name}=={metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return name


def _key() -> str:
    parts = [_REVISION, PACKAGES, KERNEL, requirements(), TAGS, KEPT, LEFT_OUT]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One process gathers at a time; what a killed one left is removed."""
    import fcntl  # Linux alone gets here: it has apt

    with (cache() / "aarch64.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # freed when the file closes, and by the kernel if we are killed
        for left in cache().glob("gathering-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def _forget_old(newest: Path) -> None:
    others = sorted(
        (p for p in cache().glob("aarch64-*") if p != newest), key=lambda p: p.stat().st_mtime, reverse=True
    )
    for old in others[KEPT_SYSTEMS - 1 :]:
        shutil.rmtree(old, ignore_errors=True)


def _gather(work: Path) -> Path:
    """A folder with tree, image, kernel and manifest, in ``work``."""
    made = work / "made"
    tree = made / "tree"
    tree.mkdir(parents=True)
    packages = _download(work / "apt")
    unpacked = work / "unpacked"
    for package in packages:
        _must(["dpkg-deb", "-x", package, unpacked], _UNPACK_S, "a package cannot be unpacked")
    _keep(unpacked, tree)
    shutil.move(_only(unpacked, "boot/vmlinuz-*", "no kernel"), made / "vmlinuz")
    python = _only(tree, "usr/bin/python3.[0-9]*", "no Python").name
    wheels = _install(tree / "site", python.removeprefix("python"))
    _compile(tree, python)
    if not (tree / "lib").exists():  # since Debian 13 everything is under /usr
        (tree / "lib").symlink_to("usr/lib")
    (tree / "proc").mkdir()
    (tree / "proc" / "cpuinfo").write_text(CPUINFO)  # for QEMU's user mode; a booted system hides it
    with (made / "base.cpio").open("wb") as file:
        archive = Archive(file)
        archive.add_tree(tree)
        archive.end()
    size = (made / "base.cpio").stat().st_size
    if size > MOST_BYTES:
        raise GateError(
            f"the emulated system would take {format_bytes(size)}, {format_bytes(MOST_BYTES)} at most",
            where=", ".join(requirements()),
        )
    names = [package.stem for package in packages] + wheels
    manifest = {"python": f"/usr/bin/{python}", "packages": names}
    (made / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return made


CPUINFO = """processor\t: 0
BogoMIPS\t: 125.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd03
CPU revision\t: 4
"""
"""A Cortex-A53's. QEMU 7.2's user mode shows the host's, in which the runtimes find no Arm and crash."""


def _download(apt: Path) -> list[Path]:
    state, cached = apt / "state", apt / "cache"
    for folder in (state / "lists" / "partial", cached / "archives" / "partial"):
        folder.mkdir(parents=True)
    (state / "status").touch()  # nothing is installed: every package that is needed comes
    (apt / "no-hooks.conf").write_text(_NO_HOOKS)
    own = (
        *("-c", apt / "no-hooks.conf"),
        *("-o", "APT::Architecture=arm64", "-o", "APT::Architectures=arm64"),
        *("-o", f"Dir::State={state}", "-o", f"Dir::State::lists={state / 'lists'}"),
        *("-o", f"Dir::State::status={state / 'status'}", "-o", f"Dir::Cache={cached}"),
        *("-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none", "-qq"),
    )
    reason = "apt cannot download Debian's packages for 64-bit Arm"
    _must(["apt-get", *own, "update"], _DOWNLOAD_S, reason)
    install = ("install", "--download-only", "--no-install-recommends", "-y", *PACKAGES, KERNEL)
    _must(["apt-get", *own, *install], _DOWNLOAD_S, reason)
    return sorted((cached / "archives").glob("*.deb"))


def _keep(unpacked: Path, tree: Path) -> None:
    for path in (path for pattern in KEPT for path in sorted(unpacked.glob(pattern))):
        to = tree / path.relative_to(unpacked)
        to.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, to, symlinks=True)
        else:
            shutil.copy2(path, to, follow_symlinks=False)


def _install(site: Path, version: str) -> list[str]:
    platforms = [word for tag in TAGS for word in ("--platform", f"{tag}_aarch64")]
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
    ]
    command += ["--only-binary=:all:", *platforms, "--python-version", version, "--implementation", "cp"]
    command += ["--target", str(site), *requirements()]
    _must(command, _DOWNLOAD_S, f"pip cannot give the wheels for 64-bit Arm and Python {version}")
    for path in [path for pattern in LEFT_OUT for path in site.glob(pattern)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return sorted(path.name.removesuffix(".dist-info") for path in site.glob("*.dist-info"))


def _compile(tree: Path, python: str) -> None:
    """Saves the emulated Python its own compiling, where a Python of the same version is here."""
    here = f"python{sys.version_info.major}.{sys.version_info.minor}"
    program = sys.executable if python == here else shutil.which(python)
    if program is not None:
        how = ("-q", "-q", "--invalidation-mode", "unchecked-hash", "-s", tree, "-p", "/")
        programs.run([program, "-m", "compileall", *how, tree], seconds=_UNPACK_S)  # not all of it compiles


def _only(folder: Path, pattern: str, reason: str) -> Path:
    found = [path for path in folder.glob(pattern) if not path.is_symlink()]
    if len(found) != 1:
        raise GateError(
            f"{reason} among the downloaded packages, or more than one",
            where=pattern,
            fix=f"check which {KERNEL} and python3-minimal apt offers for arm64",
        )
    return found[0]


def _must(command: Sequence[str | Path], seconds: float, reason: str) -> None:
    ended = programs.run(command, seconds=seconds)
    if ended.code != 0:
        raise GateError(
            f"{reason}: {ended.last_words}",
            where=" ".join(map(str, command))[:300],
            fix="check the network, and what apt and pip are configured to",
        )
