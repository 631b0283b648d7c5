"""Buffers in bytes for evaluators that count jobs: the fixed point of the CEED papers.

A device with a buffer of B bytes is taken for one that holds K = max(1, B / m) jobs, where m is
the mean size of the jobs it holds: sum(a W b) / sum(a W) over its steps, a the accepted rate, W
the time spent and b the bytes of each. Rates and times follow from K, so that both are iterated.

It is a comparison, and serves models that have never seen sizes: the simulator counts bytes
exactly, and features carry the size of a step over the capacity of its device. The rate accepted
at a step is taken for that of the completed jobs of its chain, which measures tell.

References:
    The real-valued K, the damping and the limit of rounds are those of the CEED papers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation.batch import DeploymentBatch
from datagen.evaluation.effects import Effect
from datagen.evaluation.evaluator import Evaluator
from datagen.evaluation.measures import Measures

__all__ = ["MemoryFixedPoint"]

Floats = NDArray[np.float64]

DAMPING = 0.5
ROUNDS = 20
TOLERANCE = 1e-3
"""Weight of new sizes, rounds at most, and largest relative change of a size at which to stop."""


class MemoryFixedPoint(Evaluator):
    """Asks another evaluator about jobs of one unit each.

    Args:
        inner: Measures deployments whose jobs take one unit, with the time at each step.
    """

    def __init__(self, inner: Evaluator) -> None:
        self.inner = inner

    @property
    def needs_laws(self) -> bool:  # type: ignore[override]
        """Whether the inner evaluator needs them."""
        return self.inner.needs_laws

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        device, demand = batch.step_device_row, batch.step_demand
        mean = _mean_sizes(batch, np.ones(len(demand)))
        measures = None
        for _ in range(ROUNDS):
            capacity = np.maximum(batch.device_capacity / mean, 1.0)
            measures = self.inner.evaluate_batch(_in_jobs(batch, capacity))
            rate = measures.chain["throughput_ratio"] * batch.chain_rate
            told = "sojourn_completed" if "sojourn_completed" in measures.step else "sojourn"
            held = rate[batch.step_chain] * measures.step[told]
            found = _mean_sizes(batch, np.nan_to_num(held))
            moved = mean + DAMPING * (found - mean)
            change = np.abs(moved / mean - 1.0)[np.bincount(device, minlength=len(mean)) > 0]
            mean = moved
            if change.max(initial=0.0) < TOLERANCE:
                break
        assert measures is not None
        return measures


def _mean_sizes(batch: DeploymentBatch, weight: Floats) -> Floats:
    """Return the weighted mean size of the jobs at each device [D]; 1 where there are none."""
    device, devices = batch.step_device_row, len(batch.device_capacity)
    total = np.bincount(device, weights=weight, minlength=devices)
    units = np.bincount(device, weights=weight * batch.step_demand, minlength=devices)
    return np.asarray(np.where(total > 0, units / np.where(total > 0, total, 1.0), 1.0))


def _in_jobs(batch: DeploymentBatch, capacity: Floats) -> DeploymentBatch:
    return replace(
        batch,
        effects=batch.effects & ~int(Effect.DEMAND),
        device_capacity=capacity,
        step_demand=np.ones(len(batch.step_demand)),
    )
