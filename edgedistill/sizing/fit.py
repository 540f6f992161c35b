"""Fits a cost model to measurements: least squares of relative errors, no coefficient below zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgedistill.sizing.work import Work

Coefficients = Mapping[str, Mapping[str, float]]

FOLDS = 10
_DIGITS = 5  # of a coefficient; the error of a model is a thousand times larger


@dataclass(frozen=True)
class Observation:
    """What some steps of a network took together; all observations of a network add up to its inference."""

    network: int
    works: tuple[Work, ...]
    value: float  # above 0


@dataclass(frozen=True)
class Fit:
    """Coefficients by kernel and count, and how well networks were predicted that the fit had not seen."""

    coefficients: Coefficients
    error_median: float  # |predicted / measured - 1|
    error_p90: float
    band: tuple[float, float]  # measured / predicted of nine networks in ten


def fit(observations: Sequence[Observation], folds: int = FOLDS) -> Fit:
    """The model of all observations, with the errors of a cross-validation over whole networks.

    Args:
        observations: of more networks than ``folds``.
        folds: parts of the networks, each of which is predicted from the others once.
    """
    networks = sorted({o.network for o in observations})
    assert len(networks) > folds, "more networks than folds"
    ratios = []  # measured / predicted
    for fold in range(folds):
        left_out = set(networks[fold::folds])
        model = _solved([o for o in observations if o.network not in left_out])
        for network in left_out:
            own = [o for o in observations if o.network == network]
            predicted = sum(value(model, work) or 0.0 for o in own for work in o.works)
            if predicted > 0:
                ratios.append(sum(o.value for o in own) / predicted)
    errors = np.abs(1 / np.asarray(ratios) - 1)
    return Fit(
        _solved(observations),
        float(np.median(errors)),
        float(np.quantile(errors, 0.9)),
        (float(np.quantile(ratios, 0.05)), float(np.quantile(ratios, 0.95))),
    )


def value(coefficients: Coefficients, work: Work) -> float | None:
    """What a step takes by a model; None: the model knows no such kernel, or not all that it does.

    A kernel that is called once is made otherwise than one that is called often: where only the other was
    measured, that stands for it.
    """
    known = coefficients.get(work.kernel) or coefficients.get(work.sibling)
    if known is None or not known.keys() >= {name for name, count in work.counts.items() if count}:
        return None
    return sum(known[name] * count for name, count in work.counts.items() if count)


def _solved(observations: Sequence[Observation]) -> Coefficients:
    """Kernels that no observation holds together are solved for apart."""
    found: dict[str, dict[str, float]] = {}
    for group in _groups(observations):
        found.update(_solve(group))
    return found


def _groups(observations: Sequence[Observation]) -> list[list[Observation]]:
    together = {tuple(sorted({w.kernel for w in o.works})) for o in observations}
    if any(len(kernels) > 1 for kernels in together):
        return [list(observations)]
    return [[o for o in observations if {w.kernel for w in o.works} == set(k)] for k in sorted(together)]


def _solve(observations: Sequence[Observation]) -> dict[str, dict[str, float]]:
    """Lawson and Hanson 1974, "Solving Least Squares Problems", chapter 23."""
    from scipy.optimize import nnls

    columns: dict[tuple[str, str], int] = {}
    for o in observations:
        for work in o.works:
            for name, count in work.counts.items():
                if count:
                    columns.setdefault((work.kernel, name), len(columns))
    matrix = np.zeros((len(observations), len(columns)))
    for row, o in enumerate(observations):
        for work in o.works:
            for name, count in work.counts.items():
                if count:
                    matrix[row, columns[work.kernel, name]] += count / o.value
    most = matrix.max(axis=0)  # columns of one size: counts of bytes and of calls are far apart
    solution, _ = nnls(matrix / most, np.ones(len(observations)), maxiter=100 * len(columns))
    found: dict[str, dict[str, float]] = {}
    for (kernel, name), column in columns.items():
        coefficient = float(f"{solution[column] / most[column]:.{_DIGITS}g}")
        found.setdefault(kernel, {})[name] = coefficient
    return found
