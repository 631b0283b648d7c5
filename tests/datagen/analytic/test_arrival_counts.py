from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import gammaln

from datagen.analytic.arrival_counts import (
    ArrivalCounts,
    deterministic_counts,
    discrete_counts,
    exponential_counts,
    gamma_counts,
    lognormal_counts,
    mixed_counts,
)
from datagen.errors import InvalidInputError

Builder = Callable[[float, int], ArrivalCounts]

BUILDERS: dict[str, Builder] = {
    "deterministic": deterministic_counts,
    "exponential": exponential_counts,
    "erlang-4": lambda load, capacity: gamma_counts(load, 0.25, capacity),
    "gamma scv 10": lambda load, capacity: gamma_counts(load, 10.0, capacity),
    "lognormal scv 0.1": lambda load, capacity: lognormal_counts(load, 0.1, capacity),
    "lognormal scv 4": lambda load, capacity: lognormal_counts(load, 4.0, capacity),
    "two lengths": lambda load, capacity: discrete_counts(
        [0.5 * load, 3.0 * load], [0.8, 0.2], capacity
    ),
}


@pytest.mark.parametrize("load", [1e-4, 0.3, 1.0, 8.0, 50.0])
@pytest.mark.parametrize("name", BUILDERS)
def test_the_three_parts_fit_together(name: str, load: float) -> None:
    counts = BUILDERS[name](load, 60)
    assert counts.capacity == 60
    assert counts.load == pytest.approx(load, rel=1e-12)
    assert counts.none == pytest.approx(1.0 - counts.exceed[0], rel=1e-9, abs=1e-15)
    np.testing.assert_array_equal(counts.excess[0], counts.load)
    # E[(A - n)+] - E[(A - n - 1)+] = P(A > n), to the rounding of the larger terms.
    steps = counts.excess[:-1] - counts.excess[1:]
    np.testing.assert_allclose(steps, counts.exceed, rtol=1e-11, atol=1e-15 * load)
    assert np.all(np.diff(counts.exceed) <= 0)
    assert np.all(counts.excess >= 0)


@pytest.mark.parametrize("load", [1e-4, 0.3, 1.0, 8.0, 50.0])
def test_tails_are_accurate_however_small(load: float) -> None:
    # Sums of positive terms from the far end keep the relative accuracy of the smallest tail.
    n = np.arange(3000)
    poisson = np.exp(n * np.log(load) - load - gammaln(n + 1))
    more = 0.5 * load / (1 + 0.5 * load)
    negative_binomial = np.exp(np.log(n + 1) + n * np.log(more) - 2 * np.log1p(0.5 * load))
    cases = (
        (deterministic_counts(load, 60), poisson),
        (gamma_counts(load, 0.5, 60), negative_binomial),
    )
    for counts, probability in cases:
        exceed = np.cumsum(probability[::-1])[::-1][1:]
        excess = np.cumsum(exceed[::-1])[::-1]
        normal = exceed[:60] > 1e-290
        # The logarithms, up to 700, are rounded at 1e-16 and so cost the references 1e-13.
        np.testing.assert_allclose(counts.exceed[normal], exceed[:60][normal], rtol=1e-11)
        np.testing.assert_allclose(counts.excess[:60][normal], excess[:60][normal], rtol=1e-11)


def test_a_mixture_averages_its_parts() -> None:
    parts = [deterministic_counts(0.5, 9), deterministic_counts(3.0, 9)]
    mixed = mixed_counts(parts, [0.8, 0.2])
    direct = discrete_counts([0.5, 3.0], [0.8, 0.2], 9)
    for field in ("load", "none", "exceed", "excess"):
        np.testing.assert_allclose(getattr(mixed, field), getattr(direct, field), rtol=1e-13)


def test_lognormal_meets_constant_service_as_its_scv_falls() -> None:
    near, limit = lognormal_counts(0.8, 1e-8, 20), deterministic_counts(0.8, 20)
    np.testing.assert_allclose(near.exceed, limit.exceed, rtol=1e-5)


def test_lognormal_quadrature_has_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    coarse = lognormal_counts(0.9, 2.0, 300)
    monkeypatch.setattr("datagen.analytic.arrival_counts._POINTS_PER_WIDTH", 3.0)
    fine = lognormal_counts(0.9, 2.0, 300)
    np.testing.assert_allclose(coarse.excess, fine.excess, rtol=1e-11)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: deterministic_counts(0.0, 3), r"load must be in \(0, 200\], got load=0.0."),
        (lambda: deterministic_counts(201.0, 3), r"load must be in \(0, 200\]"),
        (lambda: deterministic_counts(1.0, 0), "capacity must be >= 1, got capacity=0."),
        (lambda: gamma_counts(1.0, 0.0, 3), "scv must be > 0, got scv=0.0."),
        (lambda: lognormal_counts(1.0, -1.0, 3), "scv must be > 0"),
        (lambda: discrete_counts([1.0, 2.0], [0.5, 0.4], 3), "sum to 1"),
        (lambda: discrete_counts([1.0, 2.0], [1.0], 3), "probabilities must have shape"),
        (lambda: mixed_counts([], []), "parts must not be empty"),
    ],
)
def test_bad_arguments_are_named(build: Callable[[], ArrivalCounts], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        build()
