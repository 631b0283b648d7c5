"""Sums that must be made in order, one addition after the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import compiled
from datagen.simulator.index_kernel import unsigned

__all__ = ["add_up"]


@compiled
def add_up(gaps: NDArray[np.float64], last: float) -> None:
    """Turn gaps into times where they stand: what ``np.cumsum`` does, in a third of the time.

    Args:
        gaps: Gaps, overwritten by the times [N].
        last: The time before the first gap.
    """
    time = last
    for index in range(gaps.size):
        time += gaps[unsigned(index)]
        gaps[unsigned(index)] = time
