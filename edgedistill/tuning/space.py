"""The table of what a search may vary: which key of the recipe, between which values, and why these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgedistill.errors import InputError, UnknownNameError
from edgedistill.evidence import Value
from edgedistill.recipe import Recipe


@dataclass(frozen=True)
class Span:
    """Numbers from ``low`` to ``high``, both included; ``log``: as many below as above the geometric mean."""

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', logarithmic' if self.log else ''}"


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[Value, ...]

    def __str__(self) -> str:
        return " | ".join(str(value).replace(",", ", ") or "none" for value in self.values)


Range = Span | Choice


@dataclass(frozen=True)
class Knob:
    """A row. ``within`` says the range for a recipe and its task; None: nothing to search there."""

    key: str  # of the recipe, section.name
    summary: str
    reason: str
    within: Callable[[Recipe, str], Range | None]
    usual: bool = True  # searched unless the user names others
    named: Callable[[Recipe], str] | None = None  # the recipe's value as the search holds it; None: as it is
    meant: Callable[[Recipe, str], object] | None = None  # and what a name of the search stands for


IMAGE_SETS = (
    "pad-crop",
    "pad-crop,flip",
    "pad-crop,flip,cutout",
    "pad-crop,flip,brightness-contrast",
    "pad-crop,flip,rotate-small",
)
DIGIT_SETS = (
    "translate",
    "translate,rotate-small",
    "translate,brightness-contrast",
    "translate,rotate-small,brightness-contrast",
)
SOUND_SETS = (
    "time-shift,noise",
    "time-shift,noise,gain,spec-augment",
    "time-shift,speed,noise,gain",
    "time-shift,speed,noise,gain,spec-augment",
)


def _softened(recipe: Recipe, _: str) -> Range | None:
    """From 1 to 20, where a loss takes the recipe's temperature."""
    from edgedistill.distill.mix import reads_temperature

    if recipe.adversarial.method == "rslad":  # has none
        return None
    return Span(1.0, 20.0, log=True) if reads_temperature(recipe.distill) else None


def _shared(recipe: Recipe, _: str) -> Range | None:
    """Where labels and teacher share the loss; at 0, ARD would never look at an attacked image."""
    if not recipe.distill.alpha or recipe.distill.losses or recipe.adversarial.method == "rslad":
        return None
    return Span(0.05 if recipe.adversarial.method == "ard" else 0.0, 1.0)


def _views(recipe: Recipe, _: str) -> Range | None:
    """Where the teacher is asked for them."""
    from edgedistill.distill.mix import asks_teacher

    return Choice((1, 2, 4, 8, 16)) if asks_teacher(recipe.distill) else None


def _around(key: str, below: float, above: float) -> Callable[[Recipe, str], Range | None]:
    """From the recipe's value divided by ``below`` to that times ``above``; a value of 0 stays 0."""

    def within(recipe: Recipe, _: str) -> Range | None:
        own = getattr(recipe.distill, key)
        return Span(_tidy(own / below), _tidy(own * above), log=True) if own else None

    return within


def _sets(recipe: Recipe, task: str) -> Range:
    """No set mirrors that whose recipe does not: a mirrored 3 is no 3, and only the user knows."""
    if task == "keyword-spotting":
        return Choice(SOUND_SETS)
    own = recipe.data.augmentations
    if recipe.data.source == "digits":
        return Choice(DIGIT_SETS)
    return Choice(tuple(text for text in IMAGE_SETS if "flip" in own or "flip" not in text))


MIXED = ("plain", "hinton", "dkd", "standardised", "hinton + attention", "hinton + crd")
_OWN = "the recipe's own"


def _mixes(recipe: Recipe, _: str) -> Range | None:
    """Where a loss asks the teacher; an adversarial method has losses of its own."""
    from edgedistill.distill.mix import asks_teacher

    if recipe.adversarial.method != "none":
        return None
    return Choice(MIXED) if asks_teacher(recipe.distill) else None


def _mix_named(recipe: Recipe) -> str:
    """A published mix by its name, Hinton's where none is given."""
    from edgedistill.distill.published import MIXES

    given = recipe.distill.losses
    return next((name for name in MIXED if MIXES[name] == given), _OWN) if given else "hinton"


