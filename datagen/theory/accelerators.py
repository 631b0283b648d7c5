"""Accelerators: one sample at a time, where segments and exits make an M/G/1/K, and greedy batches.

References:
    Takagi, Queueing Analysis, vol. 2: Finite Systems, 1993, ch. 5.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datagen.analytic.arrival_counts import discrete_counts
from datagen.analytic.batch_service import greedy_batches
from datagen.analytic.mg1k import mg1k
from datagen.arrivals import Poisson
from datagen.deployment import BatchConfig, Chain, Deployment, Device, Exit, Fragment, Npu, Problem
from datagen.distributions import Deterministic
from datagen.exits import ExitMix
from datagen.npu import BatchTable
from datagen.theory.cases import Case, Exact, finite_queue

__all__ = ["accelerator_cases"]


def accelerator_cases() -> tuple[Case, ...]:
    """Return the cases of one accelerator."""
    alone = BatchConfig(policy="exit_aware", max_batch=1, timeout=0.0)
    return _one_by_one(BatchConfig()), _one_by_one(alone), _greedy()


def _accelerator(
    seconds: Sequence[Sequence[float]],
    config: BatchConfig,
    rate: float,
    capacity: int,
    mix: tuple[float, ...],
) -> Deployment:
    """Return one accelerator d with one chain c, and a classifier behind each fragment."""
    table = BatchTable(seconds=np.array(seconds))
    fragments = tuple(
        Fragment(name=f"f{k}", service=Deterministic(mean=1.0), exit=Exit() if k else None)
        for k in reversed(range(table.segments))
    )
    chain = Chain(name="c", arrivals=Poisson(rate=rate), fragments=fragments)
    device = Device(name="d", capacity=capacity, npu=Npu(table=table))
    return Deployment(
        problem=Problem(devices=(device,), chains=(chain,)),
        placement={"c": (("d",) * table.segments,)},
        exits={"c": ExitMix(p=mix)},
        batching={"d": config},
    )


def _one_by_one(config: BatchConfig) -> Case:
    """A sample takes all segments up to its exit in one go: a service of two lengths."""
    rate, capacity, first, second, leave = 1.0, 4, 0.4, 0.8, 0.5
    lengths, shares = [first, first + second], [leave, 1.0 - leave]
    queue = mg1k(rate, discrete_counts([rate * x for x in lengths], shares, capacity))
    deployment = _accelerator([[first], [second]], config, rate, capacity, (leave, 1.0 - leave))
    return Case(
        name=f"M/G/1/K of two segments, {config.policy} batches of 1, K={capacity}",
        deployment=deployment,
        exact=finite_queue(queue),
    )


def _greedy() -> Case:
    rate, capacity, times = 2.5, 8, (0.75, 1.0, 1.25, 1.5)
    found = greedy_batches(rate, times, capacity)
    config = BatchConfig(policy="dynamic", max_batch=len(times))
    return Case(
        name=f"M/D/1/K greedy batches of up to {len(times)}, K={capacity}",
        deployment=_accelerator([times], config, rate, capacity, (1.0,)),
        exact=(*finite_queue(found.queue), Exact(measure="batch", value=found.mean_batch)),
    )
