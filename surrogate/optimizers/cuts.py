"""Neurosurgeon on a cluster: every chain cut once, where its requests are fastest alone.

One chain after another is placed on the pair of devices, and with the cut between them, that gives
the least latency of those with enough memory left: all fragments up to the cut on the one, the rest
on the other, or all on one. Two tiers are the case of two devices. Load is not looked at, as in the
original; memory is, for a placement that does not fit is none.

A chain has no way back from the second tier, so the minimum cut of DNN Surgery is this single cut.

References:
    Kang et al., Neurosurgeon: collaborative intelligence between the cloud and mobile edge,
    ASPLOS 2017.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from surrogate.optimizers.baselines import first_fit
from surrogate.optimizers.space import Placements, PlacementSpace
from surrogate.optimizers.unloaded import UnloadedTimes

__all__ = ["best_cuts"]

Floats = NDArray[np.float64]


def best_cuts(space: PlacementSpace) -> Placements:
    """Place each path by its best cut, path by path in the memory that is left.

    Args:
        space: The placements of the problem.

    Returns:
        Device index per slot [F]; a path that fits on no pair of devices goes where first-fit has
        it.
    """
    times = UnloadedTimes(space)
    placement = first_fit(space)
    placed = np.zeros(space.slots, dtype=bool)
    for path in np.unique(space.path).tolist():
        slots = np.flatnonzero(space.path == path)
        # What earlier paths left; this rule counts a fragment on two paths twice.
        used = np.bincount(placement[placed], space.weights[placed], minlength=space.devices)
        latency = _latencies(space, times, slots, space.memory - used)
        cut, front, back = np.unravel_index(np.argmin(latency), latency.shape)
        if np.isfinite(latency[cut, front, back]):
            placement[slots] = np.where(np.arange(len(slots)) < cut, front, back)
        placed[slots] = True
    return placement


def _latencies(
    space: PlacementSpace, times: UnloadedTimes, slots: NDArray[np.int64], room: Floats
) -> Floats:
    """Return the latency of each cut between each pair [n + 1, D, D], infinity where none fits."""
    count = len(slots)
    service = times.share[slots, None] * np.where(
        space.allowed[slots], times.service[slots], np.inf
    )
    before = np.cumsum(np.vstack([np.zeros(space.devices), service]), axis=0)  # [n + 1, D]
    behind = np.cumsum(np.vstack([np.zeros(space.devices), service[::-1]]), axis=0)[::-1]
    need = np.append(0.0, np.cumsum(space.weights[slots]))
    before = np.where(need[:, None] <= room, before, np.inf)
    behind = np.where((need[-1] - need)[:, None] <= room, behind, np.inf)
    latency = before[:, :, None] + behind[:, None, :]
    for cut in range(1, count):
        latency[cut] += times.share[slots[cut]] * times.transfer(int(slots[cut - 1]))
    apart = ~np.eye(space.devices, dtype=bool)
    latency[1:count] = np.where(apart, latency[1:count], np.inf)  # the ends hold all on one
    return np.asarray(latency)
