"""Fetches the browser's runtimes by npm, once, at pinned versions, and keeps what of them is used.

npm compares each package with the digest in package-lock.json. Nothing of a package is run while it is
installed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from edgedistill.errors import GateError
from edgedistill.runners import programs
from edgedistill.runners.aarch64_system.sysroot import cache

ONNX, LITERT = "onnxruntime-web", "litert.js"
NPM = {ONNX: "onnxruntime-web", LITERT: "@litertjs/core"}
_ORT, _LITERT, _UTILS = "onnxruntime-web/dist", "@litertjs/core", "@litertjs/wasm-utils/dist"
FILES: Mapping[str, Mapping[str, str]] = MappingProxyType(  # runtime: served name: file below node_modules
    {
        ONNX: {
            name: f"{_ORT}/{name}"
            for name in (
                "ort.wasm.min.mjs",
                "ort-wasm-simd-threaded.mjs",
                "ort-wasm-simd-threaded.wasm",
            )
        },
        LITERT: {
            "litert.mjs": f"{_LITERT}/dist/index.js",
            "litert-wasm-utils.mjs": f"{_UTILS}/index.js",
            **{
                f"litert_wasm{kind}_internal{suffix}": f"{_LITERT}/wasm/litert_wasm{kind}_internal{suffix}"
                for kind in ("", "_compat", "_threaded")
                for suffix in (".js", ".wasm")
            },
        },
        "axe-core": {"axe.min.js": "axe-core/axe.min.js"},  # tests of the page alone
    }
)
THREADED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {ONNX: (), LITERT: ("litert_wasm_threaded_internal.js", "litert_wasm_threaded_internal.wasm")}
)
"""Of a runtime's files those that only a page with more threads than one loads."""

_BARE, _RELATIVE = '"@litertjs/wasm-utils"', '"./litert-wasm-utils.mjs"'  # no import map in the page, then
_SECONDS = 600
_REVISION = 1  # of what is kept and how


def version(runtime: str) -> str:
    """The pinned version of a runtime."""
    wanted = json.loads(_text("package.json"))["dependencies"]
    return str(wanted[NPM[runtime]])


def find() -> Path | None:
    """The folder with all of ``FILES``, if it is here."""
    folder = _folder()
    return folder if folder.is_dir() else None


def missing() -> str | None:
    """Why the packages are not here and cannot be fetched, and what to do; None: nothing is missing."""
    if find() is not None or programs.find("npm") is not None:
        return None
    return "there is no npm here to fetch the browser's runtimes (Debian: apt-get install npm)"


def gather() -> Path:
    """The folder with all of ``FILES``; fetched (50 MB, half a minute) if it is not here.

    Raises:
        GateError: npm is not here or cannot fetch them, with its last words; or there is no room.
    """
    found = find()
    if found is not None:
        return found
    reason = missing()
    if reason is not None:
        raise GateError(reason, where="runtimes in the browser")
    folder = _folder()
    try:
        cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache(), prefix="npm-") as temporary:
            _fetch(Path(temporary))
            made = Path(temporary) / "kept"
            _keep(Path(temporary) / "node_modules", made)
            made.chmod(0o755)
            if find() is None:  # another process may have been first
                made.rename(folder)
    except OSError as error:
        raise GateError(
            f"the browser's runtimes cannot be kept: {error.strerror or error}",
            where=str(cache()),
            fix="make room there, or name another folder with XDG_CACHE_HOME",
        ) from error
    return folder


def _folder() -> Path:
    parts = (str(_REVISION), _text("package-lock.json"), str(sorted(FILES.items())))
    return cache() / f"browser-{hashlib.sha256(''.join(parts).encode()).hexdigest()[:12]}"


def _fetch(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        (folder / name).write_text(_text(name), encoding="utf-8")
    npm = programs.find("npm")
    assert npm is not None, "missing() was asked"
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    ended = programs.run(command, seconds=_SECONDS, folder=folder)
    if ended.code != 0:
        wanted = json.loads(_text("package.json"))["dependencies"]
        names = " ".join(f"{name}@{number}" for name, number in wanted.items())
        raise GateError(
            f"npm cannot fetch the browser's runtimes: {ended.last_words}",
            where=str(folder),
            fix=f"see that `npm install {names}` works in an empty folder, then run the same command again",
        )


def _keep(packages: Path, made: Path) -> None:
    made.mkdir()
    for files in FILES.values():
        for name, path in files.items():
            shutil.copyfile(packages / path, made / name)
    module = made / "litert.mjs"
    text = module.read_text(encoding="utf-8")
    if text.count(_BARE) != 1:
        raise GateError("LiteRT.js imports its parts in another way than it did", where="@litertjs/core")
    module.write_text(text.replace(_BARE, _RELATIVE), encoding="utf-8")


def _text(name: str) -> str:
    return resources.files("edgedistill.runners.browser").joinpath(name).read_text(encoding="utf-8")
