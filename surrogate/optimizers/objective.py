"""Objectives: what a search minimises, one number per candidate, and how misfits are ranked."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation import Measures

__all__ = ["MISFIT", "Objective", "SystemLoss", "penalized"]

Floats = NDArray[np.float64]

UNSTABLE = 1e9
"""Value of what has no steady state: above every value of an objective."""

MISFIT = 1e12
"""Added to the excess of what does not fit: behind everything that fits."""


class Objective(ABC):
    """What a search minimises."""

    name: str
    """Name of the value in results, a deployment measure where it is one."""

    @abstractmethod
    def values(self, measures: Measures) -> Floats:
        """Return the value of each deployment.

        Args:
            measures: Measures of B deployments, from any evaluator.

        Returns:
            Values [B], lower is better; NaN where undefined.
        """


class SystemLoss(Objective):
    """The share of all offered jobs that is lost anywhere, in [0, 1]."""

    name = "loss_ratio"

    def values(self, measures: Measures) -> Floats:
        return np.asarray(measures.deployment["loss_ratio"], dtype=np.float64)


def penalized(values: Floats, excess: Floats) -> Floats:
    """Rank what has no steady state behind what has, and what does not fit last.

    Args:
        values: Values of an objective [B]; NaN where undefined.
        excess: Bytes by which the memory is exceeded [B], >= 0.

    Returns:
        Finite values [B], to be minimised: the value itself where it exists and the candidate fits.

    Example:
        >>> penalized(np.array([0.1, 0.2, np.nan]), np.array([0.0, 8.0, 0.0])).tolist()
        [0.1, 1000000000008.0, 1000000000.0]
    """
    defined = np.where(np.isfinite(values), values, UNSTABLE)
    return np.where(excess > 0, MISFIT + excess, defined)
