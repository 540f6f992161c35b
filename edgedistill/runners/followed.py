"""Follows a program while it runs: its lines as they come, with an end to waiting, and its last complaint."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from typing import IO

MOST_LINE = 32 * 2**20  # bytes: the outputs of a model are one line
MOST_LINES = 100_000
KEPT = 4_000  # bytes of what a program complains


def shown(text: str) -> str:
    """What another machine said, without what would move a terminal's cursor, in one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:500]


class Lines:
    """Reads lines in a thread, so that waiting for one can end."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        assert stream is not None
        self._queue: queue.Queue[bytes | None] = queue.Queue(maxsize=8)
        self._stream = stream
        self.ended = self.silent = False
        threading.Thread(target=self._read, daemon=True).start()

    def until(self, seconds: float, silence_s: float | None = None) -> Iterator[str]:
        """The lines of ``seconds``; sooner over at the end (``ended``) and after a ``silent`` time."""
        over, count = time.monotonic() + seconds, 0
        while (left := over - time.monotonic()) > 0 and count < MOST_LINES:
            wait = left if silence_s is None else min(left, silence_s)
            try:
                line = self._queue.get(timeout=wait)
            except queue.Empty:
                self.silent = silence_s is not None and wait == silence_s
                return
            if line is None:
                self.ended = True
                return
            count += 1
            yield line.decode("utf-8", "replace").rstrip("\r\n")

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # closed meanwhile
            while line := self._stream.readline(MOST_LINE):
                self._queue.put(line)
        self._queue.put(None)


class Tail:
    """Keeps the end of what a program complains."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        assert stream is not None
        self._stream, self._kept = stream, b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def text(self) -> str:
        self._thread.join(1.0)
        return self._kept.decode("utf-8", "replace")

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while part := self._stream.read1(KEPT):  # type: ignore[attr-defined]
                self._kept = (self._kept + part)[-KEPT:]


def started(words: Sequence[str], given: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """In a session of its own: Ctrl-C is ours to handle, and there is no terminal to ask at."""
    return subprocess.Popen(
        list(words),
        stdin=subprocess.PIPE if given is None else given,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "never"},  # no window asks, either
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Closes its input, by which it ends; one that does not is killed."""
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
