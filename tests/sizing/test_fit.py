"""The fit: finds coefficients that made the data, none negative, and tells its error on unseen networks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistill.sizing import fit
from edgedistill.sizing.fit import Observation
from edgedistill.sizing.work import ALONE, Work, inference

TRUE = {"conv": {"calls": 40.0, "tiles": 12.5, "bytes": 0.0}, "dense": {"calls": 9.0, "rows": 3.0}}


def works(rng: np.random.Generator, true: dict[str, dict[str, float]]) -> list[Work]:
    return [
        Work((kernel,), kernel, {name: float(rng.integers(1, 1000)) for name in coefficients})
        for kernel, coefficients in true.items()
    ]


def data(
    true: dict[str, dict[str, float]], seed: int, noise: float = 0.0, together: bool = False
) -> list[Observation]:
    rng = np.random.default_rng(seed)
    found = []
    for network in range(40):
        made = works(rng, true)
        exact = [sum(true[w.kernel][n] * c for n, c in w.counts.items()) for w in made]
        values = [v * float(np.exp(noise * rng.normal())) for v in exact]
        if together:
            found.append(Observation(network, tuple(made), sum(values)))
        else:
            found += [Observation(network, (w,), v) for w, v in zip(made, values, strict=True)]
    return found


@pytest.mark.parametrize("together", [False, True])
def test_coefficients_that_made_the_data_are_found(together: bool) -> None:
    found = fit.fit(data(TRUE, 0, together=together))
    for kernel, coefficients in TRUE.items():
        assert dict(found.coefficients[kernel]) == pytest.approx(coefficients, rel=1e-3, abs=1e-3)
    assert found.error_p90 < 1e-3 and found.band == pytest.approx((1, 1), abs=1e-3)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.floats(0, 500, allow_subnormal=False), min_size=5, max_size=5),
    st.floats(0, 0.3),
    st.integers(0, 9),
)
def test_no_coefficient_is_negative(values: list[float], noise: float, seed: int) -> None:
    names = [(kernel, name) for kernel, c in TRUE.items() for name in c]
    true: dict[str, dict[str, float]] = {"conv": {}, "dense": {}}
    for (kernel, name), value in zip(names, values, strict=True):
        true[kernel][name] = value + (1.0 if name == "calls" else 0.0)
    found = fit.fit(data(true, seed, noise))
    assert all(value >= 0 for coefficients in found.coefficients.values() for value in coefficients.values())
    assert 0 < found.band[0] <= found.band[1] and 0 <= found.error_median <= found.error_p90


def test_the_band_holds_nine_of_ten_networks_that_were_not_seen() -> None:
    model = fit.fit(data(TRUE, 3, noise=0.1))
    unseen = data(TRUE, 4, noise=0.1)
    inside = 0
    for network in range(40):
        own = [o for o in unseen if o.network == network]
        ratio = sum(o.value for o in own) / sum(
            fit.value(model.coefficients, w) or 0.0 for o in own for w in o.works
        )
        inside += model.band[0] <= ratio <= model.band[1]
    assert 30 <= inside < 40
    assert 0.02 < model.error_median < 0.12


def test_a_kernel_stands_for_its_sibling_and_an_unknown_count_for_nothing() -> None:
    known = {"conv" + ALONE: {"calls": 2.0, "tiles": 3.0}}
    assert fit.value(known, Work((), "conv", {"calls": 1, "tiles": 4})) == 14
    assert fit.value(known, Work((), "conv", {"calls": 1, "bytes": 0})) == 2  # nothing of what is unknown
    assert fit.value(known, Work((), "conv", {"calls": 1, "bytes": 1})) is None
    assert fit.value(known, inference()) is None
