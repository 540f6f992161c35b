"""What is judged untrained is what the student takes: arena and weights exact, flash within a percent."""

import pytest

from edgedistill import target
from edgedistill.errors import InputError
from edgedistill.ir.graph import Graph
from edgedistill.recipe import Recipe
from edgedistill.runners import cortex_m
from edgedistill.sized import Prediction
from edgedistill.sizing import accelerator, budget, cost, fits, scores
from edgedistill.sizing.analytic import ANALYTIC
from edgedistill.sizing.c_constants import Program
from edgedistill.sizing.candidates import Judge
from edgedistill.sizing.kernel_code import KernelCode
from edgedistill.sizing.template import template
from edgedistill.students import parse
from edgedistill.target import Target

M4 = target.load("nucleo-l4r5zi").model_copy(update={"budget": {}})
PHONE = target.load("android-arm64").model_copy(update={"budget": {}})
SMALL = "resnet:width=4,width2=8,width3=12"


def latency(graph: Graph, device: Target, runtime: str) -> tuple[Prediction, ...]:
    """2 ms, at most 3."""
    return (
        Prediction(
            quantity="latency", value=2, low=1, high=3, unit="ms", runtime=runtime, source="a model of none"
        ),
    )


def judge(*devices: Target, code: KernelCode | None = None, **limits: str) -> Judge:
    recipe = Recipe(budget=limits)
    return Judge(
        recipe,
        devices,
        budget.of(recipe, devices),
        (16, 16, 3),
        ("a", "b"),
        lambda _, graph: ANALYTIC["entropy"].score(graph),
        latency,
        code or KernelCode(link=lambda graph, _: 10_000),
    )


@pytest.mark.skipif(cortex_m.missing(cortex_m.CC) is not None, reason="no GCC for Arm here")
def test_memory_is_that_of_the_student_itself() -> None:
    made = judge(M4, code=KernelCode(), ram="1MB")
    made.judge("resnet:width=8")
    found = made.judge("resnet:width=4,width2=8,width3=20")
    assert found is not None and made.traced == 1  # the second has the first one's structure
    net = parse(found.candidate.student).build(2, 3)
    graph = template(net, (16, 16, 3), ("a", "b")).graph
    needs = fits.needs(graph, as_c=True, device=M4)
    assert found.candidate.arena_bytes == needs.arena_bytes
    assert found.candidate.weight_bytes == needs.weight_bytes
    assert found.candidate.macs == needs.macs
    assert found.candidate.flash_bytes == pytest.approx(needs.flash_bytes, rel=0.01)
    exact = made.exact(found)
    assert exact.candidate.flash_exact and exact.candidate.flash_bytes == needs.flash_bytes


def test_limits_that_are_missed_are_named_with_their_share() -> None:
    found = judge(M4, ram="1KiB", weights="1MB", latency="2ms").judge(SMALL)
    assert found is not None
    assert found.candidate.misses == ("latency", "ram")  # the band's upper end is held against the limit
    assert found.uses["latency"] == 1.5
    assert found.binding == "ram" and found.load == found.candidate.ram_bytes / 1024


def test_one_student_has_to_fit_every_device() -> None:
    tight = M4.model_copy(update={"name": "tight", "budget": {"ram": "1KiB"}})
    alone, both = judge(PHONE, macs="1G").judge(SMALL), judge(PHONE, tight, macs="1G").judge(SMALL)
    assert alone is not None and both is not None
    assert alone.candidate.misses == () and both.candidate.misses == ("ram",)
    assert both.candidate.flash_bytes >= alone.candidate.flash_bytes - 20_000


def test_a_model_file_is_what_a_phone_gets() -> None:
    made = judge(PHONE, flash="1MB")
    found = made.judge(SMALL)
    assert found is not None and found.candidate.stack_bytes == 0
    exact = made.exact(found).candidate
    assert exact.flash_exact and exact.flash_bytes > exact.weight_bytes
    assert found.candidate.flash_bytes == pytest.approx(exact.flash_bytes, rel=0.05)


def test_of_an_accelerator_the_chosen_one_alone_is_foretold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vela is faked: what is asked of it, and when, is tested; its figures are test_accelerator's."""
    monkeypatch.setattr(accelerator, "predict", lambda graph, device: latency(graph, device, "tflite-micro"))
    made = judge(target.load("corstone-300-ethos-u55-128"), macs="1G")
    made.predict = cost.predict
    found = made.judge(SMALL)
    assert found is not None and found.candidate.predictions == ()
    (row,) = made.exact(found).candidate.predictions
    assert (row.quantity, row.runtime) == ("latency", "tflite-micro")


def test_what_is_not_predicted_is_no_candidate() -> None:
    made = judge(M4, latency="2ms")
    made.predict = lambda *_: ()
    assert made.judge(SMALL) is None


def test_what_cannot_be_built_is_no_candidate() -> None:
    assert judge(M4).judge("mobilenet:stages=8,depth=1,width=4") is None  # its images vanish


def test_code_is_linked_twice_for_a_set_of_kernels_and_a_line_after() -> None:
    linked = []

    def link(graph: Graph, device: Target) -> int:
        linked.append(graph)
        return 5_000 + 20 * len(linked)

    made, graph = KernelCode(link=link), template(parse(SMALL).build(2, 3), (16, 16, 3), ()).graph
    sizes = [made.of(Program(("conv",), calls, 0), graph, M4) for calls in (10, 11, 12, 10)]
    assert len(linked) == 2 and sizes[1] == (sizes[0] or 0) + 20 and sizes[2] == (sizes[0] or 0) + 40
    assert sizes[3] == sizes[0]
    assert KernelCode(link=lambda *_: None).of(Program(("conv",), 1, 0), graph, M4) is None


def test_scores_have_names() -> None:
    assert "DeepMAD" in scores.words("entropy") and scores.is_analytic("entropy")
    with pytest.raises(InputError, match="there is no proxy named 'entropi'"):
        scores.check("entropi")
    with pytest.raises(InputError, match="shows real images"):
        scores.make("naswot", None)


def test_entropy_rises_with_width_and_depth() -> None:
    graphs = [
        template(parse(f"resnet:width={w},blocks2={b}").build(2, 3), (16, 16, 3), ()).graph
        for w, b in ((8, 1), (16, 1), (16, 2))
    ]
    values = [ANALYTIC["entropy"].score(graph) for graph in graphs]
    assert values == sorted(values) and len(set(values)) == 3
