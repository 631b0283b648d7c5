"""Objectives: what a search minimises, one number per candidate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.evaluation import Measures

__all__ = [
    "Energy",
    "Latency",
    "MissedDeadlines",
    "Mix",
    "Objective",
    "SystemLoss",
    "TailLatency",
    "Throughput",
    "shown_as",
]

Floats = NDArray[np.float64]

SHOWN: Mapping[str, tuple[str, float]] = {
    "loss_ratio": ("loss ratio [%]", 100.0),
    "throughput": ("throughput of all chains [1/s]", -1.0),
    "latency": ("mean latency [s]", 1.0),
    "missed_deadlines": ("deadlines missed [%]", 100.0),
    "energy": ("energy per completed job [J]", 1.0),
}
"""Objective -> title and factor for readers; throughput is minimised with its sign changed."""


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
            Values [B], lower is better, far below 10^6 in size; NaN where undefined.
        """


class SystemLoss(Objective):
    """The share of all offered jobs that is lost anywhere, in [0, 1]."""

    name = "loss_ratio"

    def values(self, measures: Measures) -> Floats:
        return np.asarray(measures.deployment["loss_ratio"], dtype=np.float64)


class _OverChains(Objective):
    """A sum over chains of weight times measure.

    Args:
        weights: Chain -> weight, >= 0, one of them > 0; chains that are not named count nothing.
            None for equal weights.

    Raises:
        InvalidInputError: If a weight is negative or not finite, or none is positive.
    """

    measure: str
    """The chain measure that is added up."""

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self.weights = None if weights is None else dict(weights)
        if weights is not None:
            given = np.array(list(weights.values()), dtype=np.float64)
            proper = bool(np.all(np.isfinite(given) & (given >= 0)) and np.any(given > 0))
            require(proper, "weights", "be finite, >= 0 and not all 0", self.weights)

    def chain_weights(self, names: Sequence[str] | None, count: int) -> Floats:
        """Return the weight of each chain.

        Args:
            names: Names of the chains [C], or None.
            count: C.

        Returns:
            Weights [C].

        Raises:
            InvalidInputError: If a weight is of a chain that is not there.
        """
        if self.weights is None:
            return np.ones(count)
        known = names is not None and set(self.weights) <= set(names)
        require(known, "weights", "name chains of the problem", list(self.weights))
        return np.array([self.weights.get(name, 0.0) for name in names or ()])

    def _sums(self, measures: Measures) -> tuple[Floats, Floats]:
        """Return the weighted sums and the sums of weights of each deployment [B]."""
        measured = np.asarray(measures.chain[self.measure], dtype=np.float64)
        weight = self.chain_weights(measures.chain_names, len(measured))
        terms = np.where(weight > 0, weight * measured, 0.0)  # a chain of no weight may be NaN
        first = measures.chain_start[:-1]
        return np.add.reduceat(terms, first), np.add.reduceat(weight, first)

    def _mean(self, measures: Measures) -> Floats:
        total, weight = self._sums(measures)
        return np.asarray(total / weight)


class Throughput(_OverChains):
    """Completions per second, summed over chains with weights; the more, the better."""

    name = "throughput"
    measure = "throughput"

    def values(self, measures: Measures) -> Floats:
        return -self._sums(measures)[0]


class Latency(_OverChains):
    """Weighted mean over chains of the mean latency of completed jobs [s]."""

    name = "latency"
    measure = "latency"

    def values(self, measures: Measures) -> Floats:
        return self._mean(measures)


class TailLatency(_OverChains):
    """Weighted mean over chains of the 95 % quantile of the latency of completed jobs [s]."""

    name = "p95"
    measure = "p95"

    def values(self, measures: Measures) -> Floats:
        return self._mean(measures)


class MissedDeadlines(_OverChains):
    """Weighted mean over chains of the share of offered jobs that is late or lost, in [0, 1].

    Name the chains that have a deadline where some have none.
    """

    name = "missed_deadlines"
    measure = "attainment"

    def values(self, measures: Measures) -> Floats:
        return 1.0 - self._mean(measures)


class Energy(_OverChains):
    """Weighted mean over chains of the energy per completed job [J]."""

    name = "energy"
    measure = "energy"

    def values(self, measures: Measures) -> Floats:
        return self._mean(measures)


class Mix(Objective):
    """A weighted sum of objectives.

    Args:
        parts: Objective -> weight, > 0.

    Raises:
        InvalidInputError: If there is no part or a weight is not finite and positive.
    """

    def __init__(self, parts: Mapping[Objective, float]) -> None:
        require(len(parts) > 0, "parts", "hold at least one objective", parts)
        for part, weight in parts.items():
            proper = np.isfinite(weight) and weight > 0
            require(bool(proper), part.name, "have a finite weight > 0", weight)
        self.parts = dict(parts)
        self.name = " + ".join(f"{weight:g} {part.name}" for part, weight in parts.items())

    def values(self, measures: Measures) -> Floats:
        terms = [weight * part.values(measures) for part, weight in self.parts.items()]
        return np.asarray(np.sum(terms, axis=0))


def shown_as(name: str) -> tuple[str, float]:
    """Tell how readers are shown the values of an objective.

    Args:
        name: Name of the objective.

    Returns:
        Title with its unit, and the factor on the values that are minimised.

    Example:
        >>> shown_as("throughput")
        ('throughput of all chains [1/s]', -1.0)
    """
    return SHOWN.get(name, (name, 1.0))
