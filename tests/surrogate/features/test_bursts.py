"""Dispersion of arrivals: that of counted arrivals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.arrivals import Renewal
from datagen.evaluation import pack
from datagen.scenarios.bursty import burst_arrivals
from surrogate.features.bursts import dispersion
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
