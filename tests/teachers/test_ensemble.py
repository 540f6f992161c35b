"""Several teachers: each rule against its closed form, layers by place, labels where a rule uses them."""

from __future__ import annotations

import numpy as np
import pytest

from edgedistill.teachers import ensemble
from edgedistill.teachers.types import Answers, Teacher

P = np.array([[[0.7, 0.2, 0.1]], [[0.2, 0.5, 0.3]]])  # [T,N,C]
HALF, NONE = np.array([0.5, 0.5]), np.array([-1])


def softmax(logits: np.ndarray) -> np.ndarray:
    exp = np.exp(logits - logits.max(-1, keepdims=True))
    return exp / exp.sum(-1, keepdims=True)


def fixed(value: float, name: str = "fixed", layers: tuple[str, ...] = ("a", "b")) -> Teacher:
    """Answers [value, 0] and has layers that answer its value."""

    def inside(images: np.ndarray, names: object) -> Answers:
        chosen = layers if names is None else names
        logits = np.tile(np.float32([value, 0]), (len(images), 1))
        return Answers(logits, {n: np.full((len(images), 1), value, np.float32) for n in chosen})  # type: ignore[attr-defined]

    return Teacher(name, lambda images: inside(images, ()).logits, name, 10, inside=inside)


def images(count: int = 3) -> np.ndarray:
    return np.zeros((count, 4, 4, 1), np.uint8)


def test_mean_is_the_weighted_mean_of_probabilities() -> None:
    weights = np.array([0.25, 0.75])
    found = softmax(ensemble.mean(np.log(P) + 5, weights, NONE))  # a constant changes nothing
    np.testing.assert_allclose(found, 0.25 * P[0] + 0.75 * P[1])


def test_logits_are_the_geometric_mean_of_probabilities() -> None:
    found = softmax(ensemble.logits(np.log(P), HALF, NONE))
    product = np.sqrt(P[0] * P[1])
    np.testing.assert_allclose(found, product / product.sum())


@pytest.mark.parametrize("label", [0, 1, 2])
def test_confidence_of_two_is_their_share_of_the_labels_probability(label: int) -> None:
    """exp(L_t) = 1 / p_t, so for two teachers (1 - share) is p_t / (p_1 + p_2)."""
    found = ensemble.confidences(np.log(P), np.array([label]))
    np.testing.assert_allclose(found[:, 0], P[:, 0, label] / P[:, 0, label].sum())
    mixed = softmax(ensemble.confidence(np.log(P), HALF, np.array([label])))
    np.testing.assert_allclose(mixed[0], found[0] * P[0, 0] + found[1] * P[1, 0])


def test_confidence_without_a_label_is_by_entropy() -> None:
    entropy = -(P * np.log(P)).sum(2)[:, 0]
    found = ensemble.confidences(np.log(P), NONE)[:, 0]
    np.testing.assert_allclose(found, 1 - np.exp(entropy) / np.exp(entropy).sum())
    assert found[0] > found[1]  # the surer one


def test_confidences_of_three_add_up_to_one_and_of_one_are_one() -> None:
    three = ensemble.confidences(np.log(np.concatenate([P, P[:1, :, ::-1]])), np.array([0]))
    assert three.sum() == pytest.approx(1)
    assert ensemble.confidences(np.log(P[:1]), np.array([1])).tolist() == [[1.0]]


def test_a_weight_counts_beside_the_confidence() -> None:
    c = ensemble.confidences(np.log(P), np.array([0]))[:, 0]
    found = softmax(ensemble.confidence(np.log(P), np.array([0.8, 0.2]), np.array([0])))
    w = np.array([0.8, 0.2]) * c
    np.testing.assert_allclose(found[0], (w / w.sum()) @ P[:, 0])


@pytest.mark.parametrize("how", list(ensemble.COMBINE))
def test_extreme_answers_stay_numbers(how: str) -> None:
    logits = np.array([[[1e4, 0.0, -1e4]], [[-1e4, 0.0, 1e4]]])
    found = ensemble.COMBINE[how](logits, HALF, np.array([0]))
    assert np.isfinite(found).all()
    if how == "confidence":  # the second gives the label no probability at all
        assert softmax(found).argmax() == 0


def test_one_teacher_of_two_by_weight() -> None:
    both = ensemble.combined([fixed(2.0, "a"), fixed(0.0, "b")], [3, 1], "logits")
    np.testing.assert_allclose(both.logits(images())[:, 0], 1.5)
    assert (both.name, both.parameters, len(both.members)) == ("a + b", 20, 2)
    assert both.knowing is None


def test_the_fingerprint_is_of_members_weights_and_rule() -> None:
    a, b = fixed(2.0, "a"), fixed(0.0, "b")
    prints = [
        ensemble.combined(*chosen).fingerprint  # type: ignore[arg-type]
        for chosen in (
            ([a, b], [1, 1], "mean"),
            ([b, a], [1, 1], "mean"),
            ([a, b], [1, 2], "mean"),
            ([a, b], [1, 1], "logits"),
            ([a, a], [1, 1], "mean"),
        )
    ]
    assert len(set(prints)) == 5
    assert ensemble.combined([a, b], [2, 2], "mean").fingerprint == prints[0]  # the same shares


def test_layers_are_the_firsts_by_name_and_the_others_by_place() -> None:
    both = ensemble.combined([fixed(2.0), fixed(5.0)], [1, 1], "mean")
    assert both.inside is not None
    assert list(both.inside(images(), None).features) == ["1:a", "1:b", "a", "b"]  # the first one's last
    found = both.inside(images(), ("a", "1:b"))
    assert {name: float(value[0, 0]) for name, value in found.features.items()} == {"a": 2.0, "1:b": 5.0}
    np.testing.assert_array_equal(found.logits, both.logits(images()))


def test_a_layer_whose_own_name_has_a_colon_is_the_firsts() -> None:
    both = ensemble.combined([fixed(2.0, layers=("net/conv:0",)), fixed(5.0)], [1, 1], "mean")
    assert both.inside is not None
    assert both.inside(images(), ("net/conv:0",)).features["net/conv:0"][0, 0] == 2.0


def test_a_teacher_without_layers_still_answers_among_others() -> None:
    blind = Teacher("blind", fixed(5.0).logits, "blind")
    both = ensemble.combined([fixed(2.0), blind], [1, 1], "logits")
    assert both.inside is not None
    assert both.inside(images(), ("a",)).logits[0, 0] == pytest.approx(3.5)
    assert ensemble.combined([blind, blind], [1, 1], "mean").inside is None


def test_told_the_labels_the_confident_one_is_who_knows_them() -> None:
    both = ensemble.combined([fixed(2.0), fixed(-2.0)], [1, 1], "confidence")
    assert both.knowing is not None
    assert both.logits(images(1))[0] == pytest.approx([np.log(0.5)] * 2, abs=1e-6)  # both are as sure
    told = both.knowing(np.array([0, 1, -1]))
    answers = softmax(told.logits(images()))
    p = softmax(np.array([2.0, 0.0]))
    assert answers[0, 0] == pytest.approx(p[0] ** 2 + p[1] ** 2, rel=1e-5)
    assert answers[:, 0] == pytest.approx([answers[1, 1], answers[1, 0], 0.5], rel=1e-5)
    assert told.inside is not None
    np.testing.assert_array_equal(told.inside(images(), ("a",)).logits, told.logits(images()))
