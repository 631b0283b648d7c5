"""Dispersion of arrivals: that of counted arrivals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.arrivals import Renewal
from datagen.evaluation import pack
from datagen.scenarios.bursty import burst_arrivals
from datagen.simulator import simulate
from surrogate.features.arrays import flow_arrays
from surrogate.features.bursts import dispersion, gap_scv
from surrogate.features.features import FeatureFunction
from surrogate.features.groups import feature_groups
from tests.surrogate.cases import single

BURSTS = burst_arrivals(2.0, 8.0, 0.25, 40.0)


def test_counts_of_bursts_disperse_as_told() -> None:
    rng = np.random.default_rng(5)
    window = 400.0  # many times the memory
    counts = []
    for _ in range(1500):
        now, phase, number = 0.0, int(rng.uniform() < 0.25), 0
        while now < window:
            stay = min(rng.exponential(1.0 / BURSTS.switch[phase]), window - now)
            number += rng.poisson(BURSTS.rates[phase] * stay)
            now, phase = now + stay, 1 - phase
        counts.append(number)
    deployment = single(arrivals=BURSTS)
    excess, memory = dispersion(pack([deployment]))
    turns = memory[0] * window
    told = 1.0 + excess[0] * (1.0 - (1.0 - np.exp(-turns)) / turns)
    # The variance of 1,500 counts is known to 1 in sqrt(750).
    assert told == pytest.approx(np.var(counts) / np.mean(counts), rel=0.15)
    assert memory[0] == pytest.approx(sum(BURSTS.switch))


def test_without_processes_gaps_tell() -> None:
    batch = pack([single(arrivals=BURSTS), single(arrivals=Renewal(mean=0.5, scv=3.0))])
    excess, memory = dispersion(batch)
    assert excess[1] == pytest.approx(2.0)
    assert memory[1] == pytest.approx(2.0)
    bare = replace(batch, chain_arrivals=None)
    assert dispersion(bare)[0] == pytest.approx(batch.chain_scv - 1.0)
    assert excess[0] > bare.chain_scv[0] - 1.0


def test_gaps_stand_for_bursts_as_far_as_queues_look_back() -> None:
    """Between those of the gaps alone, which forget a burst, and of counts over long times."""
    quick, slow = single(arrivals=BURSTS, means=(0.01,)), single(arrivals=BURSTS, means=(0.45,))
    batch = pack([quick, slow, single(arrivals=Renewal(mean=0.5, scv=3.0))])
    found = gap_scv(batch)
    assert 1.0 < found[0] < found[1] < 1.0 + dispersion(batch)[0][1]
    assert found[2] == 3.0


def test_bursts_make_jobs_wait_as_simulated() -> None:
    deployment = single(arrivals=BURSTS, means=(0.35,), capacity=40)
    measured = simulate([deployment], events=4e5, replications=1, seed=2)
    wait = measured.step["sojourn_completed"][0] - 0.35
    arrays = flow_arrays(pack([deployment]))
    told = {
        names: float(FeatureFunction(feature_groups(names))(arrays).prior.step_wait)
        for names in ((), ("batching",))
    }
    assert told["batching",] == pytest.approx(wait, rel=0.25)
    assert abs(told[()] - wait) > 2.0 * abs(told["batching",] - wait)
