"""What a build's folder gets beside the printed graph."""

from pathlib import Path

from edgedistill import deliver
from edgedistill.export.metadata import Metadata
from edgedistill.recipe import Recipe
from tests.graphs import small_float_graph, small_integer_graph


def test_c_files_come_with_what_a_board_needs(tmp_path: Path) -> None:
    meta = Metadata("edgedistill student", "", (), 1 / 64, 0, "0")
    deliver.export(small_integer_graph(3), small_float_graph(3), meta, tmp_path, Recipe(), ("c",))
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert found == [
        "c/board/README.md",
        "c/board/board_model.h",
        "c/board/protocol.c",
        "c/board/protocol.h",
        "c/edgedistill_student.c",
        "c/edgedistill_student.h",
    ]
