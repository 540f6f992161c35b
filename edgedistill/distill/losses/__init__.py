"""The losses a student can learn from: pure functions, one row each with paper and equation."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from edgedistill.distill.losses import branch, feature, relation, response
from edgedistill.distill.losses.response import hard_labels, hinton, soft_targets

__all__ = ["LOSSES", "Loss", "Need", "hard_labels", "hinton", "soft_targets"]

Need = Literal["teacher logits", "labels", "features", "pairs", "branches"]
Learned = Literal["", "projector", "projectors", "bank", "branches"]


@dataclass(frozen=True)
class Loss:
    """A row: ``function`` takes the student's tensor, then what ``needs`` says, then its options.

    needs:
        teacher logits, labels: of the batch, [N,C] and [N];
        features: the answers of tapped layers of both networks;
        pairs: both networks' tapped features or, without taps, their logits; examples are
        compared with one another;
        branches: the student's own shallow layers and its deepest one, no teacher.
    learned: what is trained along and dropped from the student: a projector to the teacher's
        shape, one for each of several teacher layers, embeddings and a memory bank, or classifiers.
    """

    function: Callable[..., Tensor]
    summary: str
    equation: str
    source: str
    needs: tuple[Need, ...]
    learned: Learned = ""

    @property
    def options(self) -> dict[str, float]:
        """The function's own numbers with their defaults; ``temperature`` has a key of its own."""
        numbers = _defaults(self.function)
        numbers.pop("temperature", None)
        return {**numbers, **(BANK_OPTIONS if self.learned == "bank" else {})}

    @property
    def tempered(self) -> bool:
        """Whether it softens logits by a temperature."""
        return "temperature" in _defaults(self.function)

    @property
    def kind(self) -> str:
        """response, feature, relation or branch."""
        kinds = {"features": "feature", "pairs": "relation", "branches": "branch"}
        return next((kind for need, kind in kinds.items() if need in self.needs), "response")

    @property
    def asks_teacher(self) -> bool:
        """Whether it looks at more than labels and the student."""
        return not set(self.needs) <= {"labels", "branches"}


def _defaults(function: Callable[..., Tensor]) -> dict[str, float]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


# Tian et al. 2020, section 4: 128 dimensions, tau 0.1 (0.07 in the paper's code), 16384 negatives; 512 of
# them keep the step of a small student on a CPU from being all products with the bank.
BANK_OPTIONS: Mapping[str, float] = {"dimension": 128, "negatives": 512, "tau": 0.07, "momentum": 0.5}

LIMITS: Mapping[str, tuple[float, float]] = {  # of an option, both ends included; others may be any number
    "dimension": (1, 4096),
    "negatives": (1, 65_536),
    "tau": (1e-3, 100),
    "momentum": (0, 1),
    "power": (1e-3, 16),
    "hint": (0, 1e6),
}
WHOLE = ("dimension", "negatives")  # options that are counts

