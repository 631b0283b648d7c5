"""Jobs that leave an accelerator together come to the next device together.

A job that comes with g - 1 others, g the size of its *bunch*, finds on average half of them served
before it on a single server. That is added to the wait that the plain prior sees, which takes jobs
to come one by one; those of other bunches find what is left of this one. A bunch is lost in part
where it does not fit: its p-th job sees a buffer that is smaller by p - 1.

Over long times bunches make arrivals no more irregular: an accelerator that gathers jobs sends on
what has come, only later. So their delay does not grow with the load, as it would were bunches
independent of each other.

References:
    Burke, Delays in single-server queues with batch input, Operations Research 23, 1975 (the mean
    place within a bunch).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datagen.evaluation import DeploymentBatch
from surrogate.features.accelerators import Visits
from surrogate.features.arrays import FlowArrays
from surrogate.features.prior import Prior
from surrogate.features.queue import QueueFormula

__all__ = ["Bunches", "bunched", "bunches"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PLACES = (0.5 - 0.5 / 3.0**0.5, 0.5 + 0.5 / 3.0**0.5)
"""Where in a bunch its loss is looked at: the nodes of Gauss's rule with two."""

LEAST_PASSED = 1e-6
"""Keeps shares of what passes away from 0/0."""

LEAST_RATE = 1e-12
"""Keeps shares of lines that nobody takes away from 0/0 [1/s]."""

LEAST_SUM = 1e-3
"""Smallest sum of the variabilities of arrivals and service."""


@dataclass(frozen=True, kw_only=True)
class Bunches:
    """In which company jobs come to the steps of deployments.

    Args:
        size: How many come at once, as those who come see it, >= 1 [S].
        origin: Number of the stream of bunches that a step's jobs are part of; those that come one
            by one are a stream for each step [S].
    """

    size: Floats
    origin: Ints


def bunches(batch: DeploymentBatch, found: Visits, company: Floats, rate: Floats) -> Bunches:
    """Find out how many come to each step at once.

    Args:
        batch: Packed deployments.
        found: Their visits to accelerators.
        company: Samples in the batch of a visit [I].
        rate: Samples that come to each visit [1/s] [I].

    Returns:
        The bunches.
    """
    size, origin = np.ones(len(batch.step_mean)), np.arange(len(batch.step_mean))
    last = np.zeros(len(size), dtype=bool)
    last[batch.step_start[1:] - 1] = True
    goes = np.flatnonzero(~last[found.step])
    following = found.step[goes] + 1
    to = np.stack([found.line[goes], batch.step_device_row[following]])
    pair, place = np.unique(to, axis=1, return_inverse=True)
    place = place.ravel()
    together = np.bincount(place, weights=rate[goes], minlength=pair.shape[1])
    of_line = np.bincount(found.line, weights=rate)
    share = together / np.maximum(of_line[pair[0]], LEAST_RATE)
    size[following] += (company[goes] - 1.0) * np.minimum(share[place], 1.0)
    origin[following] = len(size) + place
    return Bunches(size=size, origin=origin)


def bunched(arrays: FlowArrays, prior: Prior, found: Bunches) -> Prior:
    """Let jobs wait for their bunch, and bunches be too large for what room there is.

    Args:
        arrays: The deployments.
        prior: Of jobs that come one by one.
        found: How they come.

    Returns:
        The prior with other losses and waits; those at accelerators mean nothing.
    """
    row = arrays.step_row.cpu().numpy()
    size = torch.from_numpy(found.size[row]).to(prior.step_wait)
    if not bool((size > 1.0).any()):
        return prior
    _, streams = np.unique(found.origin[row], return_inverse=True)
    stream = torch.from_numpy(streams).to(arrays.step_device)
    capacity, servers = arrays.at_steps(prior.capacity), arrays.at_steps(arrays.device_servers)
    behind = 0.5 * (torch.minimum(size, capacity) - servers).clamp_min(0.0) / servers
    delay = behind * arrays.step_mean
    # What is left of a bunch at any time, and of those of other streams.
    left = prior.step_rate * arrays.step_mean / servers * delay
    of_stream = left.new_zeros(int(stream.max()) + 1).index_add(0, stream, left)
    others = arrays.at_steps(arrays.sum_to_devices(left)) - of_stream[stream]
    passed = (1.0 - prior.step_loss) * _passed_bunches(arrays, prior, size)
    return replace(
        prior, step_loss=1.0 - passed, step_wait=prior.step_wait + delay + others.clamp_min(0.0)
    )


@cache
def _queue() -> QueueFormula:
    """Return the formula; its table takes longer to build than to ask."""
    return QueueFormula()


def _passed_bunches(arrays: FlowArrays, prior: Prior, size: Tensor) -> Tensor:
    """Return how much smaller bunches make the share that passes [S]."""
    scv = (prior.arrival_scv + prior.scv).clamp_min(LEAST_SUM) - 1.0
    load, scv, capacity, servers = (
        arrays.at_steps(values)
        for values in (prior.load, scv, prior.capacity, arrays.device_servers)
    )
    # In the middle of a bunch fewer find room than at its head; from its end on, nobody does.
    rooms = [capacity, *(capacity - place * (size - 1.0) for place in PLACES)]
    number, room = len(rooms), torch.cat(rooms)
    queue = _queue().to(room.device)  # asked once for all places
    loss, _ = queue(
        load.repeat(number), scv.repeat(number), room.clamp_min(1.0), servers.repeat(number)
    )
    alone, *inside = ((1.0 - loss) * room.clamp(0.0, 1.0)).chunk(number)
    passed: Tensor = torch.stack(inside).mean(dim=0) / alone.clamp_min(LEAST_PASSED)
    return passed.clamp_max(1.0)
