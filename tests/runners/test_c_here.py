"""The C files, compiled here, are the network; what is wrong with them is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgedistill.errors import GateError, InputError
from edgedistill.export import c
from edgedistill.export.metadata import Metadata
from edgedistill.ir import interpret
from edgedistill.runners import c_here
from tests.graphs import random_input, small_integer_graph

needs_compiler = pytest.mark.skipif(c_here.compiler() is None, reason="needs a C compiler on the PATH")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    graph = small_integer_graph(2)
    c.write(graph, Metadata("edgedistill student", "", graph.labels, 1 / 64, 0, "0"), tmp_path / "c")
    return tmp_path / "c"


@needs_compiler
def test_it_answers_as_the_interpreter(folder: Path) -> None:
    graph = small_integer_graph(2)
    x = random_input(graph, 7)
    got, compiler = c_here.run(folder, x)
    expected = interpret.run_batched(graph, {graph.inputs[0]: x})[graph.outputs[0]]
    np.testing.assert_array_equal(got, expected.reshape(7, -1))
    assert compiler.split()[1][0].isdigit()


@needs_compiler
def test_broken_files_are_named(folder: Path) -> None:
    x = random_input(small_integer_graph(2), 1)
    source = next(folder.glob("*.c"))
    source.write_text(source.read_text()[:-40])
    with pytest.raises(GateError, match="could not be compiled"):
        c_here.run(folder, x)
    source.unlink()
    with pytest.raises(InputError, match="not one header with its source"):
        c_here.run(folder, x)


@needs_compiler
def test_a_program_that_refuses_its_input(folder: Path) -> None:
    source = next(folder.glob("*.c"))
    source.write_text(source.read_text().replace("return 0;", "return -1;"))
    with pytest.raises(GateError, match="ended with 3 before it had answered 2 inputs"):
        c_here.run(folder, random_input(small_integer_graph(2), 2))


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert c_here.reason_not_runnable() == "there is no C compiler here (cc, gcc, clang)"
