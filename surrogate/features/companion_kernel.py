"""The search for pairs of steps at one device whose flows come through a common earlier device."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import compiled

__all__ = ["companion_pairs"]

Ints = NDArray[np.int64]


@compiled
def companion_pairs(
    device: Ints,
    previous: Ints,
    position: Ints,
    start: Ints,
    member: Ints,
    visit: Ints,
    visitor: Ints,
    found: Ints,
) -> int:
    """Find the pairs; of several common devices, the one that both have left last.

    Args:
        device: Device of each step [S].
        previous: The step before in its flow; any at position 0 [S].
        position: 0-based position in the flow [S].
        start: Where each device's steps begin in ``member`` [D + 1].
        member: Steps, device by device [S].
        visit: Room for the latest visit of the flow at hand to each device [D].
        visitor: Room for whose visit that is, filled with -1 [D].
        found: Room for the pairs: step, its companion, and the step of either flow at the common
            device [4, ordered pairs of steps at one device].

    Returns:
        Number of pairs found.
    """
    pairs = 0
    for place in range(len(visit)):
        here = member[start[place] : start[place + 1]]
        if len(here) < 2:
            continue
        for step in here:
            earlier = step
            while position[earlier] > 0:
                earlier = previous[earlier]
                if visitor[device[earlier]] != step:
                    visit[device[earlier]] = earlier
                    visitor[device[earlier]] = step
            for companion in here:
                if companion == step:
                    continue
                latest = -1
                earlier = companion
                while position[earlier] > 0:
                    earlier = previous[earlier]
                    common = device[earlier]
                    if visitor[common] == step:
                        reached = position[visit[common]] + position[earlier]
                        if reached > latest:
                            latest = reached
                            found[2, pairs] = visit[common]
                            found[3, pairs] = earlier
                if latest >= 0:
                    found[0, pairs] = step
                    found[1, pairs] = companion
                    pairs += 1
    return pairs
