"""Target files and overlays: what a user wrote stays, and what was measured is replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedistill import target
from edgedistill.errors import InputError
from edgedistill.sizing import cost_file
from edgedistill.target import Cost
from tests.test_target import GOOD


def cost(runtime: str = "c", value: float = 2.5) -> Cost:
    return Cost.model_validate(
        {
            "runtime": runtime,
            "quantity": "instructions",
            "machine": 'a "machine" (1.0)',
            "software": "gcc 1",
            "date": "2026-01-02",
            "graphs": 40,
            "error_median": 0.01,
            "error_p90": 0.03,
            "band": (0.96, 1.05),
            "coefficients": {"conv alone": {"calls": value, "two channels": 0.0}, "dense": {"calls": 1e-07}},
        }
    )


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "edgedistill" / "targets"


def test_a_users_file_keeps_its_words(tmp_path: Path) -> None:
    path = tmp_path / "my-board.toml"
    path.write_text("# mine\n" + GOOD)
    cost_file.save(cost(), path)
    assert path.read_text().startswith("# mine\n" + GOOD)
    assert target.load(str(path)).cost == (cost(),)
    once = path.read_text()
    cost_file.save(cost(), path)
    assert path.read_text() == once
    cost_file.save(cost("litert"), path)
    cost_file.save(cost(value=7.0), path)
    assert target.load(str(path)).cost == (cost(value=7.0), cost("litert"))
    assert path.read_text().count(cost_file.HEAD) == 1


def test_what_follows_the_models_is_refused_before_it_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "my-board.toml"
    path.write_text(f'{GOOD}\n{cost_file.to_text([cost()])}\n[clock_hz]\nvalue = 5\nsource = "x"\n')
    before = path.read_text()
    for act in (lambda: cost_file.check(path), lambda: cost_file.save(cost(), path)):
        with pytest.raises(InputError, match=r"(?s)something else than cost models.*move all other tables"):
            act()
    assert path.read_text() == before


def test_an_overlay_comes_first_and_leaves_the_rest(home: Path) -> None:
    shipped = target.load("cortex-m4")
    assert cost_file.place("cortex-m4", None) == home / "cortex-m4.toml" == target.overlay_path("cortex-m4")
    cost_file.save(cost(), target.overlay_path("cortex-m4"))
    assert target.load("cortex-m4").cost == (cost(),)
    cost_file.save(cost("litert"), target.overlay_path("cortex-m4"))
    assert {c.runtime for c in target.load("cortex-m4").cost} == {"c", "litert"}
    assert target.load("cortex-m4").model_copy(update={"cost": shipped.cost}) == shipped


def test_where_models_go(tmp_path: Path, home: Path) -> None:
    assert cost_file.place("my.toml", None) == Path("my.toml")
    assert cost_file.place("cortex-m4", tmp_path / "x.toml") == tmp_path / "x.toml"


def test_an_overlay_that_is_none_names_its_file(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "cortex-m4.toml").write_text("title = 'mine'\n")
    with pytest.raises(InputError, match=r"(?s)unknown key 'title'.*cortex-m4.toml"):
        target.load("cortex-m4")
    (home / "cortex-m4.toml").write_text(cost_file.to_text([cost()]).replace("0.96", "-1"))
    with pytest.raises(InputError, match=r"cost\[0\].band is not valid"):
        target.load("cortex-m4")
