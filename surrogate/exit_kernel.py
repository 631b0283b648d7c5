"""Compiled count of who leaves where under many vectors of levels.

Exit by exit and without a branch per sample, so that the processor handles eight samples at a time.
Sums are of whole numbers: those of floats would have to keep their order, one after the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import compiled
from datagen.simulator.index_kernel import unsigned

__all__ = ["fill_leaving"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_NONE, _ONE = np.int32(0), np.int32(1)


@compiled
def fill_leaving(
    rank: Floats, answers: Ints, levels: Floats, left: Ints, leaving: Ints, right: Ints
) -> None:
    """Count every sample at the exit it leaves at, for every vector of levels.

    Args:
        rank: Rank of each sample's confidence at each intermediate classifier [E - 1, N].
        answers: How good each answer is, in any unit that makes sums over samples fit [E, N].
        levels: Levels of the intermediate classifiers [B, E - 1].
        left: Room for who has not left yet [N].
        leaving: Samples that leave at each exit [B, E], written.
        right: Sum of the answers they get there [B, E], written.
    """
    last = unsigned(len(rank))
    for vector in range(len(levels)):
        b = unsigned(vector)
        for sample in range(len(left)):
            left[unsigned(sample)] = _ONE
        for gate in range(len(rank)):
            e = unsigned(gate)
            level, count, total = levels[b, e], _NONE, _NONE
            for sample in range(len(left)):
                i = unsigned(sample)
                here = left[i] if rank[e, i] >= level else _NONE
                count += here
                total += here * answers[e, i]
                left[i] -= here
            leaving[b, e], right[b, e] = count, total
        count, total = _NONE, _NONE
        for sample in range(len(left)):
            i = unsigned(sample)
            count += left[i]
            total += left[i] * answers[last, i]
        leaving[b, last], right[b, last] = count, total
