"""A build on two processes: one voice, one result; kill -9 of one ends both with words, and it goes on."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from tests.cli.test_kill import RECIPE
from tests.distill import together

pytest.importorskip("accelerate", reason="accelerate is not installed (pip install 'edgedistill[scale]')")


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
def test_a_killed_process_ends_all_and_the_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(RECIPE)
    build = ["-m", "edgedistill", "build", "--target", "linux-x86_64", "--recipe", "r.toml", "--out", "out"]
    first, second = together.start([*build, "--json"], 2, cwd=tmp_path)
    assert first.stderr is not None
    reached = ""
    for line in first.stderr:
        event = json.loads(line) if line.startswith("{") else {}
        reached = event.get("fields", {}).get("epoch", "")
        if reached == "4/8":
            second.send_signal(signal.SIGKILL)
            break
    rest = first.communicate(timeout=30)[1]
    second.communicate(timeout=30)
    told = json.loads(rest.splitlines()[-1])
    assert first.returncode == 1 and told["event"] == "error"
    assert told["what"].startswith("process 1 of 2 was lost")
    assert "the state after epoch" in told["where"] and "run the same command again" in told["fix"]
    ends = together.start([*build, "--json"], 2, cwd=tmp_path)
    said = [process.communicate(timeout=120) for process in ends]
    assert [process.returncode for process in ends] == [0, 0], said
    assert any("resumes after epoch" in line for line in said[0][1].splitlines())
    record = json.loads((tmp_path / "out" / "linux-x86_64" / "record.json").read_text())
    assert [log["epoch"] for log in record["epochs"] if log["stage"] == "distill"] == list(range(1, 9))
    assert said[1][0] == "" and "event" not in said[1][1]  # the second process is silent
    assert not any((tmp_path / "out" / ".cache" / "work").iterdir())
