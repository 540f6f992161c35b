"""kill -9 in the middle of training: the next call goes on, and nothing half-written stays."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = """
[student]
spec = "resnet:width=4"
[data]
limit = 400
[distill]
epochs = 8
views = 1
batch = 50
[quantise]
epochs = 1
[bench]
runs = 10
[export]
formats = ["tflite"]
float32 = false
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
def test_kill_9_loses_at_most_an_epoch(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(RECIPE)
    command = [sys.executable, "-m", "edgedistill", "build", "--target", "linux-x86_64"]
    command += ["--recipe", "r.toml", "--out", "out", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stderr is not None
        reached = ""
        for line in process.stderr:
            reached = json.loads(line).get("fields", {}).get("epoch", "")
            if reached == "4/8":
                process.send_signal(signal.SIGKILL)
                break
    assert reached == "4/8" and process.returncode == -signal.SIGKILL
    assert not (tmp_path / "out" / "linux-x86_64").exists()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300, check=True)
    events = [json.loads(line) for line in again.stderr.splitlines()]
    assert "resumes after epoch 3" in [event.get("text") for event in events]
    record = json.loads((tmp_path / "out" / "linux-x86_64" / "record.json").read_text())
    assert [log["epoch"] for log in record["epochs"] if log["stage"] == "distill"] == list(range(1, 9))
    assert not any((tmp_path / "out" / ".cache" / "work").iterdir())