LOSSES: Mapping[str, Loss] = {
    "hard-labels": Loss(
        hard_labels,
        "plain training",
        "-log q_y",
        "any textbook",
        ("labels",),
    ),
    "soft-targets": Loss(
        soft_targets,
        "the teacher's softened answer",
        "T^2 KL(p^T || q^T)",
        "Hinton et al. 2015, section 2.1",
        ("teacher logits",),
    ),
    "hinton": Loss(
        hinton,
        "soft targets and labels, the default",
        "alpha T^2 KL(p^T || q^T) - (1 - alpha) log q_y",
        "Hinton et al. 2015, section 2",
        ("teacher logits", "labels"),
    ),
    "dkd": Loss(
        response.decoupled,
        "target and other classes weighted apart, beside hard-labels",
        "T^2 (alpha KL(b || b') + beta KL(p_others || q_others))",
        "Zhao et al. 2022 (DKD), section 3",
        ("teacher logits", "labels"),
    ),
    "standardised": Loss(
        response.standardised,
        "soft targets of z-scored logits, beside hard-labels",
        "T^2 KL(softmax(z(v) / T) || softmax(z(u) / T))",
        "Sun et al. 2024, section 4",
        ("teacher logits",),
    ),
    "soft-cross-entropy": Loss(
        response.soft_cross_entropy,
        "soft targets plus the teacher's entropy, the same gradient",
        "-T^2 sum p^T log q^T",
        "Hinton et al. 2015, section 2",
        ("teacher logits",),
    ),
    "regression": Loss(
        response.regression,
        "squared difference of the outputs",
        "mean (u - v)^2",
        "Ba & Caruana 2014, section 2.2",
        ("teacher logits",),
    ),
    "multi-label": Loss(
        response.multi_label,
        "classes that don't exclude each other",
        "-T^2 mean (s log s' + (1 - s) log(1 - s')), s = sigmoid(v / T)",
        "Hinton et al. 2015, section 2, for one sigmoid a class",
        ("teacher logits",),
    ),
    "hint": Loss(
        feature.hint,
        "squared difference of features, after a projector",
        "1/2 mean (P(F) - F')^2",
        "Romero et al. 2015 (FitNets), section 2.2",
        ("features",),
        "projector",
    ),
    "attention": Loss(
        feature.attention,
        "where the layers look, channels averaged away",
        "mean (Q/|Q| - Q'/|Q'|)^2, Q = mean_c |F_c|^power",
        "Zagoruyko & Komodakis 2017 (AT), section 3.1",
        ("features",),
    ),
    "cosine": Loss(
        feature.cosine,
        "direction of the channels at each position, after a projector",
        "mean (1 - cos(P(F), F'))",
        "after Romero et al. 2015, with the cosine of Passalis & Tefas 2018",
        ("features",),
        "projector",
    ),
    "many-to-one": Loss(
        feature.many_to_one,
        "several teacher layers to one student layer, weighted by likeness",
        "sum_t w_t mean (P_t(F) - F'_t)^2, w = softmax of similarity rows' products",
        "Chen et al. 2021 (SemCKD), without learned query and key",
        ("features",),
        "projectors",
    ),
    "rkd-distance": Loss(
        relation.distance,
        "distances of all pairs",
        "huber(|x_i - x_j| / mean, |x'_i - x'_j| / mean')",
        "Park et al. 2019 (RKD), section 3.2.1",
        ("pairs",),
    ),
    "rkd-angle": Loss(
        relation.angle,
        "angles of all triples",
        "huber(cos(i, j, k), cos'(i, j, k))",
        "Park et al. 2019 (RKD), section 3.2.2",
        ("pairs",),
    ),
    "similarity": Loss(
        relation.similarity,
        "similarity-preserving (SP)",
        "mean (G - G')^2, G = A A^T, rows of length 1",
        "Tung & Mori 2019 (SP), section 3",
        ("pairs",),
    ),
    "pkt": Loss(
        relation.probabilistic,
        "probabilities of neighbours",
        "mean p_ij log(p_ij / q_ij), p_ij ~ (cos + 1) / 2",
        "Passalis & Tefas 2018 (PKT), section 3",
        ("pairs",),
    ),
    "crd": Loss(
        relation.contrastive,
        "contrast with a memory bank of all training examples",
        "-log h(u, v) - sum log(1 - h(u, v_k)), h = e / (e + K m), e = exp(u.v / tau)",
        "Tian et al. 2020 (CRD), section 3.2",
        ("pairs",),
        "bank",
    ),
    "byot": Loss(
        branch.byot,
        "branches at shallow layers learn from the deepest, beside a loss on the answer",
        "sum_i (1 - alpha) CE(q_i, y) + alpha T^2 KL(q^T || q_i^T) + hint |F_i - F|^2",
        "Zhang et al. 2019 (BYOT), section 3.2",
        ("labels", "branches"),
        "branches",
    ),
}
