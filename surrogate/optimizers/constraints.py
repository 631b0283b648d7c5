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

__all__ = ["Constraint", "LatencyLimit", "LimitViolation", "Violation"]

Floats = NDArray[np.float64]


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
    """A chain that exceeds a limit.

    Args:
        chain: Name of the chain.
        measure: What is limited.
        value: Its value, in the unit of the measure; None where it is undefined.
        limit: The most that it may be.
        source: Who says so.
    """

    chain: str
    measure: str
    value: float | None
    limit: float
    source: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    def __str__(self) -> str:
        value = "nothing that could be measured" if self.value is None else f"{self.value:.6g}"
        return f"{self.chain} has a {self.measure} of {value} and may have {self.limit:.6g}"


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


class LatencyLimit(Constraint):
    """The largest mean latency of completed jobs.

    Args:
        seconds: Limit of every chain, or chain -> limit, > 0 [s].

    Raises:
        InvalidInputError: If a limit is not finite and positive.
    """

    def __init__(self, seconds: float | Mapping[str, float]) -> None:
        limits = seconds.values() if isinstance(seconds, Mapping) else [seconds]
        proper = all(np.isfinite(limit) and limit > 0 for limit in limits)
        require(proper, "max_latency", "be finite and > 0", seconds)
        self.seconds = seconds

    def _limits(self, measures: Measures) -> Floats:
        """Return the limit of each chain [C]; infinity where there is none."""
        if not isinstance(self.seconds, Mapping):
            return np.full(int(measures.chain_start[-1]), float(self.seconds))
        names = measures.chain_names
        known = names is not None and set(self.seconds) <= set(names)
        require(known, "max_latency", "name chains of the problem", list(self.seconds))
        return np.array([self.seconds.get(name, np.inf) for name in names or ()])

    def excess(self, measures: Measures) -> Floats:
        limits = self._limits(measures)
        limited = np.isfinite(limits)
        latency = np.where(limited, measures.chain["latency"], 0.0)
        over = np.maximum(latency / np.where(limited, limits, 1.0) - 1.0, 0.0)
        return np.asarray(np.add.reduceat(over, measures.chain_start[:-1]))

    def violations(self, measures: Measures, index: int) -> tuple[LimitViolation, ...]:
        rows = slice(int(measures.chain_start[index]), int(measures.chain_start[index + 1]))
        limits = self._limits(measures)[rows]
        found = []
        for name, chain, limit in zip(
            measures[index].chains, measures.chain["latency"][rows], limits, strict=True
        ):
            latency = float(chain)
            if np.isfinite(limit) and not latency <= limit:
                value = latency if np.isfinite(latency) else None
                found.append(
                    LimitViolation(
                        chain=name,
                        measure="latency",
                        value=value,
                        limit=float(limit),
                        source=measures.source,
                    )
                )
        return tuple(found)
