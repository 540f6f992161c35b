"""What each reporter says, and how often."""

from __future__ import annotations

import io
import json

from rich.console import Console

from edgedistill.reporter import JsonReporter, PlainReporter, QuietReporter, Reporter, RichReporter


def speak(reporter: Reporter) -> None:
    reporter.stage("distil", "resnet")
    for i in range(1, 5):
        reporter.progress(i, 4, {"acc": f"{i}0 %"})
    reporter.note("[b]a note[/b]")
    reporter.warn("look here")
    reporter.close()


def test_plain_prints_every_five_seconds_and_the_last() -> None:
    out, now = io.StringIO(), iter([0.0, 0.0, 2.0, 6.0, 8.0, 9.0])
    speak(PlainReporter(out, clock=lambda: next(now)))
    assert out.getvalue().splitlines() == [
        "distil: resnet",
        "  2/4, acc 20 %, about 6 s left",
        "  4/4, acc 40 %",
        "  [b]a note[/b]",
        "warning: look here",
    ]


def test_time_left_counts_only_the_steps_of_this_process() -> None:
    out, now = io.StringIO(), iter([0.0, 0.0, 1.0, 10.0])
    reporter = PlainReporter(out, clock=lambda: next(now))
    reporter.stage("distil")
    reporter.progress(51, 100, {})
    reporter.progress(60, 100, {})
    assert out.getvalue().splitlines()[-1] == "  60/100, about 40 s left"


def test_json_is_one_object_per_line() -> None:
    out = io.StringIO()
    speak(JsonReporter(out))
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [e["event"] for e in events] == ["stage", *["progress"] * 4, "note", "warning"]
    assert events[4] == {"event": "progress", "done": 4, "total": 4, "fields": {"acc": "40 %"}}


def test_quiet_keeps_warnings_if_asked() -> None:
    out = io.StringIO()
    speak(QuietReporter(warnings=True, out=out))
    assert out.getvalue() == "warning: look here\n"
    speak(QuietReporter(out=out))
    assert out.getvalue() == "warning: look here\n"


def test_rich_ticks_a_stage_off_and_reads_no_markup() -> None:
    out = io.StringIO()
    speak(RichReporter(Console(file=out, force_terminal=True, width=80, color_system=None)))
    text = out.getvalue()
    assert "✓ distil" in text and "[b]a note[/b]" in text and "warning: look here" in text
    assert text.endswith("s\n") and "acc 40 %" in text.splitlines()[-1]


def test_rich_marks_the_stage_that_broke_off() -> None:
    out = io.StringIO()
    reporter = RichReporter(Console(file=out, force_terminal=True, width=80, color_system=None))
    reporter.stage("verify")
    try:
        raise ValueError
    except ValueError:
        reporter.close()
    assert "✗ verify" in out.getvalue()
