from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic.markovian import erlang_b, mm1k, mmck
from datagen.errors import InvalidInputError

ROUNDING = 1e-11
"""Closed forms in float64 against sums of up to 1000 terms."""


def birth_death(load: float, servers: int, capacity: int) -> np.ndarray:
    """State probabilities of M/M/c/K by detailed balance, in logarithms."""
    busy = np.minimum(np.arange(1, capacity + 1), servers)
    logs = np.concatenate([[0.0], np.cumsum(np.log(load * servers / busy))])
    weights = np.exp(logs - logs.max())
    return weights / weights.sum()


@pytest.mark.parametrize("load", [1e-3, 0.3, 0.9, 1 - 1e-7, 1.0, 1 + 1e-4, 1.3, 7.0, 500.0])
@pytest.mark.parametrize(
    ("servers", "capacity"), [(1, 1), (1, 2), (1, 11), (1, 1000), (2, 2), (3, 9), (16, 40)]
)
def test_mmck_agrees_with_detailed_balance(load: float, servers: int, capacity: int) -> None:
    probability = birth_death(load, servers, capacity)
    jobs = np.arange(capacity + 1) @ probability
    got = mmck(2.0 * load * servers, 2.0, servers, capacity)
    # At load 1 itself the closed form is read 1e-12 beside its removable singularity.
    tolerance = max(ROUNDING, 1e-12 * capacity)
    assert got.loss_probability == pytest.approx(probability[-1], rel=tolerance, abs=1e-300)
    assert got.mean_jobs == pytest.approx(jobs, rel=tolerance)
    assert got.throughput == pytest.approx(2.0 * load * servers * (1 - probability[-1]), rel=1e-12)
    assert got.mean_jobs == pytest.approx(got.throughput * got.mean_latency, rel=1e-14)
    assert got.utilization == pytest.approx(got.throughput / (2.0 * servers), rel=1e-14)


def test_mm1k_textbook_values() -> None:
    # Load 1: every state has probability 1/(K+1). Load 1/2, K = 2: 4/7, 2/7, 1/7.
    assert mm1k(3.0, 3.0, 4).loss_probability == pytest.approx(0.2, rel=1e-11)
    assert mm1k(1.0, 2.0, 2).loss_probability == pytest.approx(1 / 7, rel=1e-14)
    assert mm1k(1.0, 2.0, 2).mean_jobs == pytest.approx(4 / 7, rel=1e-14)


def test_erlang_b_known_values() -> None:
    assert erlang_b(1, 1.0) == pytest.approx(0.5)
    assert erlang_b(10, 5.0) == pytest.approx(0.018385, abs=5e-7)
    assert erlang_b(100, 84.064) == pytest.approx(0.01, abs=2e-6)
    assert erlang_b(3, 0.0) == 0.0


def test_erlang_b_broadcasts_each_number_of_servers() -> None:
    servers = np.array([1, 4, 2, 30])
    together = erlang_b(servers, np.array([[0.5], [20.0]]))
    assert together.shape == (2, 4)
    alone = [[float(erlang_b(c, a)) for c in servers] for a in (0.5, 20.0)]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 1.0, 1, 1), "arrival_rate must be > 0, got arrival_rate=0.0."),
        ((1.0, -1.0, 1, 1), "service_rate must be > 0, got service_rate=-1.0."),
        ((1.0, 1.0, 0, 1), "servers must be >= 1, got servers=0."),
        ((1.0, 1.0, 2, 1), "capacity must be >= 2, got capacity=1."),
        ((float("nan"), 1.0, 1, 1), "arrival_rate must be > 0"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple[float, float, int, int], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        mmck(*arguments)
