"""Whose turn it is: how the waits of those who share an accelerator differ from their mean.

Where full batches start alone, the samples of slow lines wait longer for company; where deadlines
decide, those with late ones wait for the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtrc

from datagen.evaluation import DeploymentBatch
from datagen.evaluation.fields import ranges
from datagen.npu import BATCH_POLICIES
from surrogate.features.accelerators import Visits
from surrogate.features.batch_queue_kernel import Accelerators, Said

__all__ = ["precedence", "waits"]

Floats = NDArray[np.float64]

BY_DEADLINE = BATCH_POLICIES.index("edf")

MOST_BUSY = 0.95
"""Share of time that is counted as taken at most: waits behind others grow beyond all bounds."""

LEAST_WEIGHT = 1e-12
"""Keeps means over accelerators that nobody reaches away from 0/0 [1/s]."""


def waits(
    batch: DeploymentBatch, found: Visits, given: Accelerators, said: Said, rate: Floats
) -> Floats:
    """Return how long samples wait until their batch starts.

    Args:
        batch: Packed deployments.
        found: Their visits to accelerators.
        given: The accelerators as queues.
        said: What is known of these, mean waits among it.
        rate: Samples that come to each visit [1/s] [I].

    Returns:
        Waits [s] [I].
    """
    mean = said.wait[found.queue] * _behind_earlier(batch, found, said, rate)
    return np.asarray(np.maximum(mean + _of_slow_lines(found, given, said), 0.0))


def precedence(batch: DeploymentBatch, found: Visits, said: Said, rate: Floats) -> Floats:
    """Return how far the others on an accelerator are ahead where deadlines decide.

    That is the mean over its samples of the difference of deadlines over the time to wait and be
    served, cut to [-1, 1]; no deadline is later than any.

    Args:
        batch: Packed deployments.
        found: Their visits to accelerators.
        said: What is known of the accelerators.
        rate: Samples that come to each visit [1/s] [I].

    Returns:
        From -1, before all others, to 1, behind them [I].
    """
    deadline = batch.chain_deadline[batch.step_chain[found.step]]
    scale = (said.wait + said.length)[found.queue]
    last = np.where(np.isnan(deadline), np.inf, deadline) / scale
    begin = np.append(np.flatnonzero(np.diff(found.queue, prepend=-1)), len(rate))
    sizes = np.diff(begin)[found.queue]
    mine = np.repeat(np.arange(len(rate)), sizes)
    other = ranges(begin[found.queue], sizes)
    ahead = np.zeros(len(mine))
    unlike = last[mine] != last[other]
    ahead[unlike] = np.clip(last[mine[unlike]] - last[other[unlike]], -1.0, 1.0)
    weight = rate[other]
    total = np.bincount(mine, weights=weight * ahead)
    return np.asarray(total / np.maximum(np.bincount(mine, weights=weight), LEAST_WEIGHT))


def _behind_earlier(batch: DeploymentBatch, found: Visits, said: Said, rate: Floats) -> Floats:
    """Return by how much visits wait longer since earlier deadlines go first [I].

    Where those ahead of a sample take a share a of the time, it waits in proportion to 1 / (1 - a),
    as the first of two classes do with Cobham; the mean over all samples stays.
    """
    ahead = 0.5 * (1.0 + precedence(batch, found, said, rate))
    longer = 1.0 / (1.0 - ahead * np.minimum(said.busy, MOST_BUSY)[found.queue])
    weight = np.maximum(rate, LEAST_WEIGHT)
    total = np.bincount(found.queue, weights=weight)
    mean = np.bincount(found.queue, weights=longer * weight) / total
    ruled = (found.parameter[:, 0] == BY_DEADLINE)[found.queue]
    return np.where(ruled, longer / mean[found.queue], 1.0)


def _of_slow_lines(found: Visits, given: Accelerators, said: Said) -> Floats:
    """Return what a visit waits longer than others for company of its line [s] [I].

    Where full batches start alone, that is until its line has filled one, or the buffer is full;
    else until the time-out of a free accelerator at most.
    """
    queue = found.line_queue
    rate = given.rate[queue] * given.share
    longest = (given.capacity / given.rate)[queue]
    filling = np.minimum(0.5 * (given.max_batch[queue] - 1.0) / rate, longest)
    free = np.maximum(1.0 - said.busy, 0.0)[queue]
    timed = free * _until_time_is_up(given, rate)
    company = np.where(given.full[queue], filling, timed)
    mean = np.bincount(queue, weights=company * given.share)
    return np.asarray((company - mean[queue])[found.line])


def _until_time_is_up(given: Accelerators, rate: Floats) -> Floats:
    """Return the mean wait for company of samples of each line on a free accelerator [s] [lines].

    The first one waits for the time-out or until the batch is full. With Poisson arrivals of rate r
    a time P(N > n) / r of that passes with n others there, where N come in the time-out; each of
    the 1 + n has waited for it.
    """
    queue = np.repeat(np.arange(len(given.rate)), np.diff(given.first_line))
    most = int(given.max_batch.max(initial=1)) - 1
    others = np.arange(most)
    more = pdtrc(others, (rate * given.timeout[queue])[:, None])  # P(N > n)
    more = np.where(others < given.max_batch[queue][:, None] - 1, more, 0.0)
    return np.asarray((more @ (1.0 + others)) / rate / (1.0 + more.sum(axis=1)))
