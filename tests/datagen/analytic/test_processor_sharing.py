"""Processor sharing: insensitivity, checked by chains whose service has phases."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from datagen.analytic.processor_sharing import mg1_ps_latency, mgck_ps
from datagen.errors import InvalidInputError
from tests.datagen.analytic.phase_type import erlang_phases

Array = NDArray[np.float64]

HYPEREXPONENTIAL = (np.array([0.9, 0.1]), np.diag([-2.0, -0.1818181818181818]))
"""Mean 1, scv 5."""


def shared(
    rate: float, phases: tuple[Array, Array], servers: int, capacity: int
) -> tuple[float, float]:
    """Loss and mean jobs of M/PH/c/K-PS by its chain: how many jobs are in each phase."""
    start, generator = phases
    finish = -generator.sum(axis=1)
    kinds = range(start.size)
    room = range(capacity + 1)
    states = [n for n in itertools.product(room, repeat=start.size) if sum(n) <= capacity]
    index = {state: row for row, state in enumerate(states)}
    flow = np.zeros((len(states), len(states)))
    for state, row in index.items():
        total = sum(state)
        speed = min(1.0, servers / total) if total else 0.0
        for i in kinds:
            step = np.eye(start.size, dtype=int)[i]
            if total < capacity:
                flow[row, index[tuple((state + step).tolist())]] += rate * start[i]
            if state[i]:
                left = state - step
                flow[row, index[tuple(left.tolist())]] += speed * state[i] * finish[i]
                for j in kinds:
                    if j != i:
                        target = tuple((left + np.eye(start.size, dtype=int)[j]).tolist())
                        flow[row, index[target]] += speed * state[i] * generator[i, j]
    balance = flow.T - np.diag(flow.sum(axis=1))
    balance[0] = 1.0
    probability = np.linalg.solve(balance, np.eye(len(states))[0])
    jobs = np.array([sum(state) for state in states])
    return float(probability[jobs == capacity].sum()), float(probability @ jobs)


@pytest.mark.parametrize("phases", [erlang_phases(2), HYPEREXPONENTIAL], ids=["erlang", "hyper"])
@pytest.mark.parametrize(("servers", "capacity"), [(1, 1), (1, 6), (2, 5)])
@pytest.mark.parametrize("load", [0.6, 1.4])
def test_only_the_mean_service_counts(
    phases: tuple[Array, Array], servers: int, capacity: int, load: float
) -> None:
    rate = load * servers
    loss, jobs = shared(rate, phases, servers, capacity)
    (found,) = mgck_ps([rate], [1.0], servers, capacity)
    assert found.loss_probability == pytest.approx(loss, rel=1e-10)
    assert found.mean_jobs == pytest.approx(jobs, rel=1e-10)
    assert found.utilization == pytest.approx(load * (1.0 - loss), rel=1e-10)


def test_classes_stay_as_long_as_their_work() -> None:
    """A hyperexponential mix read as two classes of one exponential law each."""
    rates, means = [0.9, 0.1], [0.5, 5.5]
    loss, jobs = shared(1.0, HYPEREXPONENTIAL, 1, 4)
    short, long = mgck_ps(rates, means, 1, 4)
    assert short.mean_jobs + long.mean_jobs == pytest.approx(jobs, rel=1e-9)
    assert short.loss_probability == long.loss_probability == pytest.approx(loss, rel=1e-9)
    assert long.mean_latency / short.mean_latency == pytest.approx(11.0)


def test_unlimited_room_is_the_limit() -> None:
    (found,) = mgck_ps([0.7], [1.0], 1, 200)
    assert mg1_ps_latency(0.7, 1.0, 1.0) == pytest.approx(found.mean_latency, rel=1e-12)
    assert mg1_ps_latency(0.7, 1.0, [0.5, 3.0]) == pytest.approx([0.5 / 0.3, 10.0])


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InvalidInputError, match="load must be < 1"):
        mg1_ps_latency(2.0, 0.5, 1.0)
    with pytest.raises(InvalidInputError, match="work must be >= 0"):
        mg1_ps_latency(1.0, 0.5, [-1.0])
    with pytest.raises(InvalidInputError, match="mean_services must be one per class"):
        mgck_ps([1.0, 2.0], [1.0], 1, 1)
    with pytest.raises(InvalidInputError, match="mean_services must be > 0"):
        mgck_ps([1.0], [0.0], 1, 1)
    with pytest.raises(InvalidInputError, match="arrival_rates must be > 0"):
        mgck_ps([-1.0], [1.0], 1, 1)
