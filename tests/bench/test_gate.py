"""A gate fails for what the noise cannot explain, and only for that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.bench import gate
from edgedistill.bench.history import Run
from edgedistill.errors import InputError
from edgedistill.record import Measurement


def latency(value: float, low: float | None = None, high: float | None = None, **more: object) -> Measurement:
    facts = dict(quantity="latency", unit="ms", how="measured", artifact="student.tflite")
    facts |= dict(runtime="litert-xnnpack 2.1.0", device="a board", threads=1)
    return Measurement.model_validate({**facts, "value": value, "low": low, "high": high, **more})


def run(number: int, *measurements: Measurement, passed: bool = True) -> Run:
    return Run(number, "2026-01-01T00:00:00+00:00", "small", "", "", passed, "{}", measurements)


def failed(text: str, now: Measurement, *earlier: Run) -> bool | None:
    (one,) = gate.judge([gate.parse(text)], [now], earlier)
    return one.failed


@pytest.mark.parametrize(
    ("text", "now", "result"),
    [
        ("latency>2ms", latency(2.5, 2.4, 2.6), True),
        ("latency>2ms", latency(2.1, 1.9, 2.3), False),  # within the noise
        ("latency>2ms", latency(2.1), True),  # no interval: as it is
        ("latency>2000us", latency(1.0, 0.9, 1.1), False),
        ("peak_memory>1MB", latency(1e6 + 1, quantity="peak_memory", unit="bytes"), True),
        ("energy>3mJ", latency(3500, quantity="energy", unit="µJ"), True),
        ("energy>3mJ", latency(2900, quantity="energy", unit="µJ"), False),
    ],
)
def test_absolute_limits(text: str, now: Measurement, result: bool) -> None:
    assert failed(text, now) is result


@pytest.mark.parametrize(
    ("now", "result"),
    [
        (latency(1.10, 1.09, 1.11), True),  # 1.09 > 1.02 * 1.05
        (latency(1.10, 1.06, 1.14), False),
        (latency(0.5, 0.4, 0.6), False),
        (latency(1.10, 1.09, 1.11, runtime="litert-xnnpack 2.3.0"), True),  # the version does not matter
        (latency(1.10, 1.09, 1.11, device="another"), None),
        (latency(1.10, 1.09, 1.11, threads=2), None),
        (latency(1.10, 1.09, 1.11, artifact="student.onnx"), None),
    ],
)
def test_relative_limits(now: Measurement, result: bool | None) -> None:
    assert failed("latency>+5%", now, run(1, latency(1.0, 0.98, 1.02))) is result


def test_the_words_say_why_a_worse_figure_passes() -> None:
    (one,) = gate.judge([gate.parse("latency>2ms")], [latency(2.1, 1.9, 2.3)], [])
    assert "over the limit but within the noise" in one.words


def test_a_run_that_broke_a_limit_is_nobodys_baseline() -> None:
    earlier = (run(2, latency(1.2, 1.2, 1.2), passed=False), run(1, latency(1.0, 1.0, 1.0)))
    assert failed("latency>+5%", latency(1.2, 1.2, 1.2), *earlier) is True


@given(st.floats(0.01, 100), st.floats(0.01, 0.3), st.floats(0, 0.5))
def test_the_same_figure_again_never_fails(value: float, half: float, share: float) -> None:
    now = latency(value, value * (1 - half), value * (1 + half))
    assert failed(f"latency>+{share * 100:.3f}%", now, run(1, now)) is False


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("latency", "is no limit"),
        ("latency<2ms", "is no limit"),
        ("latncy>2ms", "latncy"),
        ("latency>5%", "share of nothing"),
        ("latency>+2ms", "names no share"),
        ("latency>+inf%", "names no share"),
    ],
)
def test_what_is_no_limit(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        gate.parse(text)


def test_a_limit_that_nothing_meets_is_refused() -> None:
    none = latency(1.0).model_copy(update={"quantity": "energy", "value": None, "note": "no meter"})
    with pytest.raises(InputError, match=r"no energy was measured \(no meter\)"):
        gate.judge([gate.parse("energy>3mJ")], [none], [])


def test_a_limit_in_the_wrong_unit_is_refused() -> None:
    with pytest.raises(InputError, match="a time") as error:
        gate.judge([gate.parse("latency>2 kg")], [latency(1.0)], [])
    assert error.value.fix == "such as latency>2ms"
