"""``bench --history``, ``--list`` and ``--fail-if``: what is kept and shown, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgedistill.bench import places
from edgedistill.bench.places import Found, Request
from edgedistill.record import Measurement
from tests.bench.test_gate import latency
from tests.cli.conftest import Run


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Measurement]:
    """A stand-in for measuring: what the next ``bench`` finds, to be altered by the test."""
    found = [latency(1.0, 0.98, 1.02)]

    def bench(request: Request) -> Found:
        return Found(tuple(found))

    monkeypatch.setattr(places, "bench", bench)
    return found


def test_a_regression_ends_with_1_and_is_nobodys_baseline(
    run: Run, tmp_path: Path, measured: list[Measurement]
) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    command = ("bench", str(folder), "--history", "h.sqlite", "--fail-if", "latency>+5%")
    first = run(*command)
    assert first.exit_code == 2 and "no comparable figure" in first.stderr
    assert run(*command).exit_code == 0
    measured[0] = latency(1.2, 1.19, 1.21)
    worse = run(*command)
    assert worse.exit_code == 1 and "+20.0%" in worse.stderr and "Traceback" not in worse.stderr
    assert run(*command).exit_code == 1  # the worse run did not become the baseline
    measured[0] = latency(1.2, 1.0, 1.4)
    noisy = run(*command)
    assert noisy.exit_code == 0 and "within the noise" in noisy.stdout.replace("\n", " ")
    listed = run("bench", str(folder), "--history", "h.sqlite", "--list", "--json")
    runs = json.loads(listed.stdout)["runs"]
    assert [one["passed"] for one in runs] == [True, True, False, False, True]
    shown = run("bench", str(folder), "--history", "h.sqlite", "--list")
    assert shown.exit_code == 0 and "broke" in shown.stdout


def test_a_named_baseline_is_held_against(run: Run, tmp_path: Path, measured: list[Measurement]) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    common = ("bench", str(folder), "--history", "h.sqlite", "--quiet")
    assert run(*common, "--label", "v1").exit_code == 0
    measured[0] = latency(1.04, 1.04, 1.04)
    assert run(*common).exit_code == 0
    measured[0] = latency(1.08, 1.08, 1.08)
    limit = ("--fail-if", "latency>+5%")
    assert run(*common, *limit, "--baseline", "v1").exit_code == 1  # 1.08 > 1.02 * 1.05
    assert run(*common, *limit).exit_code == 0  # against 1.04


@pytest.mark.parametrize("option", [("--list",), ("--label", "a"), ("--fail-if", "latency>+5%")])
def test_what_needs_a_history_says_so(
    run: Run, tmp_path: Path, measured: list[Measurement], option: tuple[str, ...]
) -> None:
    result = run("bench", str(tmp_path), *option)
    assert result.exit_code == 2 and "say --history FILE, too" in result.stderr.replace("\n", " ")
