"""Percentiles of histograms are those of a search in the cumulative counts."""

from __future__ import annotations

import numpy as np

from datagen.simulator.percentile_kernel import percentiles

WANTED = np.array([0.5, 0.95, 0.99, 1.0])


def searched(counts: np.ndarray, lower: np.ndarray, width: np.ndarray) -> np.ndarray:
    """The same by NumPy, one row at a time."""
    reached = np.cumsum(counts)
    ranks = WANTED * reached[-1]
    index = np.searchsorted(reached, ranks)
    inside = (ranks - (reached[index] - counts[index])) / counts[index]
    return lower[index] + inside * width[index]


def test_percentiles_are_those_of_a_search() -> None:
    rng = np.random.default_rng(0)
    edges = np.cumsum(rng.random(41))
    lower, width = edges[:-1], np.diff(edges)
    histogram = rng.poisson(0.7, (50, 40)) * rng.integers(0, 3, (50, 40))
    histogram[0], histogram[1] = 0, 0
    histogram[1, 39] = 5
    found = np.empty((50, len(WANTED)))
    percentiles(histogram, WANTED, 5, lower, width, found)
    few = histogram.sum(axis=1) < 5
    assert few.any()
    assert not few.all()
    assert np.isnan(found[few]).all()
    for row in np.flatnonzero(~few):
        assert found[row].tobytes() == searched(histogram[row], lower, width).tobytes()
