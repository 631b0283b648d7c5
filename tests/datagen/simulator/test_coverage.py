"""Nominal 95 % intervals of the simulator cover the truth about 95 times in 100.

A standard error can be wrong without any estimate being off, so the intervals themselves are
tested: many simulations of queues that theory knows, each with intervals of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from datagen.analytic import FiniteQueueMeasures, md1k, mm1k
from datagen.distributions import Deterministic, Exponential, Law
from datagen.evaluation import pack
from datagen.simulator import SimulationOptions, simulate_batch
from datagen.theory.cases import single

LOWEST, HIGHEST = 0.92, 0.98
"""Coverage that is near enough to 95 %: the larger of two standard errors errs on the safe side."""

Z_95 = 1.959963984540054

QUEUES: dict[str, tuple[Law, Callable[[float, float, int], FiniteQueueMeasures]]] = {
    "M/M/1/K": (Exponential(mean=1.0), mm1k),
    "M/D/1/K": (Deterministic(mean=1.0), md1k),
}
"""Service laws of mean 1, for which a service rate and a service time are the same number."""


def coverage(queue: str, capacity: int, load: float, runs: int, events: float) -> dict[str, float]:
    """Share of the runs whose intervals hold the exact value, by measure."""
    law, theory = QUEUES[queue]
    exact = theory(load, 1.0, capacity)
    batch = pack([single(law, load, capacity)] * runs)  # each row has random streams of its own
    chain = simulate_batch(batch, SimulationOptions(events=events, seed=7)).chain
    truth = {
        "throughput_ratio": 1.0 - exact.loss_probability,
        "latency": exact.mean_latency,
    }
    covered = {}
    for name, value in truth.items():
        off = np.abs(chain[name] - value)
        covered[name] = float(np.mean(off <= Z_95 * chain[f"{name}_se"]))
    low, high = chain["loss_ratio_low"], chain["loss_ratio_high"]
    inside = (low <= exact.loss_probability) & (exact.loss_probability <= high)
    return covered | {"loss_ratio": float(np.mean(inside))}


@pytest.mark.parametrize(
    ("queue", "capacity", "load"),
    [("M/M/1/K", 3, 1.2), ("M/M/1/K", 5, 0.8), ("M/D/1/K", 3, 0.5), ("M/D/1/K", 5, 1.0)],
)
def test_short_runs_have_honest_intervals(queue: str, capacity: int, load: float) -> None:
    found = coverage(queue, capacity, load, runs=500, events=1e4)
    assert all(LOWEST <= share <= HIGHEST for share in found.values()), found


@pytest.mark.slow
@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("capacity", [3, 5])
@pytest.mark.parametrize("load", [0.5, 0.8, 1.0, 1.2])
def test_intervals_are_honest(queue: str, capacity: int, load: float) -> None:
    found = coverage(queue, capacity, load, runs=1_000, events=2e4)
    assert all(LOWEST <= share <= HIGHEST for share in found.values()), found
