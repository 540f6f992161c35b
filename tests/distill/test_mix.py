"""Mixes of losses: taps, projectors and banks in the loop, mistakes told before training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgedistill.data.types import ImageData, Split
from edgedistill.distill import mix as mixes
from edgedistill.distill import views as view_cache
from edgedistill.distill.loop import fit
from edgedistill.distill.losses import LOSSES
from edgedistill.distill.mix import LossMix
from edgedistill.errors import GateError, InputError
from edgedistill.lower.passes import simplify
from edgedistill.lower.trace import trace
from edgedistill.quant import ranges
from edgedistill.quant.execute import GraphNet
from edgedistill.recipe import DistillSection, LossSection
from edgedistill.reporter import QuietReporter
from edgedistill.teachers.module import from_module
from edgedistill.teachers.types import Answers, Teacher
from tests.distill.test_loop import _Killed, _KillsInEpoch3, schedule, student, toy, weights


def net_teacher(seed: int = 1) -> Teacher:
    """A small residual net, wider than the student, as a recipe's teacher would be."""
    from edgedistill.teachers.architectures import ResNet

    torch.manual_seed(seed)
    loaded = from_module(ResNet(1, (6, 10, 12), 1, 2), "toy", "toy")
    assert loaded.inside is not None

    def inside(images: np.ndarray, names: object) -> Answers:
        x = (images.transpose(0, 3, 1, 2).astype(np.float32) - 128) / 64
        return Answers(*loaded.inside(np.ascontiguousarray(x), names))  # type: ignore[misc, arg-type]

    return Teacher("toy", lambda images: inside(images, ()).logits, "f", inside=inside)


def section(*losses: dict[str, object], **more: object) -> DistillSection:
    entries = tuple(LossSection(**loss) for loss in losses)  # type: ignore[arg-type]
    return DistillSection(losses=entries, temperature=2.0, **more)  # type: ignore[arg-type]


def made(*losses: dict[str, object], net: nn.Module | None = None) -> LossMix:
    return mixes.make(section(*losses), net or student(), net_teacher(), toy(), seed=0)


EVERY = [{"name": name} for name in LOSSES]
RICH = [
    {"name": "hinton", "options": {"alpha": 0.5}},
    {"name": "hint", "weight": 0.1, "warmup": 2},
    {"name": "crd", "weight": 0.1, "taps": ("last",), "options": {"dimension": 8, "negatives": 4}},
]


def train(
    folder: Path, losses: list[dict[str, object]], reporter: object = None
) -> tuple[nn.Module, LossMix]:
    net, teacher = student(), net_teacher()
    mix = made(*losses, net=net)
    folder.mkdir(exist_ok=True)
    fit(
        net, toy(), schedule(), reporter or QuietReporter(), folder,  # type: ignore[arg-type]
        teacher=teacher.logits, inside=teacher.inside, mix=mix,
    )  # fmt: skip
    return net, mix


@pytest.mark.parametrize("loss", EVERY, ids=lambda loss: str(loss["name"]))
def test_every_loss_gives_the_student_a_gradient(loss: dict[str, object]) -> None:
    """One step of the loop's own parts, on layers where the loss can look at layers."""
    from edgedistill.distill.evaluate import to_input
    from edgedistill.teachers.hooks import watching

    net, data, teacher = student(), toy(), net_teacher()
    taps = ("auto",) if LOSSES[str(loss["name"])].kind == "relation" else ()
    for entry in (loss, {**loss, "taps": taps}):
        mix = made(entry, net=net)
        images = data.train.images_NHWC[:8]
        assert teacher.inside is not None
        answers = teacher.inside(images, tuple(mix.teacher_layers))
        with watching(net, mix.student_layers) as layers:
            out = net(to_input(images))
        features = {name: torch.from_numpy(value) for name, value in answers.features.items()}
        batch = mixes.Batch(
            torch.from_numpy(answers.logits),
            torch.from_numpy(data.train.labels[:8]),
            torch.arange(8),
            features,
        )
        parts = mix(out, layers, batch, None)
        (value,) = parts.values()
        assert value.ndim == 0 and bool(value.isfinite()) and list(parts) == [f"{loss['name']} [0]"]
        net.zero_grad()
        value.backward()
        assert sum(float(p.grad.abs().sum()) for p in net.parameters() if p.grad is not None) > 0
        assert all(p.grad is not None for p in mix.parameters())


def test_a_rich_mix_repeats_itself_and_resumes_to_the_bit(tmp_path: Path) -> None:
    whole, learned = train(tmp_path / "whole", RICH)
    with pytest.raises(_Killed):
        train(tmp_path / "broken", RICH, _KillsInEpoch3())
    again, learned_again = train(tmp_path / "broken", RICH)
    assert torch.equal(weights(whole), weights(again))
    assert torch.equal(weights(learned), weights(learned_again))
    fresh = made(*RICH)
    moved = {n for n, v in learned.state_dict().items() if not torch.equal(v, fresh.state_dict()[n])}
    assert {n.split(".")[1] for n in moved} == {"1", "2"}  # the projectors and the bank were trained along
    assert "whole" not in {n.split(".")[0] for n in whole.state_dict()}
    assert set(whole.state_dict()) == set(student().state_dict())  # and are not in the student


