"""Turns figures into the words that people read: percent, kB, ms, counts."""

from __future__ import annotations

from pathlib import PurePosixPath

from edgedistill.record import BuildRecord, Measurement, Parity
from edgedistill.tasks import TASKS
from edgedistill.units import format_count

MISSING = "not run"


def percent(share: float | None, digits: int = 1) -> str:
    """0.9234 -> 92.3 %."""
    return MISSING if share is None else f"{100 * share:.{digits}f} %"


def examples(record: BuildRecord) -> str:
    """What one calls what the student sees: images, clips."""
    row = TASKS.get(record.task)
    return "examples" if row is None else row.examples


def points(difference: float) -> str:
    """A difference of two shares in percentage points, signed; never a bare minus zero."""
    rounded = round(100 * difference, 1)
    if rounded == 0:
        return "±0.0 points"
    return f"{'+' if rounded > 0 else '−'}{abs(rounded):.1f} points"


def size(count: float | None) -> str:
    """Bytes as kB or MB of 1,000."""
    if count is None:
        return MISSING
    if count < 1_000:
        return f"{count:.0f} B"
    for unit, step in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if round(count / step, 1) < 1_000:
            return f"{count / step:.1f} {unit}" if count / step < 100 else f"{count / step:.0f} {unit}"
    return f"{count / 1e9:,.0f} GB"


def milliseconds(value: float | None) -> str:
    """0.1234 -> 0.123 ms, always three figures."""
    return MISSING if value is None else f"{value:#.3g}".rstrip(".") + " ms"


def count(value: float | None) -> str:
    """1234567 -> 1,234,567."""
    return MISSING if value is None else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """75 -> 1 min 15 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def figure(measurement: Measurement) -> str:
    """The value with its unit, whatever the quantity."""
    value = measurement.value
    if value is None:
        return MISSING
    match measurement.unit:
        case "bytes":
            return size(value)
        case "ms":
            return milliseconds(value)
        case "share":
            return percent(value)
        case "mJ" | "µJ":
            return f"{value:,.0f} {measurement.unit}" if value >= 100 else f"{value:.3g} {measurement.unit}"
        case "×":
            return f"{value:.3g}×"
        case unit:
            return f"{value:,.0f} {unit}"


def interval(measurement: Measurement) -> str:
    """The 95 % interval as ``1.19–1.22 ms``, the same units as the figure; empty: there is none."""
    ends = (measurement.low, measurement.high)
    if measurement.value is None or any(end is None for end in ends):
        return ""
    low, high = (figure(measurement.model_copy(update={"value": end})) for end in ends)
    unit = low.rpartition(" ")[2]
    return f"{low.removesuffix(unit).strip()}–{high}" if high.endswith(f" {unit}") else f"{low}–{high}"


def is_float32(artifact: str) -> bool:
    """Whether a file is the float32 twin (student-float32.onnx)."""
    return "float32" in PurePosixPath(artifact).name


def primary_size(record: BuildRecord) -> tuple[int | None, int | None]:
    """Bytes of the smallest int8 file and of its float32 twin (None: not written).

    Of a microcontroller: the flash that its firmware's model takes, where it was built.
    """
    flash = on_device(record, "flash_bytes")
    if flash is not None:
        return round(flash), None
    models = {a.format: a.size_bytes for a in record.artifacts}
    for name in ("tflite", "onnx", "coreml"):
        if name in models:
            return models[name], models.get(f"{name}-float32")
    return None, None


def on_device(record: BuildRecord, quantity: str) -> float | None:
    """What a microcontroller's firmware took on its emulator (None: not run, or no microcontroller)."""
    found = (m.value for m in record.measurements if m.quantity == quantity and m.how == "emulated")
    return next(found, None)


def on_npu(record: BuildRecord) -> float | None:
    """Milliseconds that an accelerator's compiler foretells (None: not run, or no accelerator)."""
    if all(m.quantity != "npu_cycles" for m in record.measurements):
        return None
    return next((m.value for m in record.measurements if m.quantity == "estimated_latency"), None)


def instructions(value: float) -> str:
    """12345678 -> 12.3 M instructions."""
    return f"{format_count(value)} instructions"


def latency_pairs(record: BuildRecord) -> tuple[tuple[str, float | None, float | None], ...]:
    """By runtime: (runtime, int8 ms, float32 ms), in the record's order."""
    pairs: dict[str, list[float | None]] = {}
    for m in record.measurements:
        if m.quantity == "latency" and m.value is not None:
            pairs.setdefault(m.runtime, [None, None])[int(is_float32(m.artifact))] = m.value
    return tuple((runtime, int8, real) for runtime, (int8, real) in pairs.items())


def fastest(record: BuildRecord) -> tuple[str, float, float | None] | None:
    """The runtime in which the int8 student is fastest: (runtime, int8 ms, float32 ms)."""
    measured = [(name, int8, real) for name, int8, real in latency_pairs(record) if int8 is not None]
    return min(measured, key=lambda row: row[1]) if measured else None


def parity_words(parity: Parity) -> str:
    """One runtime's verdict."""
    if parity.how == "not run":
        return MISSING
    emulated = ", emulated" if parity.how == "emulated" else ""
    if parity.identical == parity.values:
        return f"identical{emulated}"
    return f"{count(parity.values - parity.identical)} differ, at most {parity.max_lsb} LSB{emulated}"
