"""Imports point down the floors, at the top of a file and inside functions alike."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "edgedistill"

FLOORS = (  # lowest first; a package may import its own floor and everything below
    ("errors",),
    ("tables", "units"),
    ("ir",),
    ("target", "sections", "recipe", "record", "sized", "evidence", "reporter", "store", "mapped", "launch"),
    ("teachers", "data", "students", "quant"),
    ("distill", "lower", "synthesis"),
    ("export", "read", "runners", "sizing", "tasks"),
    ("bench",),
    ("package", "report"),
    ("tuning",),
    (
        "build",
        "choose",
        "compiler",
        "datafree",
        "deliver",
        "phases",
        "robustness",
        "size",
        "succession",
        "teach",
        "teaching",
        "training",
        "tune",
        "widening",
    ),
    ("cli", "__main__"),
)
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
NUMPY_ONLY = ("errors", "units", "ir")
LIGHT = (
    "torch",
    "onnx",
    "onnxruntime",
    "coremltools",
    "sklearn",
    "tensorflow",
    "transformers",
    "timm",
    "ai_edge_litert",
    "optuna",
)
FILES = sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    """The package or module directly under edgedistill that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import; ``from a import b`` gives a.b, relative ones become absolute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            stem = ".".join(filter(None, (base, node.module)))
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)


def broken(path: Path, source: str) -> list[str]:
    """What a file imports from above its floor."""
    own = part(path)
    package = ("edgedistill", *path.relative_to(PACKAGE).parts[:-1])
    found = []
    for line, name in imports(ast.parse(source), package):
        parts = name.split(".")
        if parts[0] != "edgedistill" or len(parts) < 2 or own == "__init__":
            continue
        if parts[1] in FLOOR and FLOOR[parts[1]] > FLOOR[own]:
            found.append(f"{path.name}:{line}: {own} imports {name}")
    return found


def test_every_part_has_a_floor() -> None:
    assert {part(path) for path in FILES} - set(FLOOR) - {"__init__", "version", "_version"} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    assert broken(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", [p for p in FILES if part(p) in NUMPY_ONLY], ids=lambda p: p.name)
def test_the_lower_floors_know_only_numpy(path: Path) -> None:
    allowed = {"edgedistill", "numpy", *sys.stdlib_module_names}
    names = {name.split(".")[0] for _, name in imports(ast.parse(path.read_text(encoding="utf-8")), ())}
    assert names <= allowed


def test_heavy_libraries_are_imported_inside_functions_where_the_cli_looks() -> None:
    """Floors that the command line imports at start: everything but what works in torch or on arrays."""
    for path in FILES:
        if part(path) not in (
            "errors",
            "tables",
            "units",
            "ir",
            "target",
            "recipe",
            "record",
            "store",
            "cli",
            "__init__",
        ):
            continue
        top = ast.Module(ast.parse(path.read_text(encoding="utf-8")).body, [])
        top.body = [node for node in top.body if isinstance(node, ast.Import | ast.ImportFrom)]
        for line, name in imports(top, ()):
            assert name.split(".")[0] not in LIGHT, f"{path}:{line} imports {name} at start"


@pytest.mark.parametrize(
    "source",
    [
        "from edgedistill.export import tflite",
        "import edgedistill.cli",
        "def f():\n    from edgedistill.bench.parity import verify",
        "from edgedistill import build",
        "from ..quant import ranges",
    ],
)
def test_an_import_that_points_up_is_found(source: str) -> None:
    assert broken(PACKAGE / "ir" / "plan.py", source) != []


def test_an_import_that_points_down_is_allowed() -> None:
    assert (
        broken(PACKAGE / "bench" / "parity.py", "from edgedistill.ir import golden\nfrom . import files")
        == []
    )
