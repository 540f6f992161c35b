"""Says in plain sentences what to try next: documented rules, pure functions of a build's record."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgedistill.record import BuildRecord

RISE = 0.005
RISE_EPOCHS = 5
FIT = 0.02
BEHIND = 0.03
OVERCONFIDENT = 0.05
HOT = 8.0
INT8_LOSS = 0.005
FEW = 3  # examples: a difference of fewer is chance


def guidance(record: BuildRecord) -> tuple[str, ...]:
    """What the rules say of a build, the most useful first; empty where nothing stands out.

    After them stands what was said of teacher and student before training (sizing/compatibility.py).
    """
    return (*(text for rule in RULES if (text := rule(record)) is not None), *record.guidance)


def still_rising(record: BuildRecord) -> str | None:
    """Validation accuracy still rises at the end of float training: more epochs.

    The last tenth of the epochs validated on average more than 0.5 points (and more than three
    examples) above the tenth before. Reason: one-cycle and cosine end at a learning rate near 0, where a
    training that had epochs enough is flat: the kept CIFAR-10 ResNet-8 changed by -0.2 points there in 60
    epochs. Trainings of fewer than 5 epochs are not judged: they are trials.
    """
    seen = _validation(record)
    part = max(1, len(seen) // 10)
    if len(seen) < RISE_EPOCHS:
        return None
    rise = sum(seen[-part:]) / part - sum(seen[-2 * part : -part]) / part
    if rise <= RISE or rise * record.accuracy.validation_images < FEW:
        return None
    return (
        f"validation accuracy still rose by {100 * rise:.1f} points at the end of {len(seen)} epochs: "
        f"more epochs will pay (--epochs {2 * len(seen)})"
    )


def int8_loses(record: BuildRecord) -> str | None:
    """The int8 student is more than 0.5 points (and three test examples) below the float one.

    Reason: trained in the deployed arithmetic, students here lose 0.0 to 0.3 points (models/*/expected.json);
    more has a cause: no or too little int8 training, a rate that forgets, outliers that stretch a scale.
    """
    real, int8 = record.accuracy.student_float, record.accuracy.student_int8
    if real is None or int8 is None:
        return None
    lost = real - int8
    if lost <= INT8_LOSS or lost * record.accuracy.test_images < FEW:
        return None
    epochs = _number(record, "quantise", "epochs")
    words = f"int8 costs {100 * lost:.1f} points: "
    if epochs == 0:
        return words + "train in int8, too (--quantise-epochs 4)"
    return (
        f"{words}try more int8 training (--quantise-epochs {2 * round(epochs or 4)}), half its rate "
        f"(--set quantise.lr={(_number(record, 'quantise', 'lr') or 5e-4) / 2:g}), "
        "or narrower ranges (--set quantise.percentile=99.9)"
    )


def capacity_bound(record: BuildRecord) -> str | None:
    """The student is too small: it is no better on what it was trained on, and far below its teacher.

    Training accuracy (without variations) within 2 points of validation accuracy, and both more than 3
    points below the teacher's; and validation no longer rises, else epochs are what lacks. Reason: a
    network with room to spare learns its training examples by heart (Zhang et al. 2017, section 2.1), so the
    gap between the two opens; where it stays closed and the teacher is far, more data or epochs don't help.
    """
    a, seen = record.accuracy, _validation(record)
    if a.teacher is None or a.student_train is None or not seen or still_rising(record):
        return None
    if a.student_train - seen[-1] >= FIT or a.teacher - max(a.student_train, seen[-1]) <= BEHIND:
        return None
    return (
        f"the student is no better on training examples ({a.student_train:.1%}) than on others "
        f"({seen[-1]:.1%}), and its teacher reaches {a.teacher:.1%}: a larger student will gain "
        "(see `edgedistill list students`)"
    )


def no_gain(record: BuildRecord) -> str | None:
    """Distillation gave no more than plain training: the difference is below twice its standard error.

    Said where the student was trained without its teacher, too (bench.baseline), each once. Reason: what is
    within two standard errors of nothing other test images may well turn round.
    """
    a = record.accuracy
    if a.student_int8 is None or a.plain_int8 is None or a.plain_error is None:
        return None
    gain = a.student_int8 - a.plain_int8
    if gain > 2 * a.plain_error:
        return None
    verdict = "hurt" if gain < -2 * a.plain_error else "gave no more than plain training"
    return (
        f"distillation {verdict} here: {a.student_int8:.2%} as built, {a.plain_int8:.2%} on labels alone "
        f"({100 * gain:+.2f} points, standard error {100 * a.plain_error:.2f}, {a.test_images:,} test "
        "images, one training each); try other losses and temperatures "
        "(`edgedistill tune --search losses,temperature,alpha`)"
    )


def overconfident(record: BuildRecord) -> str | None:
    """The teacher is surer than it is right: raise the temperature.

    Its mean highest probability on the test examples is more than 5 points above its accuracy, it is in the
    loss, and the temperature is below 8. Reason: such answers hide how the other classes compare, which is
    what soft targets are for; dividing the logits softens exactly that (Guo et al. 2017, section 4.2).
    CIFAR-10 networks there are off by 4 to 5 points, so up to 5 is usual; past a temperature of 8 little
    is left to soften.
    """
    a, temperature = record.accuracy, _number(record, "distill", "temperature")
    if a.teacher is None or a.teacher_confidence is None or temperature is None:
        return None
    over = a.teacher_confidence - a.teacher
    if over <= OVERCONFIDENT or temperature >= HOT or not _reads_temperature(record):
        return None
    return (
        f"the teacher is over-confident: {a.teacher_confidence:.1%} sure on average, right on "
        f"{a.teacher:.1%}; raise the temperature (--temperature {2 * temperature:g}), "
        "or let `edgedistill tune` find it"
    )


Rule = Callable[[BuildRecord], "str | None"]
RULES: tuple[Rule, ...] = (no_gain, still_rising, int8_loses, capacity_bound, overconfident)


def _validation(record: BuildRecord) -> list[float]:
    logs = (e.validation_accuracy for e in record.epochs if e.stage == "distill")
    return [accuracy for accuracy in logs if accuracy is not None]


def _reads_temperature(record: BuildRecord) -> bool:
    from edgedistill.distill.mix import reads_temperature
    from edgedistill.recipe import DistillSection

    return reads_temperature(DistillSection.model_validate(record.recipe["distill"]))


def _number(record: BuildRecord, section: str, key: str) -> float | None:
    found = record.recipe.get(section)
    value = found.get(key) if isinstance(found, Mapping) else None
    return float(value) if isinstance(value, int | float) else None
