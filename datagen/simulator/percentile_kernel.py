"""Percentiles from histograms, interpolated inside of a bin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import compiled
from datagen.simulator.index_kernel import unsigned

__all__ = ["percentiles"]


@compiled
def percentiles(
    histogram: NDArray[np.int64],
    wanted: NDArray[np.float64],
    fewest: int,
    lower: NDArray[np.float64],
    width: NDArray[np.float64],
    found: NDArray[np.float64],
) -> None:
    """Find percentiles of each row of counts.

    Args:
        histogram: Counts [N, bins].
        wanted: Shares that lie below the percentiles, ascending, in (0, 1] [P].
        fewest: Counts of a row below which its percentiles are NaN, >= 1.
        lower: Lower end of each bin [bins].
        width: Its width [bins].
        found: The percentiles, overwritten [N, P].
    """
    for number in range(len(histogram)):
        row = unsigned(number)
        counts = histogram[row]
        total = counts.sum()
        place = unsigned(0)
        reached = counts[place]
        for rank in range(wanted.size):
            column = unsigned(rank)
            if total < fewest:
                found[row, column] = np.nan
                continue
            jobs = wanted[column] * total
            while reached < jobs:
                place += unsigned(1)
                reached += counts[place]
            inside = (jobs - (reached - counts[place])) / counts[place]
            found[row, column] = lower[place] + inside * width[place]
