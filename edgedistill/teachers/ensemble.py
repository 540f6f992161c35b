"""Several teachers that answer as one: their answers averaged, by weight or by who knows an example."""

# Legend: T teachers, N examples, C classes.

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgedistill.teachers.types import Answers, Teacher

Array = NDArray[np.float64]
# logits [T,N,C], weights [T] that add up to 1, labels [N] (-1: none) -> logits [N,C]
Combine = Callable[[Array, Array, NDArray[np.int64]], Array]
_SEPARATOR = ":"  # "1:layer3" is layer3 of teachers[1]; layers of the first have their own names


def mean(logits_TNC: Array, weights_T: Array, labels_N: NDArray[np.int64]) -> Array:
    """``log sum_t w_t p_t``: the arithmetic mean of probabilities (Hinton et al. 2015, section 1)."""
    return _log_mean(_log_softmax(logits_TNC), np.log(weights_T)[:, None])


def logits(logits_TNC: Array, weights_T: Array, labels_N: NDArray[np.int64]) -> Array:
    """``sum_t w_t v_t``: the geometric mean of probabilities, but for a constant that softmax ignores."""
    return np.tensordot(weights_T, logits_TNC, 1)


def confidence(logits_TNC: Array, weights_T: Array, labels_N: NDArray[np.int64]) -> Array:
    """``log sum_t w_t c_t p_t / sum_t w_t c_t``: who knows an example has a say in it.

    ``c_t = (1 - exp(L_t) / sum_s exp(L_s)) / (T - 1)`` with ``L_t`` the cross-entropy of teacher t with
    the label (Zhang et al. 2022, CA-MKD, "weighting on the predictions"); without a label, the entropy
    of its answer. The paper weighs the teachers' losses at a temperature: at temperature 1 that is the
    same gradient, at others the weighted mean is softened instead of each answer.
    """
    log_p = _log_softmax(logits_TNC)
    return _log_mean(log_p, np.log(weights_T)[:, None] + np.log(confidences(log_p, labels_N)))


def confidences(log_p_TNC: Array, labels_N: NDArray[np.int64]) -> Array:
    """``c_t`` of ``confidence``, [T,N]; they add up to 1."""
    teachers_count = len(log_p_TNC)
    if teachers_count == 1:
        return np.ones(log_p_TNC.shape[:2])
    of_label = -np.take_along_axis(log_p_TNC, np.maximum(labels_N, 0)[None, :, None], axis=2)[..., 0]
    entropy = -(np.exp(log_p_TNC) * log_p_TNC).sum(2)
    loss_TN = np.where(labels_N >= 0, of_label, entropy)
    share_TN = np.exp(_log_softmax(loss_TN.T).T)
    return np.asarray(np.maximum(1 - share_TN, np.finfo(np.float64).tiny) / (teachers_count - 1))


COMBINE: Mapping[str, Combine] = {"mean": mean, "logits": logits, "confidence": confidence}
_READS_LABELS = ("confidence",)


def combined(members: Sequence[Teacher], weights: Sequence[float], how: str) -> Teacher:
    """One teacher of several, which must know the same classes in the same order.

    Its layers are those of the first by their own names and those of the others behind their place in
    the list, as in ``1:layer3``; a name that is looked for by resolution is the first teacher's, if it
    has that resolution.

    Args:
        members: the teachers.
        weights: one each, above 0.
        how: a row of COMBINE.
    """
    rule, weights_T = COMBINE[how], np.asarray(weights, np.float64) / np.sum(weights)
    decides = [how, *(f"{m.fingerprint} {w!r}" for m, w in zip(members, weights_T.tolist(), strict=True))]
    counts = [member.parameters for member in members]
    known = [count for count in counts if count is not None]

    def one(labels: NDArray[np.int64] | None) -> Teacher:
        def join(each: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
            stacked = np.stack(each).astype(np.float64)
            truth = np.full(stacked.shape[1], -1, np.int64) if labels is None else labels
            return rule(stacked, weights_T, truth).astype(np.float32)

        def answer(images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
            return join([member.logits(images_NHWC) for member in members])

        def inside(images_NHWC: NDArray[np.uint8], names: Sequence[str] | None) -> Answers:
            each: list[NDArray[np.float32]] = []
            features: dict[str, NDArray[np.float32]] = {}
            for i in reversed(range(len(members))):  # the first one's layers are the last ones looked at
                found = _ask(members[i], images_NHWC, None if names is None else _own(names, i))
                each.insert(0, found.logits)
                features.update({_named(layer, i): value for layer, value in found.features.items()})
            return Answers(join(each), features)

        return Teacher(
            name=" + ".join(member.name for member in members),
            logits=answer,
            fingerprint=hashlib.sha256("\n".join(decides).encode()).hexdigest(),
            parameters=sum(known) if len(known) == len(counts) else None,
            notes=tuple(f"{member.name}: {note}" for member in members for note in member.notes),
            inside=inside if any(member.inside for member in members) else None,
            members=tuple(members),
            knowing=one if how in _READS_LABELS else None,
        )

    return one(None)


def _ask(member: Teacher, images_NHWC: NDArray[np.uint8], names: Sequence[str] | None) -> Answers:
    if member.inside is None or names == ():
        return Answers(member.logits(images_NHWC), {})
    return member.inside(images_NHWC, names)


def _named(layer: str, place: int) -> str:
    return f"{place}{_SEPARATOR}{layer}" if place else layer


def _own(names: Sequence[str], place: int) -> tuple[str, ...]:
    """The layers among ``names`` that are of the teacher at ``place``, as it calls them itself."""
    begins = f"{place}{_SEPARATOR}"
    if place:
        return tuple(name.removeprefix(begins) for name in names if name.startswith(begins))
    return tuple(name for name in names if not re.match(rf"[1-9]\d*{_SEPARATOR}", name))


def _log_softmax(values: Array) -> Array:
    shifted = values - values.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _log_mean(log_p_TNC: Array, log_weights_TN: Array) -> Array:
    """``log sum_t w_t p_t / sum_t w_t``, without a probability that becomes 0."""
    terms = log_p_TNC + log_weights_TN[..., None]
    highest = terms.max(axis=0)
    return _log_softmax(highest + np.log(np.exp(terms - highest).sum(axis=0)))
