"""The goal of a search: objectives, constraints, and how what breaks a rule is ranked.

From best to worst: what keeps every limit, by its value; what exceeds a limit, by how much; what
has no steady state or no value; what does not fit the memory, by how many bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from datagen.errors import NotSupportedError, require
from datagen.evaluation import Measures
from surrogate.optimizers.constraints import Constraint
from surrogate.optimizers.objective import Objective, SystemLoss

__all__ = ["EXCEEDED", "MISFIT", "UNSTABLE", "Goal", "penalized"]

Floats = NDArray[np.float64]

EXCEEDED = 2e6
"""Added to the excess over a limit: above every value of an objective."""

MOST_EXCEEDED = 1e8
"""Excess beyond which there is no worse."""

UNSTABLE = 1e9
"""Value of what has no steady state: above every excess over a limit."""

MISFIT = 1e12
"""Added to the excess of what does not fit: behind everything that fits."""


def penalized(values: Floats, excess: Floats, over: Floats | float = 0.0) -> Floats:
    """Rank what breaks a limit, what has no steady state and what does not fit, in this order.

    Args:
        values: Values of an objective [B]; NaN where undefined.
        excess: Bytes by which the memory is exceeded [B], >= 0.
        over: Excess over limits in parts of these [B], >= 0; NaN where undefined.

    Returns:
        Finite values [B], to be minimised: the value itself where it exists, the candidate fits and
        every limit is kept.

    Example:
        >>> penalized(np.array([0.1, 0.2, np.nan]), np.array([0.0, 8.0, 0.0])).tolist()
        [0.1, 1000000000008.0, 1000000000.0]
    """
    limited = np.where(over > 0, EXCEEDED + np.minimum(over, MOST_EXCEEDED), values)
    defined = np.where(np.isfinite(values) & np.isfinite(over), limited, UNSTABLE)
    return np.where(excess > 0, MISFIT + excess, defined)


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a search is for.

    Args:
        objectives: What is minimised, M >= 1; the first decides which candidate is chosen.
        constraints: Limits that must be kept.

    Raises:
        InvalidInputError: If there is no objective, or two have one name.
    """

    objectives: tuple[Objective, ...] = (SystemLoss(),)
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        names = [objective.name for objective in self.objectives]
        distinct = len(names) >= 1 and len(set(names)) == len(names)
        require(distinct, "objectives", "be at least one, with distinct names", names)

    @classmethod
    def of(
        cls,
        objective: Objective | Sequence[Objective] | None,
        constraints: Sequence[Constraint] = (),
    ) -> Goal:
        """Return the goal that somebody means.

        Args:
            objective: One, several, or None for the system loss.
            constraints: Limits.

        Returns:
            The goal.
        """
        if objective is None:
            return cls(constraints=tuple(constraints))
        several = (objective,) if isinstance(objective, Objective) else tuple(objective)
        return cls(objectives=several, constraints=tuple(constraints))

    def cautious(self) -> Goal:
        """Return the goal as a choice among simulated candidates should have it.

        Returns:
            The same objectives; limits that ask for a margin of what chance may do.
        """
        return replace(self, constraints=tuple(limit.cautious() for limit in self.constraints))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the objectives."""
        return tuple(objective.name for objective in self.objectives)

    def plain(self, measures: Measures) -> Floats:
        """Return the values of all objectives.

        Args:
            measures: Measures of B deployments.

        Returns:
            Values [B, M]; NaN where undefined.
        """
        return np.stack([objective.values(measures) for objective in self.objectives], axis=1)

    def over(self, measures: Measures) -> Floats:
        """Return the excess over all limits.

        Args:
            measures: Measures of B deployments.

        Returns:
            Parts of the limits [B], >= 0; NaN where undefined.
        """
        parts = [constraint.excess(measures) for constraint in self.constraints]
        return np.asarray(np.sum([np.zeros(len(measures)), *parts], axis=0))

    def values(self, measures: Measures, excess: Floats) -> Floats:
        """Return what a search is told.

        Args:
            measures: Measures of B deployments.
            excess: Bytes by which they exceed the memory [B].

        Returns:
            Finite values [B, M], lower is better.
        """
        over = self.over(measures)
        columns = [penalized(values, excess, over) for values in self.plain(measures).T]
        return np.stack(columns, axis=1)

    def require_known(self, measures: Measures) -> None:
        """Raise unless an evaluator knows what the goal asks about.

        Args:
            measures: Its answer for any deployments.

        Raises:
            NotSupportedError: If an objective or a limited measure is undefined for every
                deployment that has a steady state and comes to no deadlock.
        """
        said = measures.deployment
        stable = ~(np.asarray(said["unstable"], bool) | np.asarray(said["deadlocked"], bool))
        if not stable.any():
            return
        for objective in self.objectives:
            if not np.isfinite(objective.values(measures)[stable]).any():
                raise NotSupportedError(f"the {measures.source} evaluator", objective.name)
        for constraint in self.constraints:
            if not np.isfinite(constraint.excess(measures)[stable]).any():
                who = f"the {measures.source} evaluator"
                raise NotSupportedError(who, type(constraint).__name__)
