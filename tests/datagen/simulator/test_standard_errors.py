"""Standard errors by hand, and how often their intervals cover what theory says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from datagen.analytic.markovian import mm1k
from datagen.analytic.mg1k import md1k
from datagen.arrivals import Poisson
from datagen.distributions import Deterministic, Exponential, Law
from datagen.evaluation import pack
from datagen.simulator import SimulationOptions, simulate_batch
from datagen.simulator.standard_errors import rate, ratio
from tests.datagen.simulator.test_estimation import single


def test_the_two_errors_of_a_ratio_by_hand() -> None:
    # Two runs of two batches: 1 + 3 of 4 + 4, and 6 + 6 of 8 + 8.
    found = ratio(np.array([[[1.0, 3.0]], [[6.0, 6.0]]]), np.array([[[4.0, 4.0]], [[8.0, 8.0]]]))
    assert found.value[0] == pytest.approx(16 / 24)
    # Residuals of the runs: 4 - 8 * 2/3 and 12 - 16 * 2/3.
    assert found.between[0] == pytest.approx(math.sqrt(2 * 2 * (4 / 3) ** 2) / 24)
    # Of the batches, each against its own run: -1, 1, 0, 0.
    assert found.within[0] == pytest.approx(math.sqrt(2 * 2.0) / 24)
    assert found.se[0] == max(found.between[0], found.within[0])


def test_the_error_of_a_rate_is_that_of_a_mean() -> None:
    counts = np.random.default_rng(0).poisson(50, (6, 1, 32)).astype(float)
    found = rate(counts, 16.0)
    by_run = counts.sum(axis=2)[:, 0] / 16.0
    assert found.value[0] == pytest.approx(by_run.mean())
    assert found.between[0] == pytest.approx(by_run.std(ddof=1) / math.sqrt(6))
    batches = counts.reshape(6, 8, 4).sum(axis=2) / 2.0
    within = math.sqrt(batches.var(axis=1, ddof=1).mean() / 48)
    assert found.within[0] == pytest.approx(within)


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.5, 0.8, 1.0, 1.2])
@pytest.mark.parametrize("capacity", [3, 5])
@pytest.mark.parametrize("law", [Exponential(mean=1.0), Deterministic(mean=1.0)], ids=repr)
def test_intervals_cover_as_often_as_they_say(law: Law, capacity: int, load: float) -> None:
    queue = mm1k if isinstance(law, Exponential) else md1k
    exact = queue(load, 1.0, capacity)
    batch = pack([single(law, Poisson(rate=load), capacity)] * 1000)
    chain = simulate_batch(batch, SimulationOptions(engine="numba", events=20_000, seed=17)).chain
    low, high = chain["loss_ratio_low"], chain["loss_ratio_high"]
    covered = {"loss_ratio": (low <= exact.loss_probability) & (exact.loss_probability <= high)}
    for name, truth in (
        ("latency", exact.mean_latency),
        ("throughput", exact.throughput),
        ("throughput_ratio", 1.0 - exact.loss_probability),
    ):
        covered[name] = np.abs(chain[name] - truth) <= 1.96 * chain[f"{name}_se"]
    for name, hits in covered.items():
        assert 0.92 <= hits.mean() <= 0.98, (name, hits.mean())
