"""What is appended comes back, and a file that is no history is left as it is."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

import pytest

from edgedistill.bench import history
from edgedistill.errors import InputError, OutputError
from tests.bench.test_gate import latency


def test_what_is_appended_comes_back_newest_first(tmp_path: Path) -> None:
    path = tmp_path / "bench.sqlite"
    found = (latency(1.5, 1.4, 1.6), latency(7, quantity="model_bytes", unit="bytes"))
    assert history.append(path, "small", found, label="v1") == 1
    assert history.append(path, "small", (latency(2.0),), passed=False) == 2
    assert history.append(path, "large", (latency(9.0),)) == 3
    newest, oldest = history.runs(path, "small")
    assert (newest.number, newest.passed, oldest.label) == (2, False, "v1")
    assert oldest.measurements == found and '"python"' in oldest.versions
    assert [run.number for run in history.runs(path, "small", label="v1")] == [1]
    assert [run.number for run in history.runs(path, "small", most=1)] == [2]


def test_no_file_is_no_history(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no history yet"):
        history.runs(tmp_path / "none.sqlite", "small")
    assert not (tmp_path / "none.sqlite").exists()


def test_files_of_others_are_refused_and_left_alone(tmp_path: Path) -> None:
    text, other = tmp_path / "a.txt", tmp_path / "other.sqlite"
    text.write_text("not a data base, but long enough to be looked at\n" * 40)
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE mine (a)")
    db.close()
    for path in (text, other):
        before = path.read_bytes()
        with pytest.raises(InputError, match="this is no history"):
            history.append(path, "small", (latency(1.0),))
        with pytest.raises(InputError, match="this is no history"):
            history.runs(path, "small")
        assert path.read_bytes() == before


def test_a_figure_that_somebody_altered_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bench.sqlite"
    history.append(path, "small", (latency(1.0),))
    with sqlite3.connect(path) as db:
        db.execute("""UPDATE figures SET measurement = '{"quantity": 1}'""")
    db.close()
    with pytest.raises(InputError, match="run 1 holds a figure that is none"):
        history.runs(path, "small")


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be opened"):
        history.append(tmp_path / "no" / "bench.sqlite", "small", ())


def test_the_revision_is_the_commit_and_says_where_files_differ(tmp_path: Path) -> None:
    assert history.revision(tmp_path) == ""
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    (tmp_path / "a").write_text("1")
    for words in (("init", "-q"), ("add", "a"), (*who, "commit", "-q", "-m", "a")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    commit = history.revision(tmp_path)
    assert len(commit) == 40 and not commit.endswith("+")
    (tmp_path / "a").write_text("2")
    assert history.revision(tmp_path) == f"{commit}+"
