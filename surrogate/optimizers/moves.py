"""Neighbours of placements: one random change per row, that never fits worse than before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from surrogate.optimizers.space import Placements, PlacementSpace

__all__ = ["propose"]

ATTEMPTS = 8
"""Draws per row before it is left as it is; memory that binds refuses about half of all moves."""

SHARES = (0.5, 0.2, 0.3)
"""How often one fragment moves, two swap, and a run of a chain moves together. Runs matter because
neighbours on one device are one step, with one admission: moving them apart one by one costs loss
on the way."""

LONGEST_RUN = 8
"""Fragments that move together at most."""


def propose(space: PlacementSpace, current: Placements, rng: np.random.Generator) -> Placements:
    """Return a random neighbour of each placement.

    Args:
        space: The placements of the problem.
        current: Device index per slot [B, F].
        rng: Random numbers.

    Returns:
        Neighbours [B, F] that exceed the memory by no more than their originals do; a row for which
        none was found in a few draws is the original.
    """
    proposed = current.copy()
    pending = np.arange(len(current))
    before = space.excess(current)
    for _ in range(ATTEMPTS):
        origin = current[pending]
        trial = _changed(space, origin, rng)
        good = (trial != origin).any(axis=1) & (space.excess(trial) <= before[pending])
        proposed[pending[good]] = trial[good]
        pending = pending[~good]
        if len(pending) == 0:
            break
    return proposed


def _changed(space: PlacementSpace, origin: Placements, rng: np.random.Generator) -> Placements:
    count = len(origin)
    rows = np.arange(count)
    kind = np.searchsorted(np.cumsum(SHARES)[:-1], rng.random(count), side="right")
    slot = rng.integers(space.slots, size=count)
    other = rng.integers(space.slots, size=count)
    length = rng.integers(2, LONGEST_RUN + 1, size=count)
    device = space.random_devices(slot, rng)
    changed = origin.copy()
    single = kind == 0
    changed[rows[single], slot[single]] = device[single]
    _swap(space, changed, rows[kind == 1], slot, other)
    _move_runs(space, changed, rows[kind == 2], slot, length, device)
    return changed


def _swap(
    space: PlacementSpace,
    placement: Placements,
    rows: NDArray[np.int64],
    slot: NDArray[np.int64],
    other: NDArray[np.int64],
) -> None:
    first, second = slot[rows], other[rows]
    here, there = placement[rows, first], placement[rows, second]
    may = space.allowed[first, there] & space.allowed[second, here]
    placement[rows[may], first[may]] = there[may]
    placement[rows[may], second[may]] = here[may]


def _move_runs(
    space: PlacementSpace,
    placement: Placements,
    rows: NDArray[np.int64],
    slot: NDArray[np.int64],
    length: NDArray[np.int64],
    device: Placements,
) -> None:
    begin = slot[rows]
    end = np.minimum(begin + length[rows], space.path_end[begin])
    slots = np.arange(space.slots)
    inside = (slots >= begin[:, None]) & (slots < end[:, None])
    target = device[rows]
    inside &= space.allowed[:, target].T
    placement[rows] = np.where(inside, target[:, None], placement[rows])
