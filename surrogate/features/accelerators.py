"""Accelerators of packed deployments as queues for the kernel, and what it says of them.

Samples share batches if they pass the same segments of the same network on the same accelerator:
they are a *line*. A network that is cut in two ways has two lines on an accelerator that both
visit.

Letters: Q accelerators that are visited, I steps there (parts of lines), S steps, D devices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation import DeploymentBatch
from datagen.evaluation.fields import starts_of
from datagen.npu import BATCH_POLICIES
from surrogate.features.batch_queue_kernel import (
    MOST_JOBS,
    Accelerators,
    Said,
    Scratch,
    batch_queues,
)
from surrogate.features.bursts import dispersion

__all__ = ["Visits", "is_accelerator", "said_of", "visits"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STATIC = BATCH_POLICIES.index("static")

PARAMETERS = 5
"""Numbers that say how an accelerator forms batches, see ``DeploymentBatch.batching_parameter``."""

LEAST_RATE = 1e-12
"""Keeps shares of accelerators that nobody reaches away from 0/0 [1/s]."""


def is_accelerator(batch: DeploymentBatch) -> NDArray[np.bool_]:
    """Return which devices form batches.

    Args:
        batch: Packed deployments.

    Returns:
        Flags [D].
    """
    if batch.batching_start is None:
        return np.zeros(len(batch.device_speed), dtype=bool)
    return np.diff(batch.batching_start) > 0


@dataclass(frozen=True, kw_only=True)
class Visits:
    """Steps on accelerators, by accelerator, line and depth.

    Args:
        step: Row of each in the batch [I].
        queue: Its accelerator among those visited [I].
        line: Its line [I].
        device: Device row of each accelerator [Q].
        line_queue: Accelerator of each line [lines].
        parameter: Policy, largest batch, time-out [s], compaction, expectation [Q, 5].
        table: Where the times of each step begin [I].
        seconds: Those times [s].
    """

    step: Ints
    queue: Ints
    line: Ints
    device: Ints
    line_queue: Ints
    parameter: Floats
    table: Ints
    seconds: Floats

    def times(self, size: Floats | float) -> Floats:
        """Return the time of each step in batches of a size, cut to what is possible.

        Args:
            size: Samples in a batch, of each step or all.

        Returns:
            Times [s] [I].
        """
        largest = self.parameter[self.queue, 1]
        whole = np.clip(np.asarray(size), 1, largest).astype(np.int64)
        return np.asarray(self.seconds[self.table + whole - 1])


def visits(batch: DeploymentBatch) -> Visits | None:
    """Find the steps on accelerators.

    Args:
        batch: Packed deployments whose visits are one step each.

    Returns:
        The visits, or None where there are none.
    """
    if batch.table_start is None or batch.table_seconds is None or not len(batch.table_seconds):
        return None
    assert batch.batching_start is not None  # they come together
    assert batch.batching_parameter is not None
    step = np.flatnonzero(np.diff(batch.table_start))
    device = batch.step_device_row[step]
    first, last = (places[step] for places in _segments(batch))
    model = batch.chain_model[batch.step_chain[step]]
    order = np.lexsort((batch.step_mean[step], last, first, model, device))
    step, device = step[order], device[order]
    new_queue = np.append(True, device[1:] != device[:-1])
    kind = np.stack([model, first, last])[:, order]
    new_line = new_queue | np.append(True, (kind[:, 1:] != kind[:, :-1]).any(axis=0))
    queue, line = np.cumsum(new_queue) - 1, np.cumsum(new_line) - 1
    own = batch.batching_start[device[new_queue]]
    return Visits(
        step=step,
        queue=queue,
        line=line,
        device=device[new_queue],
        line_queue=queue[new_line],
        parameter=batch.batching_parameter[own[:, None] + np.arange(PARAMETERS)],
        table=batch.table_start[step],
        seconds=np.asarray(batch.table_seconds),
    )


def _segments(batch: DeploymentBatch) -> tuple[Ints, Ints]:
    """Return the first fragment of each step in its path, and the one after its last [S].

    Where fragments are absent, every step is taken for one.
    """
    start = batch.fragment_start
    if start is None:
        start = np.arange(len(batch.step_mean) + 1)
    before = np.repeat(start[batch.step_start[:-1]], batch.counts("step"))
    return start[:-1] - before, start[1:] - before


def said_of(batch: DeploymentBatch, found: Visits, rate: Floats) -> tuple[Accelerators, Said]:
    """Ask the kernel.

    Args:
        batch: Packed deployments.
        found: Their visits.
        rate: Samples that come to each visit [1/s] [I].

    Returns:
        What it was asked, and its answer.
    """
    rate = np.maximum(rate, LEAST_RATE)
    queues, lines = len(found.device), len(found.line_queue)
    of_line = np.asarray(np.bincount(found.line, weights=rate, minlength=lines), dtype=float)
    of_queue = np.asarray(np.bincount(found.queue, weights=rate, minlength=queues), dtype=float)
    excess, memory = _dispersion(batch, found, rate, of_queue)
    policy, largest, timeout, compacts, _ = found.parameter.T
    demand = np.bincount(found.queue, weights=rate * batch.step_demand[found.step]) / of_queue
    room = batch.device_capacity[found.device] / np.maximum(demand, 1.0)
    given = Accelerators(
        rate=of_queue,
        capacity=np.clip(room, 1, MOST_JOBS).astype(np.int64),
        max_batch=largest.astype(np.int64),
        full=policy == STATIC,
        timeout=timeout.copy(),
        compacts=compacts > 0,
        excess=excess,
        memory=memory,
        first_line=starts_of(np.bincount(found.line_queue, minlength=queues)),
        share=of_line / of_queue[found.line_queue],
        first_part=starts_of(np.bincount(found.line, minlength=lines)),
        leaving=rate / of_line[found.line],
        table=found.table,
        seconds=found.seconds,
    )
    figures = np.zeros((6, queues))
    said = Said(
        loss=figures[0],
        wait=figures[1],
        batch=figures[2],
        company=figures[3],
        busy=figures[4],
        length=figures[5],
        with_line=np.zeros(lines),
        own=np.zeros(len(rate)),
    )
    batch_queues(given, Scratch.new(), said)
    return given, said


def _dispersion(
    batch: DeploymentBatch, found: Visits, rate: Floats, of_queue: Floats
) -> tuple[Floats, Floats]:
    """Return excess and memory of what comes to each accelerator [Q], as if nothing smoothed it."""
    excess, memory = dispersion(batch)
    chain = batch.step_chain[found.step]
    # A random share of a stream has that share of its excess; streams add up by their shares.
    pair, place = np.unique(np.stack([found.queue, chain]), axis=1, return_inverse=True)
    of_pair = np.bincount(place.ravel(), weights=rate)
    queue, chain = pair
    weight = of_pair**2 / np.maximum(batch.chain_rate[chain], LEAST_RATE) * excess[chain]
    total = np.bincount(queue, weights=weight, minlength=len(of_queue)) / of_queue
    size = np.bincount(queue, weights=np.abs(weight), minlength=len(of_queue))
    faded = np.bincount(queue, weights=np.abs(weight) * memory[chain], minlength=len(of_queue))
    mean = of_pair * memory[chain]
    plain = np.bincount(queue, weights=mean, minlength=len(of_queue)) / of_queue
    fading = np.where(size > 0, faded / np.where(size > 0, size, 1.0), plain)
    return np.maximum(total, 0.0), np.maximum(fading, LEAST_RATE)
