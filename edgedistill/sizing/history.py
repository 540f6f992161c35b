"""The memory of a search: Optuna's trials in one SQLite file, written a generation at a time."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgedistill.errors import InputError
from edgedistill.sized import Candidate
from edgedistill.sizing.candidates import Judged
from edgedistill.sizing.space import Axis

if TYPE_CHECKING:
    import optuna

GENERATION = 50  # candidates: NSGA-II's population, and the most that a search that is stopped repeats
_PATIENCE_S = 120  # for another search on the same file to finish writing
_TRIES = 8  # to open a file that another search is making
_DIRECTIONS: tuple[Literal["maximize"], Literal["minimize"]] = (
    "maximize",
    "minimize",
)  # the score, and the share of the limit that is used most


@dataclass(frozen=True, eq=False)
class Proposal:
    """A candidate to judge: its numbers by name."""

    values: Mapping[str, int]
    trial: optuna.Trial


class History:
    """Candidates of one family, judged for one budget; several processes may go on with it at once.

    NSGA-II with constrained domination (Deb et al. 2002, sections III and VI) works on a copy in memory:
    Optuna's storage takes longer for a trial than judging it.
    """

    def __init__(self, path: Path, name: str, axes: Sequence[Axis], seed: int) -> None:
        """Opens or makes the study ``name`` in the file ``path``.

        Raises:
            InputError: the file is no store of searches.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._axes, self._seed = tuple(axes), seed
        self._kept = _opened(path, name)
        self._study = optuna.create_study(directions=_DIRECTIONS)
        known = self._kept.get_trials(deepcopy=False)
        self._study.add_trials([trial for trial in known if trial.state.is_finished()])
        self._written = len(self)

    def __len__(self) -> int:
        return len(self._study.get_trials(deepcopy=False))

    def generation(self) -> list[Proposal]:
        """The next candidates; the first ones are drawn at random, but for the smallest of the space."""
        import optuna

        done = len(self)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.simplefilter("ignore", FutureWarning)  # Optuna 4 has no other way to say constraints
            # made anew for each generation, so that a search that was stopped goes the same way
            self._study.sampler = optuna.samplers.NSGAIISampler(
                population_size=GENERATION,
                seed=(self._seed * 100_003 + done) % 2**32,
                constraints_func=lambda trial: (trial.user_attrs.get("load", 2.0) - 1.0,),
            )
        if done == 0:
            self._study.enqueue_trial(dict.fromkeys((axis.name for axis in self._axes), 0))
        return [self._propose() for _ in range(GENERATION)]

    def _propose(self) -> Proposal:
        trial = self._study.ask()
        values = {
            axis.name: axis.values[trial.suggest_int(axis.name, 0, len(axis.values) - 1)]
            for axis in self._axes
        }
        return Proposal(values, trial)

    def tell(self, proposal: Proposal, judged: Judged | None) -> None:
        """What was found out of a proposal; None: it cannot be built."""
        import optuna

        trial = proposal.trial
        if judged is None or judged.candidate.score is None:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            return
        trial.set_user_attr("load", judged.load)
        trial.set_user_attr("uses", dict(judged.uses))
        trial.set_user_attr("candidate", judged.candidate.model_dump(mode="json"))
        self._study.tell(trial, [judged.candidate.score, judged.load])

    def keep(self) -> None:
        """Writes what is new to the file."""
        trials = self._study.get_trials(deepcopy=False)
        for trial in trials[self._written :]:
            if trial.state.is_finished():
                self._kept.add_trial(trial)
        self._written = len(trials)

    def judged(self) -> tuple[Judged, ...]:
        """All that could be built, each spec once."""
        found: dict[str, Judged] = {}
        for trial in self._study.get_trials(deepcopy=False):
            if "candidate" in trial.user_attrs:
                candidate = Candidate.model_validate(trial.user_attrs["candidate"])
                found[candidate.student] = Judged(candidate, trial.user_attrs["uses"])
        return tuple(found.values())


def _opened(path: Path, name: str) -> optuna.Study:
    import optuna
    from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"poolclass": NullPool, "connect_args": {"timeout": _PATIENCE_S}}
    for left in reversed(range(_TRIES)):
        try:
            storage = optuna.storages.RDBStorage(
                f"sqlite:///{path.resolve().as_posix()}", engine_kwargs=options
            )
            return optuna.create_study(
                storage=storage, study_name=name, directions=_DIRECTIONS, load_if_exists=True
            )
        except (SQLAlchemyError, RuntimeError, OSError, AssertionError) as cause:
            made_now = isinstance(cause, OperationalError | IntegrityError | AssertionError)
            if made_now and left:  # another search makes its tables
                time.sleep(random.uniform(0.05, 0.3))
                continue
            raise InputError(
                f"this file holds no searches ({type(cause).__name__})",
                where=str(path),
                fix="begin again with --fresh, or give another --out",
            ) from cause
    raise AssertionError("unreachable: the last try returns or raises")
