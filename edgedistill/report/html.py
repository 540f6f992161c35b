"""Renders record.json as one self-contained page that a person can read, print and send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgedistill.record import BuildRecord, Measurement, Parity
from edgedistill.report import attacks, classes, flash, int16, memory, pareto, people, steps, svg
from edgedistill.report.guidance import guidance
from edgedistill.report.mistakes import Mistake
from edgedistill.report.pictures import Strip
from edgedistill.report.template import template

MAX_PAIRS = 8  # most confused pairs that are listed
QUANTITIES = {
    "macs": "MACs",
    "model_bytes": "model size",
    "stack_bytes": "stack",
    "ram_bytes": "RAM",
    "flash_bytes": "flash",
    "npu_cycles": "cycles of the accelerator",
    "cpu_operators": "operators left to the processor",
}


@dataclass(frozen=True)
class Card:
    """One headline figure. ``tone``: good, bad or plain."""

    label: str
    value: str
    detail: str
    tone: str = "plain"


def render(record: BuildRecord, strips: Sequence[Strip] = (), mistakes: Sequence[Mistake] = ()) -> str:
    """The page as HTML text: no script, no request to any network.

    Args:
        record: of the build.
        strips: synthetic training images.
        mistakes: test images that the student answers wrongly.
    """
    by_class = classes.rows(record)
    return template("report.html.j2").render(
        r=record,
        title=f"{record.target} — edgedistill",
        sentence=_sentence(record),
        strips=strips,
        sizing=pareto.view(record.sizing) if record.sizing else None,
        imagined=_imagined(record),
        cards=_cards(record),
        guidance=guidance(record),
        accuracy=_accuracy_rows(record),
        attacked=attacks.rows(record.robustness) if record.robustness else (),
        attack_sentence=attacks.sentence(record.robustness) if record.robustness else "",
        loss_chart=_loss_chart(record),
        accuracy_chart=_accuracy_chart(record),
        latency_chart=_latency_chart(record),
        latency_device=next(
            (m.device for m in record.measurements if m.quantity == "latency" and m.device), ""
        ),
        confusion_chart=svg.confusion(record.confusion, record.labels),
        pairs=_confused_pairs(record),
        classes=classes.shown(by_class),
        class_count=len(by_class),
        mistakes=mistakes,
        steps=steps.rows(record.steps),
        steps_sentence=steps.sentence(record.steps),
        memory_chart=memory.picture(
            record.graph.arena, record.graph.arena_bytes, record.graph.arena_lower_bound_bytes or 0
        ),
        flash=tuple(flash.sentences(record)),
        int16=int16.sentences(record),
        recipe=tuple(flattened(record.recipe)),
        percentiles=_percentiles,
        quantity=_quantity,
        verdict=_verdict,
        examples=people.examples(record),
        people=people,
    )


def _sentence(record: BuildRecord) -> str:
    a = record.accuracy
    parts = []
    if a.student_int8 is not None:
        against = (
            f" ({people.points(a.student_int8 - a.teacher)} against its teacher)"
            if a.teacher is not None
            else ""
        )
        parts.append(
            f"The int8 student answers {people.percent(a.student_int8)} of "
            f"{people.count(a.test_images)} {_examined(record)}{against}"
        )
    int8, real = people.primary_size(record)
    if int8:
        smaller = f", {real / int8:.1f} times smaller than in float32" if real else ""
        flash = " of flash" if people.on_device(record, "flash_bytes") is not None else ""
        parts.append(f"it takes {people.size(int8)}{flash}{smaller}")
    ran = [p for p in record.parity if p.how != "not run"]
    if ran:
        same = sum(p.identical == p.values for p in ran)
        noun = "runtime" if len(ran) == 1 else "runtimes"
        parts.append(f"it computes the same bits in {same} of the {len(ran)} {noun} that ran here")
    if not parts:
        return "Nothing was measured in this build."
    return " ".join(part[0].upper() + part[1:] + "." for part in parts)


def _imagined(record: BuildRecord) -> bool:
    """Whether the test images, too, were synthetic, so that accuracy is agreement with the teacher."""
    data = record.recipe.get("data")
    return isinstance(data, Mapping) and data.get("source") == "synthetic" and not data.get("test")


def _examined(record: BuildRecord) -> str:
    examples = people.examples(record)
    return f"synthetic {examples} as its teacher does" if _imagined(record) else f"test {examples} right"


def _cards(record: BuildRecord) -> tuple[Card, ...]:
    a = record.accuracy
    lost = (
        a.student_int8 - a.student_float
        if a.student_int8 is not None and a.student_float is not None
        else None
    )
    int8, real = people.primary_size(record)
    best = people.fastest(record)
    ran = [p for p in record.parity if p.how != "not run"]
    same = sum(p.identical == p.values for p in ran)
    speed = Card("Speed", people.MISSING, "no latency was measured")
    counted = people.on_device(record, "instructions")
    if counted is not None:
        speed = Card("Speed", people.instructions(counted), "for one inference, emulated")
    elif (foretold := people.on_npu(record)) is not None:
        speed = Card("Speed", people.milliseconds(foretold), "for one inference on the accelerator, modelled")
    elif best:
        runtime, fast, slow = best
        if slow is None:
            speed = Card("Speed", people.milliseconds(fast), f"{runtime}, median")
        else:
            word = f"{slow / fast:.1f}× as fast as float32" if fast < slow else "not faster than float32"
            speed = Card(
                "Speed", people.milliseconds(fast), f"{word}, {runtime}", "good" if fast < slow else "bad"
            )
    return (
        Card("Teacher", people.percent(a.teacher), f"top-1 on the test {people.examples(record)}"),
        Card(
            "Student, float32",
            people.percent(a.student_float),
            "top-1"
            if a.teacher is None or a.student_float is None
            else f"{people.points(a.student_float - a.teacher)} against the teacher",
        ),
        Card(
            "Student, int8",
            people.percent(a.student_int8),
            "top-1" if lost is None else f"{people.points(lost)} through int8",
            "plain" if lost is None else "good" if lost > -0.01 else "bad",
        ),
        Card(
            "Size",
            people.size(int8),
            f"{real / int8:.1f}× smaller than {people.size(real)} in float32"
            if int8 and real
            else "of flash, emulated"
            if people.on_device(record, "flash_bytes") is not None
            else "int8 file",
            "good" if int8 and real and int8 < real else "plain",
        ),
        speed,
        Card(
            "Same bits",
            f"{same} of {len(ran)}" if ran else people.MISSING,
            "runtimes compared value by value",
            "plain" if not ran else "good" if same == len(ran) else "bad",
        ),
    )


def _accuracy_rows(record: BuildRecord) -> tuple[tuple[str, str, str, float], ...]:
    """(who, share, against the teacher, share 0..1 for the bar)."""
    a = record.accuracy
    plain = (("On labels alone, float32", a.plain_float), ("On labels alone, int8", a.plain_int8))
    rows = (
        ("Teacher", a.teacher),
        *((f"{one.role.capitalize()}, {one.network}", one.accuracy) for one in record.lineage),
        ("Student, float32", a.student_float),
        ("Student, int8", a.student_int8),
        *(plain if a.plain_int8 is not None else ()),
    )
    return tuple(
        (
            who,
            people.percent(share, 2),
            ""
            if share is None or a.teacher is None or who == "Teacher"
            else people.points(share - a.teacher),
            share or 0.0,
        )
        for who, share in rows
    )


def _divider(record: BuildRecord) -> tuple[float, str] | None:
    before = sum(e.stage == "distill" for e in record.epochs)
    return (before + 1, "int8 training") if before < len(record.epochs) and before else None


def _loss_chart(record: BuildRecord) -> str:
    points = tuple((float(i), e.loss) for i, e in enumerate(record.epochs, 1))
    return svg.lines("Training loss by epoch", [svg.Series("loss", "loss", points)], divider=_divider(record))


def _accuracy_chart(record: BuildRecord) -> str:
    points = tuple(
        (float(i), e.validation_accuracy)
        for i, e in enumerate(record.epochs, 1)
        if e.validation_accuracy is not None
    )
    teacher = record.accuracy.teacher
    return svg.lines(
        "Validation accuracy by epoch",
        [svg.Series("validation accuracy", "int8", points)],
        percent=True,
        divider=_divider(record),
        levels=[svg.Level("teacher (test)", teacher)] if teacher is not None and points else (),
    )


def _latency_chart(record: BuildRecord) -> str:
    groups = []
    for runtime, int8, real in people.latency_pairs(record):
        rows = [("int8", "int8", int8), ("float32", "float", real)]
        groups.append((runtime, [(label, css, value) for label, css, value in rows if value is not None]))
    return svg.bars("Median latency by runtime", groups, "ms")


def _confused_pairs(record: BuildRecord) -> tuple[tuple[str, str, int, float], ...]:
    """(true class, answer, examples, share of the class), most frequent first."""
    labels = record.labels
    found = [
        (count, i, j, count / max(1, sum(row)))
        for i, row in enumerate(record.confusion)
        for j, count in enumerate(row)
        if i != j and count
    ]
    found.sort(key=lambda f: (-f[0], f[1], f[2]))

    def name(i: int) -> str:
        return labels[i] if i < len(labels) else str(i)

    return tuple((name(i), name(j), count, share) for count, i, j, share in found[:MAX_PAIRS])


def flattened(value: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested tables as dotted keys."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from flattened({str(k): v for k, v in inner.items()}, f"{prefix}{key}.")
        elif isinstance(inner, list | tuple):
            yield f"{prefix}{key}", ", ".join(str(v) for v in inner) or "none"
        else:
            yield f"{prefix}{key}", "none" if inner is None else str(inner)


def _quantity(measurement: Measurement) -> str:
    """A quantity's name for people."""
    return QUANTITIES.get(measurement.quantity, measurement.quantity.replace("_", " "))


def _percentiles(measurement: Measurement) -> str:
    """p50 / p90 / p99 in the measurement's unit, empty when there are none."""
    values = (measurement.p50, measurement.p90, measurement.p99)
    return (
        "" if all(v is None for v in values) else " / ".join("–" if v is None else f"{v:.3g}" for v in values)
    )


def _verdict(parity: Parity) -> str:
    """The colour class of one comparison."""
    if parity.how == "not run":
        return "idle"
    return "good" if parity.identical == parity.values else "bad"
