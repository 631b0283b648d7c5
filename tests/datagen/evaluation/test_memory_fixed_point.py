"""Buffers in bytes by the papers' fixed point: exact for jobs of one size, an average otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.evaluation import pack
from datagen.evaluation.memory_fixed_point import MemoryFixedPoint
from datagen.scenarios import EarlyExitScenario


def test_jobs_of_one_size_are_counted() -> None:
    plain = EarlyExitScenario(expanded=True, counts_bytes=0.0)
    batch = pack([plain.sample(index, 2) for index in range(6)])
    in_bytes = replace(
        batch, step_demand=batch.step_demand * 4000, device_capacity=batch.device_capacity * 4000
    )
    exact = AnalyticEvaluator().evaluate(batch)
    found = MemoryFixedPoint(AnalyticEvaluator()).evaluate(in_bytes)
    for name in ("throughput_ratio", "latency"):
        assert found.chain[name] == pytest.approx(exact.chain[name], rel=1e-9)


def test_the_capacity_is_that_of_the_jobs_it_holds() -> None:
    batch = pack([EarlyExitScenario(expanded=True, counts_bytes=1.0).sample(4, 2)])

    class Recorded(AnalyticEvaluator):
        def evaluate_batch(self, batch):  # type: ignore[no-untyped-def]
            self.batch, self.measures = batch, super().evaluate_batch(batch)
            return self.measures

    inner = Recorded()
    MemoryFixedPoint(inner).evaluate(batch)
    rate = inner.measures.chain["throughput_ratio"] * batch.chain_rate
    held = rate[batch.step_chain] * inner.measures.step["sojourn"]
    device = batch.step_device_row
    mean = np.bincount(device, held * batch.step_demand) / np.bincount(device, held)
    wanted = np.maximum(batch.device_capacity / mean, 1.0)
    assert inner.batch.device_capacity == pytest.approx(wanted, rel=0.01)
    assert np.all(inner.batch.step_demand == 1)
