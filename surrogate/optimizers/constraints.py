"""What a deployment must keep besides the memory of its devices, and by how much it does not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.evaluation import Measures

__all__ = [
    "AccuracyFloor",
    "AttainmentFloor",
    "Constraint",
    "LatencyLimit",
    "LimitViolation",
    "LossLimit",
    "Violation",
]

Floats = NDArray[np.float64]

CAUTION = 2.0
"""Standard errors that a choice keeps away from a limit: what it chooses then keeps the limit on
other random numbers, too, but for one time in forty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """A device whose memory the placement exceeds.

    Args:
        device: Name of the device.
        needed: Memory its fragments need [B].
        memory: Memory it has [B].
    """

    device: str
    needed: float
    memory: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.device} needs {self.needed:.6g} bytes and has {self.memory:.6g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitViolation:
    """A chain that does not keep a limit.

    Args:
        chain: Name of the chain, or ``all chains``.
        measure: What is limited.
        value: Its value, in the unit of the measure; None where it is undefined.
        limit: The most that it may be, or the least.
        source: Who says so.
        floor: Whether the limit is the least.
    """

    chain: str
    measure: str
    value: float | None
    limit: float
    source: str
    floor: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    def __str__(self) -> str:
        value = "nothing that could be measured" if self.value is None else f"{self.value:.6g}"
        may = "has to have" if self.floor else "may have"
        return f"{self.chain} has a {self.measure} of {value} and {may} {self.limit:.6g}"


class Constraint(ABC):
    """A limit on what is measured."""

    @abstractmethod
    def excess(self, measures: Measures) -> Floats:
        """Return by how much the limit is exceeded, in parts of the limit.

        Args:
            measures: Measures of B deployments, from any evaluator.

        Returns:
            Sums over whatever is limited [B], >= 0; NaN where a measure is undefined.
        """

    @abstractmethod
    def violations(self, measures: Measures, index: int) -> tuple[LimitViolation, ...]:
        """Name what exceeds the limit.

        Args:
            measures: Measures of several deployments.
            index: 0-based deployment.

        Returns:
            One entry per chain that does.
        """

    def cautious(self) -> Constraint:
        """Return the constraint as a choice among simulated candidates should keep it.

        Returns:
            One that asks for a margin of what chance may do to a measure; by default, the same.
        """
        return self


class _ChainLimit(Constraint):
    """The most, or the least, that a measure of chains may be.

    Args:
        limits: Limit of every chain, or chain -> limit.
    """

    measure: str
    """What is limited."""
    field: str
    """How messages name the limit."""
    floor: bool = False
    """Whether it is the least."""

    def __init__(self, limits: float | Mapping[str, float]) -> None:
        several = limits.values() if isinstance(limits, Mapping) else [limits]
        proper = all(self._is_proper(limit) for limit in several)
        require(proper, self.field, self._rule, limits)
        self.limits = limits
        self.doubt = 0.0  # standard errors that a value has to be away from its limit

    _rule = "be finite and > 0"

    @staticmethod
    def _is_proper(limit: float) -> bool:
        return bool(np.isfinite(limit) and limit > 0)

    def cautious(self) -> Constraint:
        other = type(self)(self.limits)
        other.doubt = CAUTION
        return other

    def _limit(self, measures: Measures) -> Floats:
        """Return the limit of each chain [C]; NaN where there is none."""
        if not isinstance(self.limits, Mapping):
            return np.full(int(measures.chain_start[-1]), float(self.limits))
        names = measures.chain_names
        known = names is not None and set(self.limits) <= set(names)
        require(known, self.field, "name chains of the problem", list(self.limits))
        return np.array([self.limits.get(name, np.nan) for name in names or ()])

    def excess(self, measures: Measures) -> Floats:
        limit = self._limit(measures)
        value = np.asarray(measures.chain[self.measure], dtype=np.float64)
        if self.doubt > 0:
            error = np.asarray(measures.chain[f"{self.measure}_se"], dtype=np.float64)
            margin = self.doubt * np.nan_to_num(error)
            value = value - margin if self.floor else value + margin
        over = (limit - value if self.floor else value - limit) / limit
        over = np.where(np.isnan(limit), 0.0, np.maximum(over, 0.0))
        return np.asarray(np.add.reduceat(over, measures.chain_start[:-1]))

    def violations(self, measures: Measures, index: int) -> tuple[LimitViolation, ...]:
        rows = slice(int(measures.chain_start[index]), int(measures.chain_start[index + 1]))
        found = []
        for name, value, limit in zip(
            measures[index].chains,
            measures.chain[self.measure][rows].tolist(),
            self._limit(measures)[rows].tolist(),
            strict=True,
        ):
            kept = value >= limit if self.floor else value <= limit
            if not (np.isnan(limit) or kept):
                found.append(
                    LimitViolation(
                        chain=name,
                        measure=self.measure,
                        value=value if np.isfinite(value) else None,
                        limit=limit,
                        source=measures.source,
                        floor=self.floor,
                    )
                )
        return tuple(found)


class LatencyLimit(_ChainLimit):
    """The largest mean latency of completed jobs.

    Args:
        seconds: Limit of every chain, or chain -> limit, > 0 [s].

    Raises:
        InvalidInputError: If a limit is not finite and positive.
    """

    measure, field = "latency", "max_latency"

    def __init__(self, seconds: float | Mapping[str, float]) -> None:
        super().__init__(seconds)


class _Share(_ChainLimit):
    """The least that a share may be."""

    floor = True
    _rule = "lie in (0, 1]"

    @staticmethod
    def _is_proper(limit: float) -> bool:
        return 0 < limit <= 1


class AttainmentFloor(_Share):
    """The smallest share of offered jobs that meet their deadline; lost ones do not.

    Args:
        least: Limit of every chain, or chain -> limit, in (0, 1]. Name the chains that have a
            deadline where some have none.

    Raises:
        InvalidInputError: If a limit is outside of (0, 1].
    """

    measure, field = "attainment", "min_attainment"

    def __init__(self, least: float | Mapping[str, float]) -> None:
        super().__init__(least)


class AccuracyFloor(_Share):
    """The smallest share of offered jobs that are answered rightly; lost ones are not.

    Args:
        least: Limit of every chain, or chain -> limit, in (0, 1]. Name the chains whose accuracy is
            known where that of some is not.

    Raises:
        InvalidInputError: If a limit is outside of (0, 1].
    """

    measure, field = "accuracy_offered", "min_accuracy"

    def __init__(self, least: float | Mapping[str, float]) -> None:
        super().__init__(least)


class LossLimit(Constraint):
    """The largest share of all offered jobs that may be lost.

    Args:
        ratio: Limit of the system loss ratio, in (0, 1).

    Raises:
        InvalidInputError: If it is outside.
    """

    def __init__(self, ratio: float) -> None:
        require(0 < ratio < 1, "loss_target", "lie in (0, 1)", ratio)
        self.ratio = ratio
        self.doubt = 0.0

    def cautious(self) -> Constraint:
        other = LossLimit(self.ratio)
        other.doubt = CAUTION
        return other

    def excess(self, measures: Measures) -> Floats:
        value = np.asarray(measures.deployment["loss_ratio"], dtype=np.float64)
        if self.doubt > 0:
            error = np.asarray(measures.deployment["loss_ratio_se"], dtype=np.float64)
            value = value + self.doubt * np.nan_to_num(error)
        return np.maximum(value / self.ratio - 1.0, 0.0)

    def violations(self, measures: Measures, index: int) -> tuple[LimitViolation, ...]:
        value = float(measures.deployment["loss_ratio"][index])
        if value <= self.ratio:
            return ()
        return (
            LimitViolation(
                chain="all chains",
                measure="loss_ratio",
                value=value if np.isfinite(value) else None,
                limit=self.ratio,
                source=measures.source,
            ),
        )
