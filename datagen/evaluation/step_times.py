"""Times of steps: mean and variability of what a job takes there, early exits included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation.exit_tables import ExitTables
from datagen.evaluation.plain_packing import scv_of
from datagen.evaluation.varied_exits import VariedExits

__all__ = ["step_times"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def step_times(
    mean: Floats,
    variance: Floats,
    device: NDArray[np.int32],
    begin: Ints,
    leaving: ExitTables | VariedExits,
    place: Ints,
) -> dict[str, Floats]:
    """Return the columns of the times of steps.

    Args:
        mean: Mean time of the fragments alone [s] [R].
        variance: Its variance [s^2] [R].
        device: Device of each fragment [R].
        begin: First fragment of each step [S].
        leaving: Where jobs may leave.
        place: Where each fragment is found there [R].

    Returns:
        Mean [s] and SCV of the time of each step, and the share of its path's jobs that reaches it
        [S], by name.
    """
    if leaving.has_exits:
        mean, variance, reached = _with_exits(mean, variance, device, begin, leaving, place)
    else:
        reached = np.ones(len(begin))
        mean, variance = (np.add.reduceat(values, begin) for values in (mean, variance))
    return {"step_mean": mean, "step_scv": scv_of(mean, variance), "step_reached": reached}


def _with_exits(
    mean: Floats,
    variance: Floats,
    device: NDArray[np.int32],
    begin: Ints,
    leaving: ExitTables | VariedExits,
    place: Ints,
) -> tuple[Floats, Floats, Floats]:
    """Return moments [s, s^2] of steps where jobs leave on the way, open heads included, and reach.

    The arguments are those of :func:`step_times`.
    """
    sizes = np.diff(np.append(begin, len(mean)))
    head_mean, head_variance = (values[place, device] for values in leaving.head_moments)
    mean, variance = mean + head_mean, variance + head_variance
    passing = leaving.passing[place]
    reached = passing[begin]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = passing / np.repeat(reached, sizes)
    share = np.where(np.isfinite(share), share, 1.0)
    step_mean = np.add.reduceat(mean * share, begin)
    # E[T^2] by the largest fragment that a job reaches: shares fall along a step.
    order = np.arange(len(mean)) - np.repeat(begin, sizes)
    before = np.zeros(len(mean))
    for rank in range(1, int(order.max(initial=0)) + 1):
        here = np.flatnonzero(order == rank)
        before[here] = before[here - 1] + mean[here - 1]
    sums = share * (variance + mean**2 + 2.0 * before * mean)
    step_variance = np.add.reduceat(sums, begin) - step_mean**2
    return step_mean, np.maximum(step_variance, 0.0), reached