def test_making_a_mix_leaves_torchs_generator_alone() -> None:
    net, teacher = student(), net_teacher()
    state = torch.random.get_rng_state()
    mixes.make(section(*RICH), net, teacher, toy(), seed=0)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_entries_take_the_sections_temperature_and_alpha_where_they_name_none() -> None:
    chosen = section(
        {"name": "hinton"}, {"name": "hinton", "temperature": 7.0, "options": {"alpha": 0.2}}, alpha=0.4
    )
    terms = list(mixes.make(chosen, student(), net_teacher(), toy(), 0).terms)
    assert terms[0].options == {"alpha": 0.4, "temperature": 2.0}
    assert terms[1].options == {"alpha": 0.2, "temperature": 7.0}
    names = [[term.row.function.__name__ for term in mixes.simple(3.0, alpha).terms] for alpha in (0, 0.5, 1)]
    assert names == [["hard_labels"], ["hinton"], ["soft_targets"]]


def test_a_mix_knows_what_it_asks_of_the_teacher() -> None:
    def asks(*losses: dict[str, object]) -> tuple[bool, bool]:
        mix = made(*losses)
        return mix.taught, mix.wants_logits

    assert asks({"name": "hard-labels"}) == (False, False)
    assert asks({"name": "hint"}) == asks({"name": "pkt", "taps": ("last",)}) == (True, False)
    assert asks({"name": "pkt"}) == asks({"name": "hard-labels"}, {"name": "dkd"}) == (True, True)


def test_weights_rise_in_float_training_only() -> None:
    entry = LossSection(name="soft-targets", weight=3.0, warmup=4)
    rising = [mixes._weight(entry, epoch) for epoch in (0, 1, 3, 9)]
    assert rising == [0.75, 1.5, 3.0, 3.0] and mixes._weight(entry, None) == 3.0


def _asked(*anything: object) -> Answers:
    raise AssertionError("the teacher was asked")


def test_cached_features_are_the_teachers_and_need_it_no_more(tmp_path: Path) -> None:
    data, teacher = toy(), net_teacher()
    mix = made({"name": "attention"}, {"name": "hinton"})
    made_views = view_cache.compute(
        tmp_path, data.train, teacher.logits, 2, 2, (), 0, QuietReporter(),
        inside=teacher.inside, layers=mix.teacher_layers,
    )  # fmt: skip
    loaded = view_cache.load(tmp_path, tuple(mix.teacher_layers))
    images, logits, features = loaded.batch(1, np.array([3, 7]), 0)
    assert teacher.inside is not None
    expected = teacher.inside(images, tuple(mix.teacher_layers))
    np.testing.assert_allclose(logits, expected.logits, rtol=1e-5)
    assert features.keys() == mix.teacher_layers.keys() == {"layer1", "layer2", "layer3"}
    for name, values in features.items():
        assert values.dtype == np.float16
        np.testing.assert_allclose(values, expected.features[name], atol=2e-3, rtol=2e-3)
    again = view_cache.compute(  # nothing is asked twice
        tmp_path, data.train, _asked, 2, 2, (), 0, QuietReporter(), inside=_asked, layers=mix.teacher_layers
    )  # fmt: skip
    assert all(np.array_equal(again.features[name], made_views.features[name]) for name in features)
    net = student()
    (tmp_path / "work").mkdir()
    logs = fit(net, data, schedule(), QuietReporter(), tmp_path / "work", views=loaded, mix=mix)
    assert len(logs) == 3


def test_too_large_a_feature_cache_is_refused() -> None:
    with pytest.raises(InputError, match=r"(?s)4 view\(s\) of 1000 images at 1 layers take .*limit.*fewer"):
        view_cache.check_size({"a": (16, 32, 32)}, 4, 1000, 10**6)


@pytest.mark.parametrize("loss", ["attention", "hint", "similarity"])
def test_taps_follow_the_student_into_its_int8_graph(tmp_path: Path, loss: str) -> None:
    net, teacher, data = student(), net_teacher(), toy()
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_()  # type: ignore[union-attr]
                layer.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    graph = ranges.separate_fixed_operands(simplify(trace(net, data.image_shape, data.labels)))
    calibration = ((data.train.images_NHWC[:64].astype(np.float32)) - 128) / 64
    qparams = ranges.choose(graph, ranges.observe(graph, calibration, 99.999))
    quantised = GraphNet(graph, qparams)
    mix = made({"name": loss, "taps": ("auto",)}, {"name": "hinton"}, net=net)
    before = [pair.student for term in mix.terms for pair in term.pairs]
    mix.in_graph(net, quantised, data)
    pairs = [pair for term in mix.terms for pair in term.pairs]
    assert before == ["blocks.0", "blocks.1", "blocks"]
    assert all(pair.student.startswith("outputs.") and pair.scale != 1 for pair in pairs)
    from edgedistill.distill.evaluate import to_input
    from edgedistill.teachers.hooks import watching

    x = to_input(data.train.images_NHWC[:8])
    with (
        torch.no_grad(),
        watching(net.eval(), before) as real,
        watching(quantised, mix.student_layers) as ints,
    ):
        net(x)
        quantised(x)
    for name, pair in zip(before, pairs, strict=True):
        error = (ints[pair.student] * pair.scale - real[name]).abs().max()
        assert float(error) < 0.1 * float(real[name].abs().max())
    logs = fit(
        quantised, data, schedule(stage="quantise", lr=1e-3, epochs=1), QuietReporter(), tmp_path,
        teacher=teacher.logits, inside=teacher.inside, mix=mix,
    )  # fmt: skip
    assert np.isfinite(logs[0].loss)


