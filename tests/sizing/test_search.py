"""The search: same seed, same students; it goes on where it stopped; the impossible is told in seconds."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from edgedistill import target
from edgedistill.errors import BudgetError, InputError
from edgedistill.recipe import Recipe
from edgedistill.reporter import QuietReporter, Reporter
from edgedistill.sized import Candidate
from edgedistill.sizing import budget, history, search
from edgedistill.sizing.candidates import Judge, Judged
from edgedistill.sizing.history import History
from edgedistill.sizing.space import Axis

DEVICE = target.load("nucleo-l4r5zi").model_copy(update={"budget": {}})


GENERATION = 10  # Optuna's storage takes tens of milliseconds for a trial


@pytest.fixture(autouse=True)
def generation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "GENERATION", GENERATION)


class Counting(Judge):
    """Needs flash by the sum of a spec's numbers, and scores by their product; builds nothing."""

    def __post_init__(self) -> None:
        self.asked: list[str] = []

    def judge(self, student: str) -> Judged | None:
        self.asked.append(student)
        numbers = [int(part.partition("=")[2]) for part in student.partition(":")[2].split(",") if part]
        flash, score = sum(numbers), 1.0
        for number in numbers:
            score *= number
        limit = next(row for row in self.budget.limits[DEVICE.name] if row.name == "flash")
        use = flash / limit.value
        candidate = Candidate(
            student=student,
            parameters=flash,
            macs=flash,
            arena_bytes=1,
            flash_bytes=flash,
            misses=("flash",) if use > 1 else (),
            score=score,
        )
        return Judged(candidate, {"flash": use})

    def exact(self, judged: Judged) -> Judged:
        return judged


def judge(flash: str) -> Counting:
    recipe = Recipe(budget={"flash": flash})
    limits = budget.of(recipe, [DEVICE])
    return Counting(recipe, [DEVICE], limits, (32, 32, 3), ("a", "b"), lambda *_: 0.0)


class Listening(QuietReporter):
    """Keeps how many of how many candidates were said to be done."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[int, int]] = []

    def progress(self, done: int, total: int, fields: Mapping[str, str]) -> None:
        self.heard.append((done, total))


def run(
    path: Path, trials: int, flash: str = "200", seed: int = 0, reporter: Reporter | None = None
) -> tuple[Counting, tuple[Judged, ...]]:
    made = judge(flash)
    families: dict[str, Sequence[int]] = {"resnet": ()}
    voice = reporter or QuietReporter()
    found = search.search(made, families, trials=trials, seed=seed, path=path, name="a", reporter=voice)
    return made, found


def test_it_finds_what_scores_high_within_the_limit(tmp_path: Path) -> None:
    made, found = run(tmp_path / "s.sqlite", 8 * GENERATION)
    fitting = [judged for judged in found if not judged.candidate.misses]
    best = search.best(fitting, made)
    assert best.candidate.flash_bytes <= 200
    at_random = sorted(j.candidate.score or 0 for j in found[:GENERATION] if not j.candidate.misses)
    assert (best.candidate.score or 0) >= at_random[-1]
    assert best.load > 0.6  # the best of a rising score lies at the limit


def test_a_stopped_search_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    _, whole = run(tmp_path / "whole.sqlite", 2 * GENERATION)
    run(tmp_path / "part.sqlite", GENERATION)
    voice = Listening()
    again, parts = run(tmp_path / "part.sqlite", 2 * GENERATION, reporter=voice)
    assert voice.heard == [(GENERATION, 2 * GENERATION), (2 * GENERATION, 2 * GENERATION)]
    assert {j.candidate.student for j in parts} == {j.candidate.student for j in whole}
    third, _ = run(tmp_path / "part.sqlite", 2 * GENERATION)
    trimming = len(third.asked)
    assert len(again.asked) - trimming <= GENERATION  # nothing was judged twice


def test_another_seed_is_another_search(tmp_path: Path) -> None:
    _, first = run(tmp_path / "a.sqlite", GENERATION)
    _, second = run(tmp_path / "b.sqlite", GENERATION, seed=1)
    assert {j.candidate.student for j in first} != {j.candidate.student for j in second}


def test_an_impossible_budget_names_the_smallest_student_and_its_needs(tmp_path: Path) -> None:
    with pytest.raises(BudgetError) as caught:
        run(tmp_path / "s.sqlite", 1000, flash="20")
    text = str(caught.value)
    assert "the smallest there is, resnet:width=4,width2=8,width3=12,blocks1=1" in text
    assert "needs 27 B of flash, and the limit is at most 20 B of flash (the recipe's budget)" in text
    assert "raise flash to 27 B" in text and caught.value.exit_code == 2
    assert not (tmp_path / "s.sqlite").exists()


def test_values_that_never_fit_are_not_searched() -> None:
    axes = {axis.name: axis.values for axis in search.trimmed(judge("60"), "resnet", ())}
    assert axes["width"][-1] == 16 and axes["width3"][-1] == 40  # later stages widen, too
    assert axes["blocks1"] == (1, 2, 3)


def test_the_front_holds_what_nothing_beats() -> None:
    rows = [("a", 1.0, 0.5), ("b", 2.0, 0.6), ("c", 1.5, 0.7), ("d", 3.0, 2.0)]
    found = [
        Judged(
            Candidate(
                student=name,
                parameters=1,
                macs=1,
                arena_bytes=1,
                flash_bytes=1,
                score=score,
                misses=("flash",) if use > 1 else (),
            ),
            {"flash": use},
        )
        for name, score, use in rows
    ]
    assert [j.candidate.student for j in search.front(found, ["flash"])] == ["b", "a"]
    assert [j.candidate.student for j in search.to_rank(found[:3], 2)] == ["b", "c"]


def test_a_file_that_is_no_history_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_text("no database at all, but a text that is long enough to be looked at")
    with pytest.raises(InputError, match="holds no searches"):
        History(path, "a", (Axis("width", (1, 2)),), 0)


def test_two_searches_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    program = (
        "import sys; from pathlib import Path; from tests.sizing import test_search as t; "
        "t.history.GENERATION = 10; t.run(Path(sys.argv[1]), 10, seed=int(sys.argv[2]))"
    )
    root = Path(__file__).parents[2]
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(path), str(seed)], cwd=root) for seed in (1, 2)
    ]
    assert [process.wait(timeout=300) for process in running] == [0, 0]
    kept = History(path, "a-resnet", (Axis("width", (1, 2)),), 0)
    assert len(kept) in (GENERATION, 2 * GENERATION)  # one may have found the other's work done
    assert len(kept.judged()) > GENERATION // 2
