"""Compiles packaged Kotlin with the real compiler against stubs of Android's classes, and runs it on a JVM.

What the stubs fake says so in its comment: files in the place of an APK, and answers that are told to the
runtimes. Pre- and post-processing, digests and the self-test are the packaged code itself; JSON is read by
Android's own org.json (Debian's libandroid-json-java).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgedistill.package import android, languages
from edgedistill.package.languages import Picture, Recording
from edgedistill.runners.aarch64_system import sysroot
from tests.package import phones

HERE = Path(__file__).parent
JSON_JAR = Path("/usr/share/java/com.android.json.jar")
PACKAGES = {"pictures": "edgedistill.pictures_student", "sounds": "edgedistill.sounds_student"}
_COMPILER = (
    "kotlin-compiler.jar",
    "kotlin-stdlib.jar",
    "kotlin-script-runtime.jar",
    "kotlin-reflect.jar",
    "annotations-13.0.jar",
    "kotlinx-coroutines-core-jvm.jar",
)
_FAST = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")  # a compiler lives too short for the second one


def compiler() -> Path:
    """Where .ci/tools puts the jars of npm's kotlin-compiler."""
    return sysroot.cache() / f"kotlin-compiler-{android.VERSIONS['kotlin']}" / "lib"


def missing() -> str | None:
    """Why nothing can be compiled here, or None."""
    if shutil.which("javac") is None or shutil.which("java") is None:
        return "needs a JDK 17 (javac, java)"
    if not JSON_JAR.is_file():
        return "needs Android's org.json (Debian: libandroid-json-java)"
    if not all((compiler() / jar).is_file() for jar in _COMPILER):
        return f"needs the Kotlin compiler {android.VERSIONS['kotlin']} (.ci/tools fetches it with npm)"
    return None


@dataclass(frozen=True)
class Program:
    """Compiled packages, with the harness that speaks to each."""

    classes: tuple[Path, ...]

    def preprocess(
        self, package: str, cases: Sequence[Picture | Recording], folder: Path, warm_ups: int = 0
    ) -> tuple[bytes, float]:
        """Results as package/languages.py says, and seconds for all of them, files left out.

        Args:
            package: pictures or sounds.
            cases: recordings hold 16-bit samples.
            folder: an empty one.
            warm_ups: cases that are processed before the clock starts.
        """
        command = (*self._java(package, fast=not warm_ups), "preprocess", str(warm_ups))
        results = languages.answers(cases, command, folder)
        return results, float((folder / "seconds.txt").read_text())

    def self_test(self, package: str, assets: Sequence[Path]) -> dict[str, object]:
        """What the module says of itself, with its assets in these folders; later ones are looked at last."""
        command = [*self._java(package, fast=True), "selftest", *map(str, assets)]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300)
        assert done.returncode == 0, done.stderr
        told: dict[str, object] = json.loads(done.stdout)
        return told

    def _java(self, package: str, fast: bool) -> tuple[str, ...]:
        path = os.pathsep.join(map(str, self.classes))
        return (
            "java",
            *(_FAST if fast else ()),
            "-Dfile.encoding=UTF-8",
            "-cp",
            path,
            f"{PACKAGES[package]}.Harness",
        )


def compiled(sources: Sequence[Path], out: Path) -> Program:
    """Compiles folders of Kotlin, all warnings being errors, in the language of two releases ago.

    Args:
        sources: source sets of the packages "pictures" and "sounds", in one call because it takes long.
        out: a new folder.
    """
    stubs, classes = out / "stubs", out / "classes"
    stubs.mkdir(parents=True)
    java = sorted(str(file) for file in (HERE / "android_stubs").rglob("*.java"))
    _must(["javac", "-nowarn", "--release", "17", "-d", str(stubs), *java])
    stdlib = compiler() / "kotlin-stdlib.jar"
    path = os.pathsep.join(map(str, (stubs, JSON_JAR, stdlib)))
    jars = os.pathsep.join(str(compiler() / jar) for jar in _COMPILER)
    compile_ = ("java", *_FAST, "-Xmx1g", "-cp", jars, "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler")
    options = ("-no-stdlib", "-no-reflect", "-jvm-target", "17", "-Werror", "-Wextra")
    language = ("-language-version", "2.2", "-api-version", "2.2")
    places = ("-classpath", path, "-d", str(classes))
    _must([*compile_, *options, *language, *places, *map(str, sources), str(HERE / "jvm")])
    return Program((classes, stubs, JSON_JAR, stdlib))


def modules(out: Path) -> dict[str, Path]:
    """Writes the Android module of each of PACKAGES into ``out``; their source sets."""
    made = {"pictures": (phones.pictures(), phones.PICTURES), "sounds": (phones.sounds(), phones.SOUNDS)}
    for name, (contract, build) in made.items():
        (out / name).mkdir(parents=True)
        android.write(contract, build, out / name)
    return {name: out / name / f"{name}_student" / "src" for name in made}


def of_phones(out: Path) -> Program:
    """Writes and compiles the modules below ``out``."""
    return compiled(list(modules(out / "modules").values()), out / "compiled")


def _must(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
