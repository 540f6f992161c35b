"""Mixup: what is mixed, that both networks see it, and what labels then mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edgedistill.distill import mix as mixes
from edgedistill.distill import views as view_cache
from edgedistill.distill.loop import _batches, fit
from edgedistill.distill.mixup import Second, mixed
from edgedistill.errors import InputError
from edgedistill.recipe import LossSection
from edgedistill.reporter import QuietReporter
from edgedistill.teachers import ensemble
from tests.distill.test_loop import _Killed, _KillsInEpoch3, schedule, student, teacher, toy, weights
from tests.distill.test_mix import section
from tests.teachers.test_ensemble import fixed


def test_images_are_blended_by_one_share_and_rounded() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3)).astype(np.uint8)
    labels = np.arange(6)
    blend, second = mixed(images, labels, 1.0, np.random.default_rng(1))
    order = second.labels.numpy()
    assert sorted(order) == list(range(6)) and 0 < second.share < 1 and blend.dtype == np.uint8
    exact = second.share * images.astype(float) + (1 - second.share) * images[order]
    assert np.abs(blend - exact).max() <= 0.5 + 1e-4
    again, _ = mixed(images, labels, 1.0, np.random.default_rng(1))
    np.testing.assert_array_equal(blend, again)


def test_alpha_1_draws_shares_evenly_and_a_small_one_from_the_ends() -> None:
    rng, images, labels = np.random.default_rng(0), np.zeros((2, 1, 1, 1), np.uint8), np.arange(2)
    for alpha, inner in ((1.0, 0.5), (0.2, 0.2)):
        shares = np.array([mixed(images, labels, alpha, rng)[1].share for _ in range(400)])
        assert shares.mean() == pytest.approx(0.5, abs=0.08)
        assert ((shares > 0.25) & (shares < 0.75)).mean() == pytest.approx(inner, abs=0.08)


@pytest.mark.parametrize("name", ["hard-labels", "hinton"])
def test_labels_become_soft(name: str) -> None:
    """A loss that is linear in the labels is that of the mixed one-hot labels."""
    torch.manual_seed(0)
    out, soft = torch.randn(5, 3), torch.randn(5, 3)
    first, other, share = torch.tensor([0, 1, 2, 0, 1]), torch.tensor([2, 2, 0, 0, 1]), 0.3
    term = mixes.Term(LossSection(name=name, options={"alpha": 0.4} if name == "hinton" else {}))
    found = term(out, {}, mixes.Batch(soft, first, torch.arange(5), {}, Second(other, share)))
    targets = share * F.one_hot(first, 3) + (1 - share) * F.one_hot(other, 3)
    cross_entropy = F.cross_entropy(out, targets)
    if name == "hinton":
        p, q = F.softmax(soft / 4, 1), F.log_softmax(out / 4, 1)
        cross_entropy = 0.6 * cross_entropy + 0.4 * 16 * (p * (p.log() - q)).sum(1).mean()
    assert float(found) == pytest.approx(float(cross_entropy), rel=1e-5)


def test_teacher_and_student_see_the_same_mixed_images() -> None:
    data, mix, seen = toy(), mixes.simple(2.0, 1.0), []

    def watched(images: np.ndarray) -> np.ndarray:
        seen.append(images)
        return teacher(images)

    numbers = schedule(mixup=1.0, alpha=1.0, augment=("pad-crop",))
    batches = list(_batches(data, numbers, 0, mix, None, watched, None, None))
    plain = list(_batches(data, schedule(augment=("pad-crop",)), 0, mix, None, teacher, None, None))
    assert len(seen) == len(batches) == 5
    for images, (x, batch), (unmixed, _) in zip(seen, batches, plain, strict=True):
        np.testing.assert_array_equal(images, (x * 64 + 128).permute(0, 2, 3, 1).numpy())
        np.testing.assert_array_equal(batch.soft, teacher(images))
        assert batch.second is not None and not torch.equal(x, unmixed)


def test_a_stop_changes_nothing(tmp_path: Path) -> None:
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole, broken, again = student(), student(), student()
    numbers = schedule(mixup=0.5)
    fit(whole, toy(), numbers, QuietReporter(), tmp_path / "whole", teacher=teacher)
    with pytest.raises(_Killed):
        fit(broken, toy(), numbers, _KillsInEpoch3(), tmp_path / "broken", teacher=teacher)
    fit(again, toy(), numbers, QuietReporter(), tmp_path / "broken", teacher=teacher)
    assert torch.equal(weights(whole), weights(again))


def test_a_memory_of_examples_and_mixed_ones_don_t_go_together() -> None:
    with pytest.raises(InputError, match=r"(?s)'crd' remembers every example.*losses\[0\]\.name.*mixup"):
        mixes.check(section({"name": "crd"}, mixup=1.0))
    with pytest.raises(InputError, match=r"(?s)mixed anew.*cannot be cached.*cache_features = false"):
        mixes.check(section({"name": "hint"}, mixup=1.0, cache_features=True))


def test_a_teacher_that_weighs_by_labels_is_told_them_live_and_in_views(tmp_path: Path) -> None:
    data, mix = toy(), mixes.simple(2.0, 1.0)
    both = ensemble.combined([fixed(4.0, "a"), fixed(-4.0, "b")], [1, 1], "confidence")

    def knows(logits: np.ndarray, labels: np.ndarray) -> bool:
        return bool((logits.argmax(1) == labels).all())

    for _, batch in _batches(data, schedule(), 0, mix, None, both.logits, both.inside, both.knowing):
        assert batch.soft is not None and knows(batch.soft.numpy(), batch.labels.numpy())
    for _, batch in _batches(data, schedule(mixup=1.0), 0, mix, None, both.logits, both.inside, both.knowing):
        assert batch.soft is not None and batch.soft.numpy() == pytest.approx(np.log(0.5), abs=1e-6)
    views = view_cache.compute(
        tmp_path, data.train, both.logits, 2, 2, (), 0, QuietReporter(), knowing=both.knowing
    )
    assert all(knows(np.asarray(views.logits[view]), data.train.labels) for view in range(2))
