"""Finding a user's callable by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgedistill.data.callables import find, looks_like
from edgedistill.errors import DataError


def refused(spec: str) -> str:
    with pytest.raises(DataError) as caught:
        find(spec, DataError, where="here")
    assert "where: here" in str(caught.value)
    return str(caught.value)


def test_forms() -> None:
    assert looks_like("a.b:c") and looks_like("dir/f.py:make") and looks_like("m:C.method")
    assert not any(looks_like(text) for text in ("digits", "a:", ":f", "a:b-c"))


def test_the_working_folder_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_here_module.py").write_text("def f(): return 41\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert find("only_here_module:f", DataError, where="here")() == 41
    assert sys.path == before


def test_two_files_of_one_name_stay_two_modules(tmp_path: Path) -> None:
    for i in (1, 2):
        (tmp_path / str(i)).mkdir()
        (tmp_path / str(i) / "m.py").write_text(f"def f(): return {i}\n")
    assert [find(f"{tmp_path}/{i}/m.py:f", DataError, where="here")() for i in (1, 2)] == [1, 2]


def test_problems(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("x = 3\ndef f(): pass\n")
    (tmp_path / "bad.py").write_text("raise OSError('no disk')\n")
    assert "is a int, not a callable" in refused(f"{tmp_path}/m.py:x")
    assert "its callables: f" in refused(f"{tmp_path}/m.py:g")
    assert "there is no file" in refused(f"{tmp_path}/none.py:g")
    assert "failed: OSError: no disk" in refused(f"{tmp_path}/bad.py:g")
    assert "is not of the form module:callable" in refused("nothing")
