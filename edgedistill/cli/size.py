"""The command size: the best student inside a budget, without training it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli import choices
from edgedistill.cli.output import Json, Quiet, console, print_json, print_table, reporter

if TYPE_CHECKING:
    from edgedistill.sized import Candidate, Sizing

_ROWS = 10  # of the front; --json has more


def size(
    target: choices.Target = None,
    recipe: choices.RecipeFile = None,
    teacher: choices.Teacher = None,
    data: choices.Data = None,
    trust: choices.Trust = None,
    budget: choices.Budget = None,
    search: Annotated[
        str | None,
        typer.Option(
            "--search",
            metavar="HOW",
            help="quick: judged untrained; thorough: the best are distilled for a short while.",
            rich_help_panel=choices.SEARCH,
        ),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(
            "--family",
            metavar="NAME[,NAME]",
            help="Student families to search; the task's if not given.",
            rich_help_panel=choices.SEARCH,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials", "-n", metavar="N", help="Candidates to judge.", rich_help_panel=choices.SEARCH
        ),
    ] = None,
    seed: choices.Seed = None,
    set_: choices.Set = None,
    out: Annotated[Path, choices.out("Keeps the search; the same call goes on.")] = Path("out"),
    fresh: choices.Fresh = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Chooses the best student that keeps a budget: judged in seconds, without training."""
    from edgedistill.sizing.budget import parse_flags

    limits = parse_flags(budget or ())
    given = {
        "targets": choices.targets(target),
        "teacher.spec": teacher,
        "data.source": data,
        "seed": seed,
        "trust": trust,
        "sizing.search": _kind(search),
        "sizing.families": choices.names(family) if family is not None else None,
        "sizing.trials": trials,
        "student.spec": "auto",
        **{f"budget.{name}": text for name, text in limits.items()},
    }
    chosen = choices.chosen(recipe, set_, given)

    from edgedistill.size import PAGE
    from edgedistill.size import size as run

    voice = reporter(quiet=quiet, as_json=json_)
    try:
        found = run(chosen, out, flags=tuple(limits), fresh=fresh, reporter=voice)
    finally:
        voice.close()
    if json_:
        print_json(found.model_dump(mode="json"))
    elif not quiet:
        flags: list[tuple[str, object]] = [("--target", ",".join(chosen.targets)), ("--recipe", recipe)]
        flags += [("--teacher", teacher), ("--data", data), ("--seed", seed)]
        flags += [("--set", text) for text in set_ or () if not text.strip().startswith("sizing.")]
        flags += [("--budget", ",".join(f"{name}={text}" for name, text in limits.items()) or None)]
        _show(found, out / PAGE, _command(found, out, flags, trust=bool(trust)))


def _kind(search: str | None) -> str | None:
    from edgedistill.errors import InputError

    if search == "none":
        raise InputError(
            "size only searches", where="--search none", fix="--search quick, or --search thorough"
        )
    return search


def _show(found: Sizing, page: Path, command: str) -> None:
    to = console()
    others = [c for c in found.front if c.student != found.chosen.student]
    entries = [("chosen", found.chosen), *(("or", c) for c in _spread(others))]
    if found.naive is not None:
        entries.append(("default", found.naive))
    to.print(f"students for {', '.join(found.targets)}", markup=False)
    for mark, candidate in entries:
        for line in _entry(mark, candidate):
            to.print(line, markup=False, soft_wrap=True)
    if found.finalists:
        _finalists(found)
    trained = "finalists alone were" if found.finalists else "nothing was"
    for line in (
        found.reason,
        f"{found.judged:,} candidates judged in {found.seconds:.0f} s, ranked by {found.proxy}",
        f"{trained} trained: memory and MACs are exact, what is called predicted is a model's",
        f"pictures, limits and finalists: {page}",
        "build with:",
        f"  {command}",
    ):
        to.print(line, markup=False, soft_wrap=True)


def _spread(others: Sequence[Candidate]) -> list[Candidate]:
    """At most ``_ROWS``, evenly over the front."""
    step = max(1, -(-len(others) // _ROWS))
    return list(others[::step])


def _entry(mark: str, candidate: Candidate) -> Iterator[str]:
    """A student and, below it, what it takes; with bands that are predictions."""
    from edgedistill import units

    yield f"{mark:8} {candidate.student}"
    score = [] if candidate.score is None else [f"score {candidate.score:.3g}"]
    sizes = [
        f"flash {'' if candidate.flash_exact else 'about '}{units.format_bytes(candidate.flash_bytes)}",
        f"RAM {units.format_bytes(candidate.ram_bytes)}",
        f"weights {units.format_bytes(candidate.weight_bytes)}",
        f"{units.format_count(candidate.macs)} MACs",
    ]
    yield f"{'':8} {', '.join([*score, *sizes])}"
    if candidate.predictions:
        yield f"{'':8} {'; '.join(row.words for row in candidate.predictions)}"
    if candidate.misses:
        yield f"{'':8} misses {', '.join(candidate.misses)}"


def _finalists(found: Sizing) -> None:
    rows = [
        (f.candidate.student, f"{f.accuracy:.2%}", str(f.epochs), f"{f.images:,}", f"{f.seconds:.0f} s")
        for f in found.finalists
    ]
    print_table(("finalist", "validation", "epochs", "images", "time"), rows)


def _command(found: Sizing, out: Path, flags: Sequence[tuple[str, object]], *, trust: bool) -> str:
    """How the chosen student is built with what the search was told (None: it was not)."""
    import shlex

    parts = ["edgedistill", "build", "--student", found.chosen.student]
    for flag, value in flags:
        parts += [] if value is None else [flag, str(value)]
        parts += ["--search", "none"] if flag == "--recipe" and value is not None else []
    return shlex.join([*parts, *(["--trust"] if trust else []), "--out", str(out)])
