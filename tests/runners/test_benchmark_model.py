"""LiteRT's benchmark_model as it is known from its own documents; no copy of it was run here."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill.errors import EdgeDistillError, GateError, InputError
from edgedistill.runners import benchmark_model

# tensorflow/lite/g3doc/performance/measurement.md, "Native benchmark binary" (TensorFlow 2.4 and later)
DOCUMENTED = (
    "... tflite  : Inference timings in us: Init: 5685, First inference: 18535, Warmup (avg): 14462.3, \
Inference (avg): 14575.2"
)

# The log of android_aarch64_benchmark_model.apk (nightly) on an OPPO CPH2641, from a public report of 2026
RECORDED = """\
07-14 13:14:52.190 22838 22838 I tflite  : The input model file size (MB): 3.06409
07-14 13:14:52.190 22838 22838 I tflite  : Initialized session in 92.318ms.
07-14 13:14:52.859 22838 22838 I tflite  : count=3 first=235158 curr=200386 min=199462 max=235158 avg=211669 \
std=16613 p5=199462 median=200386 p95=235158
07-14 13:14:56.520 22838 22838 I tflite  : count=25 first=187533 curr=140990 min=140071 max=195121 \
avg=145528 std=13583 p5=140545 median=141253 p95=187533
07-14 13:14:56.521 22838 22838 I tflite  : Inference timings in us: Init: 92318, First inference: 235158, \
Warmup (avg): 211669, Inference (avg): 145528
07-14 13:14:56.521 22838 22838 I tflite  : Memory footprint delta from the start of the tool (MB): \
init=54.2852 overall=73.4102
"""

# tensorflow/lite/tools/benchmark/README.md, "Profiling model operators": the end of its example
PROFILE = """\
Number of nodes executed: 31
============================== Summary by node type ==============================
\t             [Node type]\t  [count]\t  [avg ms]\t    [avg %]\t    [cdf %]\t  [mem KB]\t[times called]
\t                 CONV_2D\t       15\t     1.406\t    89.270%\t    89.270%\t     0.000\t        0
\t       DEPTHWISE_CONV_2D\t       13\t     0.169\t    10.730%\t   100.000%\t     0.000\t        0
\t                 SOFTMAX\t        1\t     0.000\t     0.000%\t   100.000%\t     0.000\t        0

Timings (microseconds): count=50 first=79449 curr=81350 min=77385 max=88213 avg=79732 std=1929
Memory (bytes): count=0
31 nodes observed
"""


def test_the_documented_line() -> None:
    found = benchmark_model.parse(DOCUMENTED)
    assert (found.init_us, found.first_us, found.warmup_us, found.inference_us) == (
        5685,
        18535,
        14462.3,
        14575.2,
    )
    assert found.timed is None and found.overall_bytes is None and found.operators == ()


def test_a_recorded_log() -> None:
    found = benchmark_model.parse(RECORDED)
    assert found.timed is not None
    assert (found.timed.count, found.timed.median, found.timed.p95) == (25, 141253, 187533)
    assert (found.timed.minimum, found.timed.maximum, found.timed.std) == (140071, 195121, 13583)
    assert found.init_bytes == round(54.2852 * 2**20) and found.overall_bytes == round(73.4102 * 2**20)


def test_a_recorded_log_as_a_load() -> None:
    found = benchmark_model.loaded(RECORDED)
    assert found is not None and (found.runs, found.seconds) == (25, pytest.approx(25 * 0.145528))
    assert benchmark_model.loaded(DOCUMENTED) is None


def test_large_numbers_as_cpp_writes_them() -> None:
    found = benchmark_model.parse(DOCUMENTED.replace("14575.2", "1.45752e+06"))
    assert found.inference_us == 1_457_520


def test_the_peak_that_is_watched() -> None:
    text = f"{RECORDED}Overall peak memory footprint (MB) via periodic monitoring: 93.2383\n"
    assert benchmark_model.parse(text).peak_bytes == round(93.2383 * 2**20)


def test_the_documented_profile() -> None:
    found = benchmark_model.parse(f"{PROFILE}\n{DOCUMENTED}")
    assert [(one.kind, one.count, one.mean_ms) for one in found.operators] == [
        ("CONV_2D", 15, 1.406),
        ("DEPTHWISE_CONV_2D", 13, 0.169),
        ("SOFTMAX", 1, 0.0),
    ]
    assert found.operators[0].share == pytest.approx(0.8927)
    assert found.timed is None  # the profile's own count is with the profiler's cost


@pytest.mark.parametrize("text", ["", "Segmentation fault", "Average inference timings in us: Warmup: 91471"])
def test_without_timings(text: str) -> None:
    with pytest.raises(GateError, match="gave no timings"):
        benchmark_model.parse(text)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [*RECORDED.split(), *PROFILE.split("\t"), "\n", "count=", "init=1e99 overall=2e999", "=", "-"]
        )
    )
)
def test_no_mixture_breaks_the_parser(words: list[str]) -> None:
    try:
        benchmark_model.parse(f"{DOCUMENTED}\n{' '.join(words)}")
        benchmark_model.parse(" ".join(words))
    except EdgeDistillError:
        pass


def test_where_the_tool_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(benchmark_model.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert benchmark_model.find() is None
    cached = tmp_path / "edgedistill" / "benchmark_model"
    cached.parent.mkdir()
    cached.touch()
    assert benchmark_model.find() == cached
    monkeypatch.setenv(benchmark_model.VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"(?s)there is no file.*EDGEDISTILL_BENCHMARK_MODEL"):
        benchmark_model.find()
    with pytest.raises(InputError, match="--benchmark-model"):
        benchmark_model.find(tmp_path)
