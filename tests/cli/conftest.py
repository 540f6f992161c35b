"""Runs the command line in this process, and a stand-in for a build that trains nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgedistill.cli.app import app
from edgedistill.recipe import Recipe, sha256
from edgedistill.record import Accuracy, Artifact, BuildRecord, GraphSummary, Measurement, Parity
from edgedistill.reporter import Reporter

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """``run("build", "--epochs", "1")`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(app, list(args))


def record(target: str, recipe: Recipe) -> BuildRecord:
    """As a build would have made it."""
    return BuildRecord(
        edgedistill_version="0.1.0",
        target=target,
        created_utc="2025-01-01T00:00:00+00:00",
        recipe=recipe.model_dump(mode="json"),
        recipe_sha256=sha256(recipe),
        machine="a machine",
        versions={},
        stage_hashes={},
        stage_seconds={},
        labels=("a", "b"),
        input_shape=(1, 8, 8, 1),
        input_scale=0.5,
        input_zero_point=0,
        accuracy=Accuracy(teacher=0.99, student_float=0.95, student_int8=0.94, test_images=100),
        graph=GraphSummary(
            macs=1_000, weight_bytes=500, arena_bytes=2_048, parameters=400, ops=3, exact_by_construction=True
        ),
        artifacts=(Artifact(format="tflite", path="student.tflite", sha256="0" * 64, size_bytes=4_096),),
        parity=(Parity(runtime="litert 1", artifact="student.tflite", values=10, identical=10),),
        measurements=(
            Measurement(
                quantity="latency",
                value=0.5,
                unit="ms",
                how="measured",
                artifact="student.tflite",
                runtime="litert 1",
            ),
        ),
    )


class Calls(list[tuple[Recipe, Path, bool]]):
    """What the stand-in was called with; ``error`` is raised instead of an answer."""

    error: BaseException | None = None


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Replaces the build by one that answers at once."""
    import sys
    from types import ModuleType

    seen = Calls()

    def fake(recipe: Recipe, out: Path, *, fresh: bool, reporter: Reporter) -> dict[str, BuildRecord]:
        seen.append((recipe, out, fresh))
        reporter.stage("distil", "1 epoch")
        reporter.progress(1, 1, {"accuracy": "94 %"})
        if seen.error is not None:
            raise seen.error
        return {name: record(name, recipe) for name in recipe.targets}

    module = ModuleType("edgedistill.build")
    module.build = fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "edgedistill.build", module)
    return seen
