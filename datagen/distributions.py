"""Laws of service work: what one fragment costs, as a distribution over jobs.

Every law is given by few parameters, knows its mean and squared coefficient of variation (SCV, the
variance over the squared mean), and turns uniforms into samples by its quantile function. Sampling
by quantiles lets a job meet the same uniform on every device it might be placed on, which gives
common random numbers for free.

Times are in s (at device speed 1) unless a docstring says otherwise.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require

__all__ = [
    "LAWS",
    "LAW_NAMES",
    "Deterministic",
    "Empirical",
    "Erlang",
    "Exponential",
    "Gamma",
    "HyperExponential",
    "Law",
    "LogNormal",
    "Uniform",
    "law_from_parameters",
]

Floats = NDArray[np.float64]

LARGEST_SCV = 1e12
"""Beyond it, nearly all of the mean comes from works so rare that uniforms of 53 bits hardly ever
draw one: samples would have another mean than the law says."""

SMALLEST_SCV = 1e-12
"""Below it, a law is deterministic for all that sampling could tell, and quantiles lose digits."""

LARGEST_WORK = 1e100
"""Works [s] in use: their squares and sums are finite numbers."""

_HYPEREXPONENTIAL_STEPS = 60
"""Bisection steps of the hyperexponential quantile: 2**-60 of the bracket is below float64's
grain."""


class Law(ABC):
    """A non-negative distribution with closed-form mean, SCV and quantile."""

    __slots__ = ()
    name: ClassVar[str]

    # A law that holds one of these two as a field writes ``= field()`` behind it: without that, the
    # dataclass would take the inherited property for the field's default.

    @property
    @abstractmethod
    def mean(self) -> float:
        """Mean [s]."""

    @property
    @abstractmethod
    def scv(self) -> float:
        """Squared coefficient of variation, variance / mean**2, >= 0."""

    @abstractmethod
    def quantile(self, u: Floats) -> Floats:
        """Return the values whose distribution function is ``u``.

        Args:
            u: Probabilities in [0, 1), any shape.

        Returns:
            Values [s], the shape of ``u``.
        """

    @abstractmethod
    def parameters(self) -> tuple[float, ...]:
        """Return the numbers that :func:`law_from_parameters` rebuilds this law from."""

    @property
    def is_random(self) -> bool:
        """Whether a sample consumes a uniform; a deterministic law draws nothing."""
        return True


def _require_mean(mean: float) -> None:
    require(math.isfinite(mean) and mean >= 0, "mean", "be finite and >= 0", mean)
    require(mean <= LARGEST_WORK, "mean", f"be at most {LARGEST_WORK:g}", mean)


def _require_scv(scv: float) -> None:
    require(np.isfinite(scv) and scv > 0, "scv", "be finite and > 0", scv)
    rule = f"lie in [{SMALLEST_SCV:g}, {LARGEST_SCV:g}]"
    require(SMALLEST_SCV <= scv <= LARGEST_SCV, "scv", rule, scv)


@dataclass(frozen=True, kw_only=True, slots=True)
class Deterministic(Law):
    """Always the same work.

    Args:
        mean: The work [s], >= 0.
    """

    name: ClassVar[str] = "deterministic"
    mean: float = field()

    def __post_init__(self) -> None:
        _require_mean(self.mean)

    @property
    def scv(self) -> float:
        return 0.0

    @property
    def is_random(self) -> bool:
        return False

    def quantile(self, u: Floats) -> Floats:
        return np.full(np.shape(u), self.mean)

    def parameters(self) -> tuple[float, ...]:
        return (self.mean,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exponential(Law):
    """Memoryless work.

    Args:
        mean: Mean work [s], >= 0.
    """

    name: ClassVar[str] = "exponential"
    mean: float = field()

    def __post_init__(self) -> None:
        _require_mean(self.mean)

    @property
    def scv(self) -> float:
        return 1.0

    def quantile(self, u: Floats) -> Floats:
        return -self.mean * np.log1p(-u)

    def parameters(self) -> tuple[float, ...]:
        return (self.mean,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gamma(Law):
    """Gamma work by mean and SCV; its shape is 1 / scv.

    Args:
        mean: Mean work [s], >= 0.
        scv: Squared coefficient of variation, > 0.
    """

    name: ClassVar[str] = "gamma"
    mean: float = field()
    scv: float = field()

    def __post_init__(self) -> None:
        _require_mean(self.mean)
        _require_scv(self.scv)

    def quantile(self, u: Floats) -> Floats:
        from scipy.special import gammaincinv

        shape = 1.0 / self.scv
        return np.asarray(gammaincinv(shape, u) * (self.mean / shape))

    def parameters(self) -> tuple[float, ...]:
        return (self.mean, self.scv)


@dataclass(frozen=True, kw_only=True, slots=True)
class Erlang(Law):
    """Sum of equal exponential stages.

    Args:
        mean: Mean of the sum [s], >= 0.
        stages: Number of stages, >= 1.
    """

    name: ClassVar[str] = "erlang"
    mean: float = field()
    stages: int

    def __post_init__(self) -> None:
        _require_mean(self.mean)
        whole = isinstance(self.stages, int | np.integer)
        require(whole and self.stages >= 1, "stages", "be an integer >= 1", self.stages)
        most = round(1.0 / SMALLEST_SCV)
        require(self.stages <= most, "stages", f"be at most {most:g}", self.stages)

    @property
    def scv(self) -> float:
        return 1.0 / self.stages

    def quantile(self, u: Floats) -> Floats:
        return Gamma(mean=self.mean, scv=self.scv).quantile(u)

    def parameters(self) -> tuple[float, ...]:
        return (self.mean, float(self.stages))


@dataclass(frozen=True, kw_only=True, slots=True)
class HyperExponential(Law):
    """Two exponential phases with balanced means (each phase carries half of the mean).

    Args:
        mean: Mean work [s], >= 0.
        scv: Squared coefficient of variation, >= 1.

    References:
        Whitt, Approximating a point process by a renewal process, Operations Research 30 (1982).
    """

    name: ClassVar[str] = "hyperexponential"
    mean: float = field()
    scv: float = field()

    def __post_init__(self) -> None:
        _require_mean(self.mean)
        require(np.isfinite(self.scv) and self.scv >= 1, "scv", "be finite and >= 1", self.scv)
        _require_scv(self.scv)

    def quantile(self, u: Floats) -> Floats:
        p = 0.5 * (1.0 + np.sqrt((self.scv - 1.0) / (self.scv + 1.0)))
        fast, slow = 0.5 / p, 0.5 / (1.0 - p)  # phase means in units of the mean
        tail = 1.0 - np.asarray(u, dtype=float)
        # The quantile lies between those of the two phases alone.
        low, high = -fast * np.log(tail), -slow * np.log(tail)
        for _ in range(_HYPEREXPONENTIAL_STEPS):
            middle = 0.5 * (low + high)
            above = p * np.exp(-middle / fast) + (1.0 - p) * np.exp(-middle / slow) > tail
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return np.asarray(self.mean * 0.5 * (low + high))

    def parameters(self) -> tuple[float, ...]:
        return (self.mean, self.scv)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogNormal(Law):
    """Log-normal work by mean and SCV.

    Args:
        mean: Mean work [s], >= 0.
        scv: Squared coefficient of variation, > 0.
    """

    name: ClassVar[str] = "lognormal"
    mean: float = field()
    scv: float = field()

    def __post_init__(self) -> None:
        _require_mean(self.mean)
        _require_scv(self.scv)

    def quantile(self, u: Floats) -> Floats:
        from scipy.special import ndtri

        variance = np.log1p(self.scv)
        return np.asarray(self.mean * np.exp(np.sqrt(variance) * ndtri(u) - 0.5 * variance))

    def parameters(self) -> tuple[float, ...]:
        return (self.mean, self.scv)


@dataclass(frozen=True, kw_only=True, slots=True)
class Uniform(Law):
    """Work spread evenly over an interval.

    Args:
        low: Smallest work [s], >= 0.
        high: Largest work [s], >= low.
    """

    name: ClassVar[str] = "uniform"
    low: float
    high: float

    def __post_init__(self) -> None:
        require(np.isfinite(self.low) and self.low >= 0, "low", "be finite and >= 0", self.low)
        ordered = np.isfinite(self.high) and self.high >= self.low
        require(ordered, "high", f"be finite and >= low={self.low!r}", self.high)
        require(self.high <= LARGEST_WORK, "high", f"be at most {LARGEST_WORK:g}", self.high)

    @property
    def mean(self) -> float:
        return 0.5 * (self.low + self.high)

    @property
    def scv(self) -> float:
        if self.mean == 0.0:
            return 0.0
        return (self.high - self.low) ** 2 / (12.0 * self.mean**2)

    def quantile(self, u: Floats) -> Floats:
        return self.low + (self.high - self.low) * np.asarray(u, dtype=float)

    def parameters(self) -> tuple[float, ...]:
        return (self.low, self.high)


@dataclass(frozen=True, kw_only=True, slots=True)
class Empirical(Law):
    """Measured works, each equally likely.

    Args:
        values: Works [s], >= 0, at least one.
    """

    name: ClassVar[str] = "empirical"
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(float(v) for v in self.values))
        require(len(self.values) > 0, "values", "hold at least one number", self.values)
        proper = all(np.isfinite(v) and v >= 0 for v in self.values)
        require(proper, "values", "be finite and >= 0", self.values)
        most = max(self.values)
        require(most <= LARGEST_WORK, "values", f"be at most {LARGEST_WORK:g}", most)

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def scv(self) -> float:
        return float(np.var(self.values) / self.mean**2) if self.mean > 0 else 0.0

    def quantile(self, u: Floats) -> Floats:
        ordered = np.sort(np.asarray(self.values))
        index = (np.asarray(u, dtype=float) * ordered.size).astype(np.int64)
        return np.asarray(ordered[np.minimum(index, ordered.size - 1)])

    def parameters(self) -> tuple[float, ...]:
        return self.values


LAWS: dict[str, type[Law]] = {
    law.name: law
    for law in (
        Deterministic,
        Exponential,
        Erlang,
        Gamma,
        HyperExponential,
        LogNormal,
        Uniform,
        Empirical,
    )
}
"""Every service law by the name documents use. The order fixes the stored codes: append only."""

LAW_NAMES: tuple[str, ...] = tuple(LAWS)
"""Law names by stored code."""


def law_from_parameters(code: int, parameters: Floats) -> Law:
    """Rebuild a law from its stored form.

    Args:
        code: Index into :data:`LAW_NAMES`.
        parameters: What :meth:`Law.parameters` gave.

    Returns:
        The law.

    Example:
        >>> law_from_parameters(0, Deterministic(mean=0.5).parameters())
        Deterministic(mean=0.5)
    """
    cls = LAWS[LAW_NAMES[code]]
    values = [float(value) for value in parameters]
    if cls is Empirical:
        return Empirical(values=tuple(values))
    if cls is Erlang:
        return Erlang(mean=values[0], stages=int(values[1]))
    return cls(**dict(zip((item.name for item in fields(cls)), values, strict=True)))  # type: ignore[arg-type]
