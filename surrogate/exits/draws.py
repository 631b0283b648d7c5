"""Random vectors of thresholds, spread the way searches meet them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLOSED", "random_thresholds"]

Floats = NDArray[np.float64]

CLOSED = 1.5
"""A threshold no confidence reaches."""

CLOSED_SHARES = (0.0, 0.2, 0.6)
"""Share of closed exits; one of these is drawn for each vector."""


def random_thresholds(confidences: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Draw vectors of thresholds for a network.

    A third of the vectors has thresholds uniform in [0, 1], a third at uniform quantiles of the
    confidences of each exit, and a third at quantiles near one level that all its exits share, as
    good vectors have.

    Args:
        confidences: Confidences of the network [N, E].
        count: Number of vectors B.
        rng: Source of randomness.

    Returns:
        Thresholds [B, E - 1]; some exits are closed by :data:`CLOSED`.
    """
    ordered = np.sort(confidences[:, :-1], axis=0)
    samples, classifiers = ordered.shape
    shape = (count, classifiers)
    common = rng.random((count, 1)) + 0.1 * rng.standard_normal(shape)
    kind = rng.integers(3, size=(count, 1))
    level = np.where(kind == 1, rng.random(shape), np.clip(common, 0.0, 1.0))
    place = level * (samples - 1)
    low = np.minimum(place.astype(np.int64), samples - 2)
    column = np.arange(classifiers)
    start, end = ordered[low, column], ordered[low + 1, column]
    quantiles = start + (place - low) * (end - start)
    tau = np.where(kind == 0, rng.random(shape), quantiles)
    closed = rng.random(shape) < rng.choice(CLOSED_SHARES, size=(count, 1))
    return np.where(closed, CLOSED, tau)