def _mix_meant(recipe: Recipe, name: str) -> object:
    """Entries for ``distill.losses``; none for Hinton's, as in a recipe that says nothing."""
    from edgedistill.distill.published import MIXES

    if name == _mix_named(recipe):
        return recipe.distill.losses
    return () if name == "hinton" else MIXES[name]


KNOBS: Mapping[str, Knob] = {
    "temperature": Knob(
        "distill.temperature",
        "softens the teacher's answers",
        "1 is no softening; past 20 the logits' order is all that is left (Hinton et al. 2015, section 3)",
        _softened,
    ),
    "alpha": Knob(
        "distill.alpha",
        "the teacher's share in the loss",
        "0 is plain training, 1 never looks at a label; a mix of losses has weights instead",
        _shared,
    ),
    "lr": Knob(
        "distill.lr",
        "peak learning rate",
        "rates differ by optimiser, so it is searched around the recipe's own",
        _around("lr", 8, 4),
    ),
    "weight-decay": Knob(
        "distill.weight_decay",
        "weight decay",
        "searched around the recipe's own; small students often want less than large ones",
        _around("weight_decay", 30, 10),
    ),
    "augment": Knob(
        "data.augment",
        "variations of the training examples",
        "each set needs soft targets of its own, once",
        _sets,
        named=lambda recipe: ",".join(recipe.data.augmentations),
        meant=lambda _, text: tuple(filter(None, text.split(","))),
    ),
    "losses": Knob(
        "distill.losses",
        "the mix of losses, at the weights of published code",
        "which one serves depends on both networks; layers are asked for live unless they are cached",
        _mixes,
        usual=False,
        named=_mix_named,
        meant=_mix_meant,
    ),
    "batch": Knob(
        "distill.batch",
        "examples per step",
        "fewer steps an epoch when larger",
        lambda *_: Choice((64, 128, 256, 512)),
        usual=False,
    ),
    "ema": Knob(
        "distill.ema",
        "averaging of the weights",
        "0 is none; 0.999 averages over a thousand steps",
        lambda *_: Choice((0.0, 0.9, 0.98, 0.995, 0.999)),
        usual=False,
    ),
    "views": Knob(
        "distill.views",
        "cached variations of each example",
        "more views cost the teacher's time once, and disk space",
        _views,
        usual=False,
    ),
}

USUAL = tuple(name for name, knob in KNOBS.items() if knob.usual)


def space(recipe: Recipe, task: str, names: Sequence[str] = USUAL) -> dict[str, Range]:
    """The range of each named row, wide enough for the recipe's own value.

    Raises:
        UnknownNameError: a name that is in no row.
        InputError: nothing is left to search.
    """
    found: dict[str, Range] = {}
    for name in names:
        if name not in KNOBS:
            raise UnknownNameError("thing to search", name, KNOBS, where="--search")
        within = KNOBS[name].within(recipe, task)
        if within is not None:
            found[name] = _widened(within, own(recipe, name))
    if not found:
        raise InputError(
            "there is nothing to search",
            where="--search",
            fix=f"name one or more of {', '.join(KNOBS)}; without a teacher (alpha 0) only those of training",
        )
    return found


def own(recipe: Recipe, name: str) -> Value:
    """The recipe's value of a row, as the search holds it."""
    knob = KNOBS[name]
    if knob.named is not None:
        return knob.named(recipe)
    section, _, key = knob.key.partition(".")
    value: Value = getattr(getattr(recipe, section), key)
    return value


def applied(recipe: Recipe, values: Mapping[str, Value]) -> Recipe:
    """The recipe with the values of a trial; numbers that the search drew get three figures."""
    changed: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        section, _, key = KNOBS[name].key.partition(".")
        meant: object = value
        translate = KNOBS[name].meant
        if translate is not None:
            meant = translate(recipe, str(value))
        elif isinstance(value, float) and value != own(recipe, name):
            meant = _tidy(value)
        changed.setdefault(section, {})[key] = meant
    sections = {s: getattr(recipe, s).model_copy(update=update) for s, update in changed.items()}
    return Recipe.model_validate(recipe.model_copy(update=sections).model_dump())


def _widened(within: Range, value: Value) -> Range:
    if isinstance(within, Choice):
        return within if value in within.values else Choice((*within.values, value))
    number = float(value)
    return Span(min(within.low, number), max(within.high, number), within.log)


def _tidy(value: float) -> float:
    return float(f"{value:.3g}")
