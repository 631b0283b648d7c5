"""Greedy batches of any size against Inoue's bound, which is nearly tight at high load.

Batches of one, and finite greedy batches, are cases of ``datagen theory``.
"""

from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic.batch_service import inoue_latency_bound
from datagen.deployment import BatchConfig
from datagen.simulator import simulate
from tests.datagen.simulator.accelerated import one_accelerator

PER_JOB, SETUP = 1.0, 2.0
LARGEST = 512
"""Far above the mean batch, so that the table might as well go on for ever."""

TIGHT = 0.005
"""How far the bound is above the truth at loads from 0.8 on, at most."""


def ratio(load: float, jobs: float) -> tuple[float, float]:
    """Return bound over simulated mean latency, and its relative standard error."""
    times = SETUP + PER_JOB * np.arange(1, LARGEST + 1)
    rate = load / PER_JOB
    deployment = one_accelerator(
        [times], BatchConfig(policy="dynamic", max_batch=LARGEST), rate=rate, capacity=None
    )
    measures = simulate([deployment], horizon=jobs / rate, replications=8, seed=3)
    latency, se = (float(measures.chain[name][0]) for name in ("latency", "latency_se"))
    return inoue_latency_bound(rate, PER_JOB, SETUP) / latency, se / latency


def check(load: float, jobs: float, sharp: float) -> None:
    """Check that the bound is one, and how tight it is."""
    over, se = ratio(load, jobs)
    assert se <= sharp
    assert 1.0 - 4.0 * se <= over <= 1.0 + TIGHT + 4.0 * se


def test_greedy_batches_come_close_to_the_bound() -> None:
    check(0.8, 1e7, 0.002)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load", "jobs", "sharp"),
    # Waits of one batch follow those of the last one the more closely, the higher the load.
    [(0.8, 5e7, 0.001), (0.85, 5e7, 0.0015), (0.9, 1e8, 0.0015), (0.95, 2e8, 0.0025)],
)
def test_greedy_batches_are_within_half_a_percent_of_the_bound(
    load: float, jobs: float, sharp: float
) -> None:
    check(load, jobs, sharp)
