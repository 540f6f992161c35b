"""How a running build speaks: bars on a terminal, lines in a log, JSON lines for a program, or silence."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_PLAIN_INTERVAL_S = 5.0  # a log that scrolls faster than this is not read


class Reporter(Protocol):
    """What a build tells while it runs. None of the calls may change a result."""

    def stage(self, name: str, detail: str = "") -> None:
        """A stage begins; the one before is over."""
        ...

    def progress(self, done: int, total: int, fields: Mapping[str, str]) -> None:
        """``done`` of ``total`` steps of the current stage, with its current figures."""
        ...

    def note(self, text: str) -> None:
        """Something good to know."""
        ...

    def warn(self, text: str) -> None:
        """Something the user should look at."""
        ...

    def close(self) -> None:
        """The build is over, or broke off: leaves the terminal clean."""
        ...


class QuietReporter:
    """Says nothing but warnings, on stderr; with ``warnings=False`` nothing at all."""

    def __init__(self, *, warnings: bool = False, out: TextIO | None = None) -> None:
        self._warnings = warnings
        self._out = out

    def stage(self, name: str, detail: str = "") -> None: ...

    def progress(self, done: int, total: int, fields: Mapping[str, str]) -> None: ...

    def note(self, text: str) -> None: ...

    def warn(self, text: str) -> None:
        if self._warnings:
            print(f"warning: {text}", file=self._out or sys.stderr, flush=True)

    def close(self) -> None: ...


class PlainReporter:
    """One line per update, at most one progress line every five seconds, and always the last one."""

    def __init__(self, out: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._started = self._last = clock()
        self._resumed_at: int | None = None  # steps that were done before this process began

    def stage(self, name: str, detail: str = "") -> None:
        self._started = self._last = self._clock()
        self._resumed_at = None
        self._line(f"{name}: {detail}" if detail else name)

    def progress(self, done: int, total: int, fields: Mapping[str, str]) -> None:
        now = self._clock()
        if self._resumed_at is None:
            self._resumed_at = max(done - 1, 0)
        if now - self._last < _PLAIN_INTERVAL_S and done < total:
            return
        self._last = now
        left = "" if done >= total else remaining(done, total, now - self._started, self._resumed_at)
        figures = "".join(f", {name} {value}" for name, value in fields.items())
        self._line(f"  {done}/{total}{figures}{left}")

    def note(self, text: str) -> None:
        self._line(f"  {text}")

    def warn(self, text: str) -> None:
        self._line(f"warning: {text}")

    def close(self) -> None: ...

    def _line(self, text: str) -> None:
        print(text, file=self._out or sys.stderr, flush=True)


class JsonReporter:
    """One JSON object per line: ``{"event": "stage" | "progress" | "note" | "warning", ...}``."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out

    def stage(self, name: str, detail: str = "") -> None:
        self._line({"event": "stage", "name": name, "detail": detail})

    def progress(self, done: int, total: int, fields: Mapping[str, str]) -> None:
        self._line({"event": "progress", "done": done, "total": total, "fields": dict(fields)})

    def note(self, text: str) -> None:
        self._line({"event": "note", "text": text})

    def warn(self, text: str) -> None:
        self._line({"event": "warning", "text": text})

    def close(self) -> None: ...

    def _line(self, event: Mapping[str, object]) -> None:
        print(json.dumps(event, ensure_ascii=False), file=self._out or sys.stderr, flush=True)


class RichReporter:
    """A bar per stage with the time left and the current figures; a tick when the stage is over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._name = self._detail = self._figures = ""
        self._started = 0.0

    def stage(self, name: str, detail: str = "") -> None:
        self._finish()
        self._name, self._detail, self._figures = name, detail, ""
        self._started = time.monotonic()
        self._bar = self._new_bar()
        self._task = self._bar.add_task(name, total=None, count="", figures=detail)
        self._bar.start()

    def progress(self, done: int, total: int, fields: Mapping[str, str]) -> None:
        if self._bar is None or self._task is None:
            self.stage("working")
        assert self._bar is not None and self._task is not None
        if self._bar.tasks[self._task].total is None and done > 1:  # resumed: the pace counts from here
            self._bar.reset(self._task, total=total, completed=done - 1)
        self._figures = "  ".join(f"{name} {value}" for name, value in fields.items())
        self._bar.update(
            self._task, completed=done, total=total, count=f"{done}/{total}", figures=self._figures
        )

    def note(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(f"  {text}", style="dim"))

    def warn(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text.assemble(("warning: ", "yellow"), text))

    def close(self) -> None:
        """Ends the bar; called without an error in flight, it ticks the last stage off."""
        self._finish(good=sys.exc_info()[0] is None)

    def _new_bar(self) -> Progress:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        return Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}", markup=False),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[figures]}", markup=False, style="dim"),
            console=self._console,
            transient=True,
        )

    def _finish(self, *, good: bool = True) -> None:
        if self._bar is None:
            return
        from rich.text import Text

        self._bar.stop()
        self._bar = self._task = None
        seconds = time.monotonic() - self._started
        mark = ("✓ ", "green") if good else ("✗ ", "red")
        words = "  ".join(filter(None, (self._detail, self._figures)))
        self._console.print(Text.assemble(mark, f"{self._name:<13}", (f"{words}  {seconds:.1f} s", "dim")))


def remaining(done: int, total: int, elapsed_s: float, resumed_at: int = 0) -> str:
    """ ", about 2 min left" from the pace of the steps after ``resumed_at``; empty before there is one."""
    if done <= resumed_at or elapsed_s <= 0:
        return ""
    left = elapsed_s / (done - resumed_at) * (total - done)
    return f", about {left:.0f} s left" if left < 90 else f", about {left / 60:.0f} min left"
