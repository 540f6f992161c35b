"""What a search for better numbers found out: every trial and what mattered. Written as tuning.json."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict

Value = float | int | str  # of a searched key


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Searched(_Value):
    """A key of the recipe that the search varied."""

    name: str
    key: str
    summary: str
    reason: str
    range: str
    default: Value


class Trial(_Value):
    """One training with one set of values. Accuracies are top-1 shares 0..1 on the validation split."""

    number: int  # from 1, in the order in which they ran
    state: Literal["complete", "pruned", "failed"]
    default: bool  # the recipe's own values
    values: dict[str, Value]
    by_epoch: tuple[float, ...] = ()
    seconds: float = 0.0  # of training, without soft targets
    note: str = ""

    @property
    def accuracy(self) -> float | None:
        """After the last epoch that it trained."""
        return self.by_epoch[-1] if self.by_epoch else None


class Evidence(_Value):
    """tuning.json."""

    schema_version: int = 1
    edgedistill_version: str
    created_utc: str
    machine: str
    versions: dict[str, str]
    recipe: dict[str, object]  # the default: what every trial shares, and the values of the first
    recipe_sha256: str  # of the best one, as written to recipe.toml
    seed: int
    epochs: int  # of each trial that was not pruned
    share: float  # of the training examples
    train_examples: int
    validation_examples: int
    student: str
    data: str
    teacher: str
    teacher_accuracy: float  # on the validation split
    teacher_ece: float
    space: tuple[Searched, ...]
    trials: tuple[Trial, ...]
    importance: dict[str, float] = {}  # shares that sum to 1, by fANOVA (Hutter et al. 2014)
    importance_note: str = ""
    best: int  # a trial's number

    def trial(self, number: int) -> Trial:
        """The trial of that number."""
        return next(trial for trial in self.trials if trial.number == number)

    @property
    def default(self) -> Trial | None:
        """The trial of the recipe's own values; None where it diverged."""
        return next((t for t in self.trials if t.default and t.state == "complete"), None)

    @property
    def gain(self) -> float | None:
        """How much better the best validated than the default, as a share."""
        best = self.trial(self.best).accuracy
        if self.default is None or self.default.accuracy is None or best is None:
            return None
        return best - self.default.accuracy

    @property
    def standard_error(self) -> float | None:
        """Of ``gain``, from the number of validation examples; both trials as if on different examples.

        Two students that see the same examples agree on most, so this is an upper bound.
        """
        best = self.trial(self.best).accuracy
        if self.default is None or self.default.accuracy is None or best is None:
            return None
        variance = sum(p * (1 - p) for p in (best, self.default.accuracy))
        return math.sqrt(variance / self.validation_examples)

    @property
    def sentence(self) -> str:
        """The outcome in words, and how far it can be believed."""
        best = self.trial(self.best)
        assert best.accuracy is not None
        gain, error = self.gain, self.standard_error
        if gain is None or error is None or self.default is None or self.default.accuracy is None:
            return f"The default diverged; trial {best.number} validated best with {best.accuracy:.1%}."
        others = len(self.trials) - 1
        if others == 0:
            return f"Only the default was tried: it validated with {best.accuracy:.1%}."
        if best.default:
            return f"The default was best: none of {others} other trials passed its {best.accuracy:.1%}."
        words = (
            f"Trial {best.number} validated best with {best.accuracy:.1%}, {100 * gain:.1f} points above the "
            f"default ({self.default.accuracy:.1%}) on {self.validation_examples:,} examples"
        )
        if gain < 2 * error:
            return f"{words}; less than two standard errors ({100 * error:.1f} each), so it may be chance."
        return f"{words}, more than two standard errors ({100 * error:.1f} each)."
