"""Holds a command's figures against its limits and its history, and shows that history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.cli.output import console, print_json, print_table
from edgedistill.errors import GateError, InputError

if TYPE_CHECKING:
    from edgedistill.bench.gate import Limit, Verdict
    from edgedistill.bench.history import Run
    from edgedistill.record import Measurement

LAST = ""  # a baseline's name: none, the last run


@dataclass(frozen=True)
class Trend:
    """What the user asked for with --history, --label, --baseline and --fail-if."""

    history: Path | None
    label: str
    baseline: str
    limits: tuple[Limit, ...]

    def judged(self, build: str, found: Sequence[Measurement], *, sound: bool) -> tuple[Verdict, ...]:
        """Verdicts of all limits; the run is then added to the history, as no baseline where it broke one.

        Args:
            build: name of the build's folder.
            found: today's figures.
            sound: whether the figures may become a baseline at all (the bytes were right).

        Raises:
            InputError, OutputError: as ``gate.judge`` and ``history.append``.
        """
        from edgedistill.bench import gate, history

        earlier: tuple[Run, ...] = ()
        if self.history is not None and self.history.exists():
            earlier = history.runs(self.history, build, label=self.baseline)
        verdicts = gate.judge(self.limits, found, earlier)
        if self.history is not None:
            passed = sound and not any(one.failed for one in verdicts)
            history.append(self.history, build, found, label=self.label, passed=passed)
        return verdicts


def parsed(history: Path | None, label: str, baseline: str, limits: Sequence[str], *, listing: bool) -> Trend:
    """The options, checked before anything is measured.

    Raises:
        InputError: a limit is none, or an option needs --history and there is none.
    """
    from edgedistill.bench import gate

    made = Trend(history, label, baseline, tuple(map(gate.parse, limits)))
    if history is None:
        relative = next((f"--fail-if {one.written}" for one in made.limits if one.more is not None), "")
        options = (("--label", label), ("--baseline", baseline), ("--list", listing), (relative, relative))
        wants = next((name for name, given in options if given), None)
        if wants:
            raise InputError("there is no history to look into", where=wants, fix="say --history FILE, too")
    return made


def say(verdicts: Sequence[Verdict]) -> None:
    """One line for each limit and figure."""
    for one in verdicts:
        mark = {True: "broken", False: "met", None: "not checked"}[one.failed]
        console().print(f"{one.limit.written}: {mark}; {one.words}", markup=False)


def enforce(verdicts: Sequence[Verdict]) -> None:
    """Ends the command where a limit is broken, or was not checked.

    Raises:
        GateError: broken.
        InputError: there was no baseline.
    """
    broken = [f"{one.limit.written}: {one.words}" for one in verdicts if one.failed]
    if broken:
        raise GateError(
            "; ".join(broken), where="--fail-if", fix="look at what changed since; measure again if in doubt"
        )
    for one in verdicts:
        if one.failed is None:
            raise InputError(
                one.words,
                where=f"--fail-if {one.limit.written}",
                fix="this run is in the history now: the next one on this machine is held against it",
            )


def show(path: Path, build: str, label: str, *, json_: bool) -> None:
    """The last runs of a build, oldest first.

    Raises:
        InputError: as ``history.runs``.
    """
    from edgedistill.bench import history
    from edgedistill.report.people import figure, interval

    found = tuple(reversed(history.runs(path, build, label=label)))
    if json_:
        rows = [
            {
                "run": run.number,
                "created_utc": run.created_utc,
                "label": run.label,
                "revision": run.revision,
                "passed": run.passed,
                "versions": run.versions,
                "measurements": [m.model_dump(mode="json") for m in run.measurements],
            }
            for run in found
        ]
        print_json({"build": build, "runs": rows})
        return
    table = [
        (
            f"{run.number}{'' if run.passed else ' (broke a limit)'}",
            run.created_utc,
            run.label,
            f"{run.revision[:10]}{'+' if run.revision.endswith('+') else ''}",
            m.quantity,
            " ".join(filter(None, (figure(m), f"({interval(m)})" if interval(m) else ""))),
            m.artifact,
            m.runtime,
            m.device,
        )
        for run in found
        for m in run.measurements
        if m.value is not None
    ]
    if not table:
        console().print(f"no run of {build} is in {path}", markup=False)
        return
    print_table(("run", "date", "label", "commit", "quantity", "value", "file", "runtime", "device"), table)
