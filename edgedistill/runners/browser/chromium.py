"""Finds Chromium, and opens one page in it without a window; afterwards no process and no profile is left."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgedistill.errors import GateError
from edgedistill.runners import programs

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
VARIABLE = "EDGEDISTILL_CHROMIUM"
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",  # containers have 64 MB there
    "--disable-extensions",
    "--disable-renderer-backgrounding",
    "--disable-sync",
    "--metrics-recording-only",
    "--mute-audio",
    "--no-default-browser-check",
    "--no-first-run",
)
_END_S = 10  # for killed processes to be gone


@dataclass(frozen=True)
class Browser:
    """A running Chromium; ``process`` leads a session of its own, with all that it started."""

    process: subprocess.Popen[bytes]
    profile: Path

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def last_words(self) -> str:
        """The end of what it wrote to its standard error."""
        text = (self.profile / "stderr").read_text(errors="replace").strip()
        return text[-programs.LAST_WORDS :] or "it said nothing"


def find(given: str = "") -> str | None:
    """Chromium's program: the one that was given, else that of EDGEDISTILL_CHROMIUM, else on the path."""
    named = given or os.environ.get(VARIABLE, "")
    if named:
        return shutil.which(named)
    return next((found for name in NAMES if (found := shutil.which(name)) is not None), None)


def missing(given: str = "") -> str | None:
    """Why there is no Chromium, and what to do; None: there is one."""
    if find(given) is not None:
        return None
    named = given or os.environ.get(VARIABLE, "")
    if named:
        return f"there is no program {named}"
    return (
        "there is no Chromium here (Debian: apt-get install chromium; or name one with --on browser:PROGRAM "
        f"or in {VARIABLE})"
    )


def version(program: str) -> str:
    """``Chromium 156.0.8078.79``."""
    words = programs.first_line(program).split()
    number = next((i for i, word in enumerate(words) if word[:1].isdigit()), None)
    return " ".join(words[: number + 1]) if number is not None else "Chromium of unknown version"


@contextlib.contextmanager
def opened(program: str, url: str) -> Iterator[Browser]:
    """Chromium with one page, in a new profile; both are gone after the block.

    Raises:
        GateError: it cannot be started.
    """
    profile = Path(tempfile.mkdtemp(prefix="edgedistill-browser-"))
    folders = {name: str(profile) for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR")}
    # Chromium's own sandbox refuses to work for root; the page is this project's and talks to 127.0.0.1 alone
    alone = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
    try:
        with (profile / "stderr").open("wb") as said:
            try:
                process = subprocess.Popen(
                    [program, *FLAGS, *alone, f"--user-data-dir={profile / 'profile'}", url],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    env={**os.environ, **folders},
                    start_new_session=True,
                )
            except OSError as error:
                raise GateError(
                    f"Chromium cannot be started: {error.strerror or error}",
                    where=program,
                    fix="install it again",
                ) from error
        try:
            yield Browser(process, profile)
        finally:
            _end(process)
    finally:
        _remove(profile)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kills the whole session: a browser that hangs hears no gentler word."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_END_S)


def _remove(profile: Path) -> None:
    """Again while a dying process still writes."""
    until = time.monotonic() + _END_S
    while profile.exists() and time.monotonic() < until:
        shutil.rmtree(profile, ignore_errors=True)
        if profile.exists():
            time.sleep(0.05)
