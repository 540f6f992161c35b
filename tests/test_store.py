"""Finished stages are found, half-written ones are not, and folders are swapped whole."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edgedistill import store as stores
from edgedistill.errors import OutputError
from edgedistill.store import Store, atomic_write, check_writable, key, publish


def build(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(text)
    return folder


def test_a_key_depends_on_every_part_and_not_on_their_order() -> None:
    assert key("a", {"x": "1", "y": "2"}) == key("a", {"y": "2", "x": "1"})
    others = [key("b", {"x": "1", "y": "2"}), key("a", {"x": "12", "y": ""}), key("a", {"x": "1"})]
    assert len({*others, key("a", {"x": "1", "y": "2"})}) == 4


def test_a_finished_stage_is_found_and_its_work_is_gone(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    assert store.find("s", "k") is None
    assert not store.root.exists()
    (store.work("s", "k") / "checkpoint").write_text("half")
    with store.writing("s", "k") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "result").write_text("done")
        assert store.find("s", "k") is None
    found = Store(store.root).find("s", "k")
    assert found is not None and (found / "sub" / "result").read_text() == "done"
    assert not any(store.work("s", "k").iterdir())


def test_a_failed_stage_leaves_its_work_and_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (store.work("s", "k") / "checkpoint").write_text("half")
    with pytest.raises(KeyboardInterrupt), store.writing("s", "k") as folder:
        (folder / "result").write_text("half")
        raise KeyboardInterrupt
    assert store.find("s", "k") is None
    assert (store.work("s", "k") / "checkpoint").read_text() == "half"
    assert not any((tmp_path / "scratch").iterdir())


def test_a_killed_build_leaves_no_half_stage_and_frees_the_lock(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom edgedistill.store import Store\n"
        "s = Store(Path(sys.argv[1]))\n"
        "with s.lock(), s.writing('s', 'k') as f:\n    (f / 'x').write_text('half')\n    os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == 9
    store = Store(tmp_path)
    assert any((tmp_path / "scratch").iterdir())
    with store.lock():
        assert store.find("s", "k") is None
        assert not (tmp_path / "scratch").exists()


def test_two_builds_in_one_folder_do_not_meet(tmp_path: Path) -> None:
    words = rf"(?s)another build \(process {os.getpid()}\).*--out"
    with Store(tmp_path / "c").lock(), pytest.raises(OutputError, match=words), Store(tmp_path / "c").lock():
        pass
    with Store(tmp_path / "c").lock():
        pass


def test_clear_forgets_everything_but_the_lock(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.lock():
        with store.writing("s", "k"):
            pass
        store.clear()
        assert store.find("s", "k") is None
        assert [p.name for p in tmp_path.iterdir()] == ["lock"]


def test_publish_replaces_the_whole_folder(tmp_path: Path) -> None:
    out = build(tmp_path / "out" / "pi", "old")
    (out / "stale").write_text("")
    publish(build(tmp_path / "new", "new"), out)
    assert [p.name for p in out.iterdir()] == ["record.json"]
    assert (out / "record.json").read_text() == "new"
    assert [p.name for p in out.parent.iterdir()] == ["pi"]
    assert not (tmp_path / "new").exists()


def test_publish_does_not_replace_what_it_did_not_make(tmp_path: Path) -> None:
    out = tmp_path / "pi"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="not the result of a build"):
        publish(build(tmp_path / "new", "new"), out)
    assert (out / "thesis.tex").exists() and (tmp_path / "new").exists()


def test_publish_broken_off_between_its_renames_is_mended(tmp_path: Path) -> None:
    out = build(tmp_path / "pi", "old")
    out.rename(tmp_path / ".pi.old")
    check_writable(tmp_path)
    assert (out / "record.json").read_text() == "old"
    build(tmp_path / ".pi.old", "older")  # and after the second rename only the rest is removed
    publish(build(tmp_path / "new", "new"), out)
    assert (out / "record.json").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["pi"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "you may not write here"),
    ],
)
def test_a_folder_that_cannot_be_written_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    with pytest.raises(OutputError, match=f"(?s){words}.*--out"):
        check_writable(tmp_path / "a" / "b")


def test_an_output_that_is_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="this is a file"):
        check_writable(tmp_path / "out")
    with pytest.raises(OutputError, match="a part of the path is a file"):
        check_writable(tmp_path / "out" / "deeper")


def test_atomic_write_keeps_the_old_file_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    atomic_write(path, b"old")
    monkeypatch.setattr(stores.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
