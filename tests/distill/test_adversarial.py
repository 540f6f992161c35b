"""PGD stays in its ball and climbs; the losses are their papers' equations; a recipe's method is checked."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from edgedistill import recipe as recipes
from edgedistill.distill import adversarial
from edgedistill.distill.loop import fit
from edgedistill.errors import InputError
from edgedistill.recipe import AdversarialSection, DistillSection
from edgedistill.reporter import QuietReporter
from tests.distill.test_loop import schedule, student, toy, weights


def test_pgd_on_a_linear_function_ends_in_the_corner_of_the_ball() -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand((4, 3, 5, 5), generator=generator)
    slope = torch.randn(pixels.shape, generator=generator)
    moved = adversarial.pgd(lambda x: (slope * x).sum(), pixels, 0.1, 0.03, 20, generator)
    torch.testing.assert_close(moved, (pixels + 0.1 * slope.sign()).clamp(0, 1))


def test_epsilon_0_changes_nothing() -> None:
    pixels = torch.rand(2, 1, 3, 3)
    assert torch.equal(adversarial.pgd(lambda x: x.sum(), pixels, 0.0, 0.1, 5), pixels)


def test_ard_and_rslad_are_their_equations() -> None:
    moved, clean, teacher = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 3, 0, 1])

    def kl(student: torch.Tensor, t: float) -> torch.Tensor:
        p = F.softmax(teacher / t, 1)
        return (p * (p.log() - F.log_softmax(student / t, 1))).sum(1).mean()

    ard = torch.stack(list(adversarial.ard(moved, clean, teacher, labels, 3.0, 0.7).values())).sum()
    torch.testing.assert_close(ard, 0.7 * 9 * kl(moved, 3.0) + 0.3 * F.cross_entropy(clean, labels))
    rslad = torch.stack(list(adversarial.rslad(moved, clean, teacher).values())).sum()
    torch.testing.assert_close(rslad, 5 / 6 * kl(moved, 1.0) + 1 / 6 * kl(clean, 1.0))


def test_the_loop_trains_against_it_and_repeats_itself(tmp_path: Path) -> None:
    section = AdversarialSection(method="pgd", epsilon=8, steps=2)
    adversary = adversarial.make(section, DistillSection(), toy())
    nets = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        net = student()
        fit(net, toy(), schedule(epochs=1), QuietReporter(), tmp_path / name, adversary=adversary)
        nets.append(weights(net))
    assert torch.equal(*nets)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"adversarial.method": "rslad", "distill.losses": [{"name": "hinton"}]}, "losses of its own"),
        ({"adversarial.method": "ard", "distill.alpha": 0.0}, "never looks at an attacked image"),
        ({"adversarial.method": "pgd", "distill.mixup": 0.5}, "not mixed and attacked at once"),
    ],
)
def test_a_recipe_that_contradicts_itself(keys: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        adversarial.resolved(recipes.resolve(None, keys))


def test_the_attacker_works_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adversarial.launch, "size", lambda: 2)
    assert adversarial.resolved(recipes.resolve(None, {})).adversarial.method == "none"
    with pytest.raises(InputError, match="works in one process"):
        adversarial.resolved(recipes.resolve(None, {"adversarial.method": "pgd"}))


def test_where_nobody_teaches_labels_harden() -> None:
    for method in ("ard", "rslad", "pgd"):
        assert adversarial.untaught(AdversarialSection(method=method)).method == "pgd"
    assert adversarial.untaught(AdversarialSection()) == AdversarialSection()


def test_without_a_method_no_hash_changes() -> None:
    assert adversarial.identity(AdversarialSection(images=5)) == {}
    assert adversarial.identity(AdversarialSection(method="pgd")) != {}
