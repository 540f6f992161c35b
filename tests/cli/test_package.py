"""The command ``package``, and ``verify`` on what it wrote."""

import json
from pathlib import Path

from typer.testing import CliRunner

from edgedistill.cli.app import app

MODEL = Path(__file__).parents[2] / "models" / "cifar10-resnet8"


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_package_then_verify_then_an_altered_file(tmp_path: Path) -> None:
    code, out, _ = run("package", str(MODEL), "--for", "mcu", "--out", str(tmp_path), "--json")
    (row,) = json.loads(out)
    assert code == 0 and row["signed"] is False and row["files"] > 20
    folder = tmp_path / "mcu"
    code, out, _ = run("verify", str(folder), "--json")
    assert (code, json.loads(out)) == (0, {"files": row["files"], "signature": "unsigned"})
    (folder / "student" / "README.md").write_text("other")
    code, _, err = run("verify", str(folder))
    assert code == 1 and "student/README.md was altered" in err


def test_mistakes_are_told(tmp_path: Path) -> None:
    code, _, err = run("package", str(MODEL), "--for", "rasberry-pi", "--out", str(tmp_path))
    assert code == 2 and "did you mean raspberry-pi?" in err
    code, _, err = run("package", str(MODEL), "--for", " ,", "--out", str(tmp_path))
    assert code == 2 and "no package is named" in err
    code, _, err = run("package", str(tmp_path), "--for", "mcu")
    assert code == 2 and "there is no graph.npz" in err
    assert list(tmp_path.iterdir()) == []


def test_the_list_names_every_row() -> None:
    code, out, _ = run("list", "packages", "--json")
    assert code == 0 and {row["--for"] for row in json.loads(out)} >= {
        "android",
        "ios",
        "raspberry-pi",
        "mcu",
    }
