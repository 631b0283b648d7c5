"""The two-moment loss: exact where it is, turned round, and never less than the unavoidable."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic import deterministic_counts, mg1k, mm1k
from datagen.analytic.two_moment_loss import largest_scv, two_moment_loss
from datagen.errors import InvalidInputError

LOADS = (0.2, 0.7, 0.999999, 1.0, 1.3, 3.9, 20.0)


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("capacity", [1, 4, 30])
def test_exponential_services_are_exact(load: float, capacity: int) -> None:
    exact = mm1k(load, 1.0, capacity).loss_probability
    assert two_moment_loss(load, 1.0, capacity) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize(("load", "error"), [(0.8, 0.25), (0.9, 0.05), (1.1, 0.02), (2.0, 0.01)])
def test_constant_services_are_near_the_embedded_chain(load: float, error: float) -> None:
    exact = mg1k(1.0, deterministic_counts(load, 11)).loss_probability
    assert two_moment_loss(load, 0.0, 11) == pytest.approx(exact, rel=error)


def test_the_largest_variability_loses_just_what_is_allowed() -> None:
    rng, turned = np.random.default_rng(0), 0
    for _ in range(300):
        load, loss = float(rng.uniform(0.1, 3.0)), float(10 ** rng.uniform(-5, -0.5))
        capacity = int(rng.integers(2, 20))
        scv = largest_scv(load, loss, capacity)
        if scv is None:
            assert two_moment_loss(load, 0.0, capacity) > loss * (1 - 1e-9)
        elif np.isfinite(scv):
            turned += 1
            assert two_moment_loss(load, scv, capacity) == pytest.approx(loss, rel=1e-6)
            assert two_moment_loss(load, scv + 0.1, capacity) > loss
        else:
            assert two_moment_loss(load, 1e6, capacity) <= loss * (1 + 1e-3)
    assert turned > 50


@pytest.mark.parametrize("scv", [0.0, 0.1, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("load", [4.5, 5.0, 20.0])
def test_overload_is_never_free(load: float, scv: float) -> None:
    # Where services are nearly constant the plain formula says that nothing is lost.
    assert 1.0 - 1.0 / load <= two_moment_loss(load, scv, 10) <= 1.0


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="load must be > 0"):
        two_moment_loss(0.0, 1.0, 5)
    with pytest.raises(InvalidInputError, match=r"loss must lie in \(0, 1\)"):
        largest_scv(0.5, 1.0, 5)