def test_a_layer_that_int8_folds_away_is_told() -> None:
    net, data = student(), toy()
    with torch.no_grad():
        net.bn.running_mean.add_(1)  # type: ignore[union-attr, operator]
    graph = ranges.separate_fixed_operands(simplify(trace(net, data.image_shape, data.labels)))
    mix = made({"name": "attention", "taps": ("stem <- layer1",)}, net=net)
    with pytest.raises(InputError, match=r"(?s)'stem' is folded.*losses\[0\]\.taps.*blocks\.0"):
        mix.in_graph(net, GraphNet(graph), data)


@pytest.mark.parametrize(
    ("losses", "text"),
    [
        ([{"name": "hintn"}], r"no loss named 'hintn'.*losses\[0\]\.name.*did you mean.*hint"),
        (
            [{"name": "dkd"}, {"name": "dkd", "options": {"gamma": 1}}],
            r"no option of the loss 'dkd' named 'gamma'.*losses\[1\]\.options.*alpha, beta",
        ),
        ([{"name": "similarity", "temperature": 2}], r"'similarity' has no temperature.*\[0\]\.temperature"),
        ([{"name": "hinton", "taps": ("auto",)}], r"looks at answers, not at layers.*losses\[0\]\.taps"),
        ([{"name": "crd", "options": {"negatives": 0.5}}], r"negatives must be a whole number.*0\.5"),
        ([{"name": "crd", "options": {"negatives": 1e12}}], r"negatives must be a whole number.*1e\+12"),
        ([{"name": "crd", "options": {"momentum": 2.5}}], r"momentum must be a number from 0 to 1"),
        ([{"name": "attention", "options": {"power": -2}}], r"power must be"),
        ([{"name": "crd", "options": {"tau": 0}}], r"tau must be a number from 0\.001 to 100; it is 0"),
    ],
)
def test_mistakes_that_need_no_network(losses: list[dict[str, object]], text: str) -> None:
    with pytest.raises(InputError, match=f"(?s){text}") as caught:
        mixes.check(section(*losses))
    assert caught.value.exit_code == 2


def test_features_without_views_cannot_be_cached() -> None:
    with pytest.raises(InputError, match=r"(?s)distill\.views is 0.*cache_features"):
        mixes.check(section({"name": "hint"}, views=0, cache_features=True))


@pytest.mark.parametrize("losses", [[], [{"name": "soft-targets"}, {"name": "dkd"}]])
def test_a_loss_that_needs_labels_where_there_are_none(losses: list[dict[str, object]]) -> None:
    whole = toy()
    labels = whole.train.labels.copy()
    labels[:5] = -1
    data = ImageData(
        "toy", Split(whole.train.images_NHWC, labels), whole.validation, whole.test, whole.labels, "f"
    )
    with pytest.raises(InputError, match=r"(?s)needs labels, and 5 of 160 .*soft-targets"):
        mixes.make(section(*losses), student(), net_teacher(), data, 0)
    mixes.make(section({"name": "soft-targets"}), student(), net_teacher(), data, 0)


def test_a_teacher_that_shows_no_layers() -> None:
    blind = Teacher("keras", net_teacher().logits, "f")
    with pytest.raises(
        InputError, match=r"(?s)layers of this teacher cannot be seen.*edgedistill list losses"
    ):
        mixes.make(section({"name": "hint"}), student(), blind, toy(), 0)
    mixes.make(section({"name": "similarity"}), student(), blind, toy(), 0)  # of logits: no layers needed


def test_divergence_stops_with_the_last_good_state(tmp_path: Path) -> None:
    net, teacher = student(), net_teacher()
    mix = made({"name": "hinton"}, {"name": "regression", "weight": 1e-3}, net=net)
    calls = 0

    def spoilt(images: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        return teacher.logits(images) * (1e9 if calls > 7 else 1)

    with pytest.raises(
        GateError, match=r"(?s)grew from .* to .* in epoch 2, step 3.*after epoch 1 is kept.*weight of"
    ):
        fit(net, toy(), schedule(), QuietReporter(), tmp_path, teacher=spoilt, mix=mix)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["state"]["epoch"] == 1
    assert all(bool(v.isfinite().all()) for v in saved["net"].values())
