from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import pytest

from datagen.analytic.arrival_counts import (
    ArrivalCounts,
    deterministic_counts,
    discrete_counts,
    exponential_counts,
    gamma_counts,
    lognormal_counts,
)
from datagen.analytic.markovian import mm1k
from datagen.analytic.mg1k import capacity_sweep, md1k, mg1k
from datagen.errors import InvalidInputError
from tests.datagen.analytic.phase_type import erlang_phases, mphck
from tests.helpers import assert_estimates


@pytest.mark.parametrize("capacity", [1, 2, 3, 11, 50, 1000])
@pytest.mark.parametrize("load", [1e-4, 0.05, 0.5, 0.95, 1.001, 1.5, 5.0, 50.0, 200.0])
def test_exponential_service_is_mm1k(load: float, capacity: int) -> None:
    got = mg1k(load, exponential_counts(load, capacity))
    exact = mm1k(load, 1.0, capacity)
    assert got.loss_probability == pytest.approx(exact.loss_probability, rel=1e-11, abs=1e-290)
    assert got.mean_jobs == pytest.approx(exact.mean_jobs, rel=1e-11)
    assert got.mean_latency == pytest.approx(exact.mean_latency, rel=1e-11)


@pytest.mark.parametrize("load", [0.2, 0.8, 1.0, 2.5])
@pytest.mark.parametrize("stages", [2, 5])
def test_erlang_service_is_its_markov_chain(stages: int, load: float) -> None:
    got = mg1k(load, gamma_counts(load, 1 / stages, 7))
    loss, jobs = mphck(load, erlang_phases(stages), 1, 7)
    assert got.loss_probability == pytest.approx(loss, rel=1e-9)
    assert got.mean_jobs == pytest.approx(jobs, rel=1e-9)


@pytest.mark.parametrize("load", [1e-4, 0.3, 1.0, 4.0, 50.0])
def test_constant_service_with_two_places(load: float) -> None:
    # The chain at departures has states 0 and 1, and P(0) = P(no arrival in a service) = e^-load.
    loss = (np.expm1(-load) + load) / (np.exp(-load) + load)
    got = md1k(load, 1.0, 2)
    # e^-load - 1 + load itself cancels: 8 digits are left of it at load 1e-4.
    assert got.loss_probability == pytest.approx(loss, rel=1e-13 + 1e-15 / load**2)
    assert md1k(load, 1.0, 1).loss_probability == pytest.approx(load / (1 + load), rel=1e-14)


def test_two_moments_fix_the_loss_of_two_places_at_small_load() -> None:
    # E[(A - 1)+] = load^2 E[S^2] / (2 E[S]^2) + O(load^3).
    for scv in (0.25, 2.0):
        got = mg1k(1e-6, gamma_counts(1e-6, scv, 2)).loss_probability
        assert got == pytest.approx(1e-12 * (1 + scv) / 2, rel=1e-5)


@pytest.mark.parametrize("scv", [0.0, 0.3, 1.0, 4.0])
def test_large_rooms_meet_pollaczek_khinchine(scv: float) -> None:
    load = 0.7
    counts = gamma_counts(load, scv, 1000) if scv else deterministic_counts(load, 1000)
    got = mg1k(load, counts)
    assert got.mean_jobs == pytest.approx(load + load**2 * (1 + scv) / (2 * (1 - load)), rel=1e-11)
    assert got.loss_probability < 1e-40


@pytest.mark.parametrize("capacity", [2, 40, 1000])
@pytest.mark.parametrize("scv", [0.0, 0.5, 10.0])
@pytest.mark.parametrize("load", [1e-4, 0.9, 1.0, 1.1, 50.0])
def test_measures_keep_their_bounds(load: float, scv: float, capacity: int) -> None:
    counts = gamma_counts(load, scv, capacity) if scv else deterministic_counts(load, capacity)
    got = mg1k(3.0, counts)
    assert max(0.0, 1 - 1 / load) - 1e-15 <= got.loss_probability <= load / (1 + load) + 1e-15
    assert got.utilization - 1e-12 <= got.mean_jobs <= capacity
    assert got.utilization <= 1 + 1e-12
    assert got.mean_jobs == pytest.approx(got.throughput * got.mean_latency, rel=1e-13)


def test_one_sweep_serves_every_capacity() -> None:
    loads = np.array([0.2, 0.9, 1.4, 60.0])
    capacities = [1, 2, 5, 30]
    for state in capacity_sweep(deterministic_counts(loads, 30), capacities):
        losses = state.full / (state.below.sum(axis=1) + state.full)
        alone = [md1k(load, 1.0, state.capacity).loss_probability for load in loads]
        np.testing.assert_allclose(losses, alone, rtol=1e-13)


CASES: dict[str, tuple[ArrivalCounts, Callable[[np.random.Generator, int], np.ndarray]]] = {
    "constant": (deterministic_counts(1.1, 4), lambda rng, n: np.ones(n)),
    "lognormal": (
        lognormal_counts(1.1, 1.5, 4),
        lambda rng, n: rng.lognormal(-0.5 * np.log(2.5), np.sqrt(np.log(2.5)), n),
    ),
    "two lengths": (
        discrete_counts([0.55, 2.75], [0.75, 0.25], 4),
        lambda rng, n: rng.choice([0.5, 2.5], n, p=[0.75, 0.25]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_simulated_queue_agrees(name: str) -> None:
    counts, draw = CASES[name]
    streams = np.random.SeedSequence(7).spawn(20)
    runs = [simulate(np.random.default_rng(stream), draw, 1.1, 4) for stream in streams]
    exact = mg1k(1.1, counts)
    assert_estimates([loss for loss, _ in runs], exact.loss_probability)
    assert_estimates([latency for _, latency in runs], exact.mean_latency)


def simulate(
    rng: np.random.Generator,
    draw: Callable[[np.random.Generator, int], np.ndarray],
    arrival_rate: float,
    capacity: int,
) -> tuple[float, float]:
    """Loss ratio and mean latency of one run of an M/G/1/K queue that starts empty."""
    offered = 10_000
    arrivals = np.cumsum(rng.exponential(1 / arrival_rate, offered)).tolist()
    services = draw(rng, offered).tolist()
    inside: deque[float] = deque()
    lost, total = 0, 0.0
    for now, service in zip(arrivals, services, strict=True):
        while inside and inside[0] <= now:
            inside.popleft()
        if len(inside) == capacity:
            lost += 1
            continue
        inside.append((inside[-1] if inside else now) + service)
        total += inside[-1] - now
    return lost / offered, total / (offered - lost)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: md1k(0.0, 1.0, 1), "arrival_rate must be > 0, got arrival_rate=0.0."),
        (lambda: md1k(1.0, 0.0, 1), "service_time must be > 0, got service_time=0.0."),
        (lambda: md1k(1.0, 1.0, 0), "capacity must be >= 1, got capacity=0."),
        (lambda: mg1k(-1.0, deterministic_counts(1.0, 2)), "arrival_rate must be > 0"),
        (lambda: mg1k(1.0, deterministic_counts([1.0], 2)), "counts must be of one queue"),
    ],
)
def test_bad_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        call()
