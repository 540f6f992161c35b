"""The study: Optuna's memory of a search in one SQLite file, that a killed process can go on with."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.errors import InputError
from edgedistill.evidence import Trial, Value
from edgedistill.tuning.space import Choice, Range, Span

if TYPE_CHECKING:
    import optuna

_NAME = "tune"
_STARTUP = 5  # trials before TPE has enough to go by; before that it draws at random
_KEEP = 3  # successive halving keeps the best third at each rung (Li et al. 2020, section 3: 3 or 4)
_LEAST = 12  # complete trials; with seven, a search over three keys named the wrong one (tests/test_tune.py)


class Study:
    """One search. Values are read from ``space``; the first trial has those of ``default``.

    Trials are first compared after a third of their ``epochs``: before that the one-cycle rate still rises,
    and a high peak looks worse than it is.
    """

    def __init__(
        self, path: Path, space: Mapping[str, Range], default: Mapping[str, Value], seed: int, epochs: int
    ) -> None:
        self._path, self._space, self._default, self._seed = path, space, default, seed
        self._first = math.ceil(epochs / 3)
        self._study: optuna.Study

    @contextlib.contextmanager
    def opened(self, about: Mapping[str, str]) -> Iterator[Study]:
        """Opens or makes the file. ``about`` names what the search depends on.

        Raises:
            InputError: the file is no study, or one of another search.
        """
        import optuna
        from sqlalchemy.exc import SQLAlchemyError
        from sqlalchemy.pool import NullPool

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        url = f"sqlite:///{self._path.resolve().as_posix()}"
        try:
            storage = optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": NullPool})
            self._study = optuna.create_study(
                storage=storage,
                study_name=_NAME,
                direction="maximize",
                load_if_exists=True,
                pruner=optuna.pruners.SuccessiveHalvingPruner(
                    min_resource=self._first, reduction_factor=_KEEP
                ),
            )
            known = self._study.user_attrs
        except (SQLAlchemyError, RuntimeError, OSError) as cause:
            raise InputError(
                f"this file holds no search ({type(cause).__name__})",
                where=str(self._path),
                fix="begin again with --fresh, or give another --out",
            ) from cause
        changed = [name for name, text in about.items() if known.get(name, text) != text]
        if changed:
            raise InputError(
                f"the search kept here was of something else: {', '.join(changed)} differ"
                f"{'s' if len(changed) == 1 else ''}",
                where=str(self._path),
                fix="repeat the command that began it, begin again with --fresh, or give another --out",
            )
        for name, text in about.items():
            if name not in known:
                self._study.set_user_attr(name, text)
        try:
            yield self
        finally:
            storage.remove_session()

    def begin(self) -> Running:
        """The next trial, or the one that was running when the process was stopped."""
        import optuna
        from optuna.trial import TrialState

        settled = len(self._settled())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # drawn anew for each trial, so that a search that was stopped goes the same way
            self._study.sampler = optuna.samplers.TPESampler(
                seed=(self._seed * 100_003 + settled) % 2**32,
                n_startup_trials=_STARTUP,
                multivariate=True,
            )
        left = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if left:
            trial = optuna.trial.Trial(self._study, left[0]._trial_id)
        else:
            if settled == 0 and not self._study.get_trials(deepcopy=False):
                self._study.enqueue_trial(dict(self._default))
            trial = self._study.ask()
        values = {name: _suggest(trial, name, within) for name, within in self._space.items()}
        return Running(self._study, trial, settled + 1, values, default=values == dict(self._default))

    def trials(self) -> tuple[Trial, ...]:
        """All that ended, in the order in which they began."""
        return tuple(_row(number, frozen, self._default) for number, frozen in enumerate(self._settled(), 1))

    def importance(self) -> tuple[dict[str, float], str]:
        """Each searched key's share in what decided the accuracy, and what to know of the figures.

        fANOVA (Hutter et al. 2014) over the trials that were not pruned.
        """
        import optuna
        from optuna.trial import TrialState

        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < _LEAST or len({trial.value for trial in complete}) < 2:
            return {}, f"{len(complete)} completed trials are too few to tell what mattered"
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self._seed)
        found = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        return {name: float(share) for name, share in found.items()}, (
            f"from {len(complete)} completed trials; trials that were pruned early do not count"
        )

    def _settled(self) -> list[optuna.trial.FrozenTrial]:
        return [trial for trial in self._study.get_trials(deepcopy=False) if trial.state.is_finished()]


class Running:
    """A trial in training."""

    def __init__(
        self,
        study: optuna.Study,
        trial: optuna.Trial,
        number: int,
        values: dict[str, Value],
        *,
        default: bool,
    ) -> None:
        self._study, self._trial = study, trial
        self.number, self.values, self.default = number, values, default

    @property
    def by_epoch(self) -> dict[int, float]:
        """The accuracies that the study knows of this trial."""
        return self._study.get_trials(deepcopy=False)[self._trial.number].intermediate_values

    @property
    def given_up(self) -> bool:
        """Whether the halving gave this trial up, in this process or in one that was stopped then."""
        return bool(self._trial.user_attrs.get("given_up"))

    def tell(self, by_epoch: Sequence[float]) -> None:
        """Accuracies from the first epoch on; the default is never given up."""
        known = self.by_epoch
        for epoch, accuracy in enumerate(by_epoch, 1):
            if epoch not in known:
                self._trial.report(accuracy, epoch)
                if self._trial.should_prune() and not self.default:
                    self._trial.set_user_attr("given_up", True)

    def end(self, state: str, seconds: float, note: str = "") -> None:
        """complete, pruned or failed."""
        from optuna.trial import TrialState

        self._trial.set_user_attr("seconds", seconds)
        self._trial.set_user_attr("note", note)
        if state == "complete":
            seen = self.by_epoch
            self._study.tell(self._trial, seen[max(seen)])
        else:
            self._study.tell(self._trial, state=TrialState.PRUNED if state == "pruned" else TrialState.FAIL)


def _suggest(trial: optuna.Trial, name: str, within: Range) -> Value:
    if isinstance(within, Span):
        return trial.suggest_float(name, within.low, within.high, log=within.log)
    assert isinstance(within, Choice)
    value = trial.suggest_categorical(name, within.values)
    assert value is not None
    return value


def _row(number: int, frozen: optuna.trial.FrozenTrial, default: Mapping[str, Value]) -> Trial:
    from optuna.trial import TrialState

    states = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    return Trial.model_validate(
        {
            "number": number,
            "state": states[frozen.state],
            "default": frozen.params == dict(default),
            "values": frozen.params,
            "by_epoch": tuple(frozen.intermediate_values[e] for e in sorted(frozen.intermediate_values)),
            "seconds": frozen.user_attrs.get("seconds", 0.0),
            "note": frozen.user_attrs.get("note", ""),
        }
    )
