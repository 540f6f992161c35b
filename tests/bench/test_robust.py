"""Attacks stay in their ball and fool what can be fooled; what counts is the integer graph's answer."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from edgedistill.bench import robust
from edgedistill.errors import InputError
from edgedistill.ir import interpret
from edgedistill.quant.execute import GraphNet
from edgedistill.recipe import AdversarialSection
from tests.victims import Victim, victim

needs_package = pytest.mark.skipif(
    importlib.util.find_spec(robust.PACKAGE) is None, reason=f"needs the {robust.PACKAGE} library"
)


def flags(who: Victim, section: AdversarialSection, count: int) -> robust.Flags:
    some = who.data.test
    real = GraphNet(who.float_graph).requires_grad_(False)
    return robust.flags(real, who.integer, some.rows(np.arange(count)), section, seed=0)


def test_pgd_fools_both_students_and_transfers() -> None:
    who = victim()
    found = flags(who, AdversarialSection(epsilon=48, autoattack=False), 100)
    rows = robust.summed([found])
    clean, attacked = rows
    assert [row.attack for row in rows] == ["none", "pgd-20"]
    q = interpret.run(who.integer, {"input": (who.data.test.images_NHWC[:100] - 128).view(np.int8)})
    right = q[who.integer.outputs[0]].argmax(1) == who.data.test.labels[:100]
    assert found["none int8"] == found["none transferred"] == right.tolist()
    assert clean.student_float > 0.85 and clean.student_int8 > 0.85
    assert attacked.student_float < clean.student_float / 2 and attacked.student_int8 < clean.student_int8 / 2
    assert attacked.transferred < clean.student_int8 - 0.2
    gap = round(100 * (attacked.student_int8 - attacked.student_float))
    assert attacked.only_float - attacked.only_int8 == gap


def test_parts_are_counted_together() -> None:
    one = {"none float": [True], "none int8": [False], "none transferred": [True]}
    two = {"none float": [False, True], "none int8": [True, True], "none transferred": [False, False]}
    (row,) = robust.summed([one, two])
    assert (row.student_float, row.student_int8, row.transferred) == (2 / 3, 2 / 3, 1 / 3)
    assert (row.only_float, row.only_int8) == (1, 1)


@needs_package
def test_epsilon_0_changes_no_answer() -> None:
    found = flags(victim(), AdversarialSection(epsilon=0), 20)
    for kind in ("float", "int8", "transferred"):
        assert found[f"none {kind}"] == found[f"pgd-20 {kind}"] == found[f"autoattack {kind}"]


@needs_package
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_autoattack_fools_whatever_pgd_fools(classes: int) -> None:
    """Fewer than four classes: without the parts that compare four logits."""
    who = victim(classes)
    state = torch.random.get_rng_state()
    found = flags(who, AdversarialSection(epsilon=96), 4)
    assert torch.equal(state, torch.random.get_rng_state())
    assert not any(a and not p for a, p in zip(found["autoattack float"], found["pgd-20 float"], strict=True))
    assert sum(found["autoattack float"]) < sum(found["none float"])


def test_the_parts_of_few_classes() -> None:
    assert robust.parts(2) == ("apgd-ce", "fab", "square")
    assert "apgd-dlr" in robust.parts(3) and "apgd-t" not in robust.parts(3)
    assert robust.parts(4) == ("apgd-ce", "apgd-t", "fab-t", "square")


def test_a_missing_package_is_told_unless_pgd_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robust, "PACKAGE", "no_such_package")
    with pytest.raises(InputError, match=r"no_such_package library, which is not installed") as caught:
        robust.check(AdversarialSection(method="pgd"))
    assert caught.value.exit_code == 2 and "adversarial.autoattack = false" in str(caught.value.fix)
    robust.check(AdversarialSection(method="pgd", autoattack=False))
    robust.check(AdversarialSection())  # nothing is attacked


def test_changed_pixels_are_held_to_the_ball_and_to_bytes() -> None:
    images = np.array([[[[0], [250], [100]]]], np.uint8)
    pixels = robust.as_pixels(images)
    wild = torch.tensor([float("nan"), 2.0, 0.0]).view(1, 1, 1, 3)
    held = robust.inside(wild, pixels, 8 / 255)
    torch.testing.assert_close(held.flatten() * 255, torch.tensor([0.0, 255.0, 92.0]))
    assert robust.whole(held, images, 8).flatten().tolist() == [0, 255, 92]
    assert robust.whole(pixels + 0.6 / 255, images, 8).flatten().tolist() == [1, 251, 101]
