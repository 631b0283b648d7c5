"""Compiled count of who leaves where under many vectors of thresholds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import compiled

__all__ = ["fill_counts"]

Floats = NDArray[np.float64]


@compiled
def fill_counts(
    confidences: Floats,
    correct: NDArray[np.bool_],
    thresholds: Floats,
    leaving: NDArray[np.int64],
    right: NDArray[np.int64],
    confidence: Floats,
) -> None:
    """Add every sample to the exit it leaves at, for every vector of thresholds.

    Args:
        confidences: Confidence of each sample at each exit [N, E].
        correct: Whether the answer there is right [N, E].
        thresholds: Thresholds of the intermediate classifiers [B, E - 1].
        leaving: Samples that leave at each exit [B, E], added to.
        right: Those of them that are answered rightly [B, E], added to.
        confidence: Sum of their confidences [B, E], added to.
    """
    samples, exits = confidences.shape
    for b in range(len(thresholds)):
        for i in range(samples):
            e = 0
            while e < exits - 1 and confidences[i, e] < thresholds[b, e]:
                e += 1
            leaving[b, e] += 1
            right[b, e] += correct[i, e]
            confidence[b, e] += confidences[i, e]
