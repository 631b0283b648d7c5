"""Greedy batches: against M/D/1/K, a published bound, and a simulation written for this."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic import md1k
from datagen.analytic.batch_service import greedy_batches, inoue_latency_bound
from datagen.errors import InvalidInputError
from tests.helpers import assert_estimates


@pytest.mark.parametrize("load", [0.3, 0.9, 1.6])
@pytest.mark.parametrize("capacity", [1, 2, 7])
def test_batches_of_one_are_a_queue_with_constant_service(load: float, capacity: int) -> None:
    found = greedy_batches(load / 0.25, [0.25], capacity)
    exact = md1k(load / 0.25, 0.25, capacity)
    for name in ("loss_probability", "mean_jobs", "mean_latency", "utilization"):
        assert getattr(found.queue, name) == pytest.approx(getattr(exact, name), rel=1e-10)
    assert found.mean_batch == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize(
    ("load", "setup"),
    [
        *((load, setup) for load in (0.5, 0.8) for setup in (0.01, 0.05, 0.1, 0.5)),
        *((load, setup) for load in (0.9, 0.95) for setup in (0.01, 0.05, 0.1)),
    ],
)
def test_the_published_bound_lies_just_above(load: float, setup: float) -> None:
    per_job, most = 0.1, 250
    rate = load / per_job
    found = greedy_batches(rate, per_job * np.arange(1, most + 1) + setup, most)
    assert found.queue.loss_probability < 1e-5
    ratio = inoue_latency_bound(rate, per_job, setup) / found.queue.mean_latency
    assert 1.0 - 1e-4 <= ratio <= (1.014 if load >= 0.8 else 1.07)


def simulated(
    rate: float, times: list[float], capacity: int, batches: int, draw: np.random.Generator
) -> tuple[float, float, float]:
    """Share lost, mean latency of the others, and mean batch; each arrival drawn in turn."""
    waiting = [0.0]
    now, lost, offered, latency, served = 0.0, 0, 1, 0.0, 0
    upcoming = draw.exponential(1.0 / rate)
    for _ in range(batches):
        size = min(len(waiting), len(times))
        end = now + times[size - 1]
        batch, waiting = waiting[:size], waiting[size:]
        while upcoming <= end:
            offered += 1
            if size + len(waiting) < capacity:
                waiting.append(upcoming)
            else:
                lost += 1
            upcoming += draw.exponential(1.0 / rate)
        latency += sum(end - arrival for arrival in batch)
        served += size
        now = end
        if not waiting:
            now = upcoming
            offered += 1
            waiting.append(now)
            upcoming += draw.exponential(1.0 / rate)
    return lost / offered, latency / served, served / batches


@pytest.mark.parametrize(
    ("rate", "times", "capacity"),
    [(1.5, [0.5, 0.7, 1.3], 5), (3.0, [0.5, 0.6, 0.7, 0.8], 4), (2.0, [1.0, 1.2], 8)],
    ids=["small batches", "full device", "overload"],
)
def test_limited_batches_and_rooms_agree_with_simulation(
    rate: float, times: list[float], capacity: int
) -> None:
    found = greedy_batches(rate, times, capacity)
    runs = [
        simulated(rate, times, capacity, 15_000, np.random.default_rng([9, run]))
        for run in range(12)
    ]
    loss, latency, batch = np.array(runs).T
    assert_estimates(loss, found.queue.loss_probability, max_rel_se=0.03)
    assert_estimates(latency, found.queue.mean_latency, max_rel_se=0.01)
    assert_estimates(batch, found.mean_batch, max_rel_se=0.01)


def test_a_lonely_job_is_served_alone() -> None:
    found = greedy_batches(1e-6, [0.5, 0.6], 10)
    assert found.queue.mean_latency == pytest.approx(0.5, rel=1e-5)
    assert found.mean_batch == pytest.approx(1.0, rel=1e-5)
    assert inoue_latency_bound(1e-9, 0.4, 0.1) == pytest.approx(0.5, rel=1e-6)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InvalidInputError, match="batch_times must be a list of finite times > 0"):
        greedy_batches(1.0, [0.5, -1.0], 2)
    with pytest.raises(InvalidInputError, match="capacity must be >= 1"):
        greedy_batches(1.0, [0.5], 0)
    with pytest.raises(InvalidInputError, match="arrival_rate must be > 0"):
        greedy_batches(0.0, [0.5], 2)
    with pytest.raises(InvalidInputError, match="load must be < 1"):
        inoue_latency_bound(10.0, 0.1, 0.1)
    with pytest.raises(InvalidInputError, match="setup must be >= 0"):
        inoue_latency_bound(1.0, 0.1, -0.1)
