"""Arrival processes: when the requests of a chain come.

An arrival process is described here and drawn in :mod:`datagen.simulator.randomness`. Rates are in
1/s, times in s. The SCV of the interarrival time (squared coefficient of variation) is what the
analytic model and the surrogates see of a process beyond its rate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import ClassVar

import numpy as np

from datagen.distributions import Gamma, HyperExponential
from datagen.errors import require

__all__ = [
    "ARRIVALS",
    "ARRIVAL_NAMES",
    "Arrivals",
    "MarkovArrivals",
    "MarkovModulated",
    "Periodic",
    "PiecewisePoisson",
    "Poisson",
    "Recorded",
    "Renewal",
    "arrivals_from_parameters",
]


class Arrivals(ABC):
    """A stationary (or scheduled) stream of requests."""

    __slots__ = ()
    name: ClassVar[str]
    is_stationary: ClassVar[bool] = True
    """Whether its law is the same at all times, so that a short run says what a long one does."""
    is_random: ClassVar[bool] = True
    """Whether independent runs differ in their arrivals."""

    # A process that holds one of these two as a field writes ``= field()`` behind it: without that,
    # the dataclass would take the inherited property for the field's default.

    @property
    @abstractmethod
    def rate(self) -> float:
        """Long-run arrival rate [1/s], > 0."""

    @property
    @abstractmethod
    def scv(self) -> float:
        """Squared coefficient of variation of the interarrival time, >= 0."""

    def expected(self, horizon: float) -> float:
        """Return the expected number of arrivals in (0, horizon].

        Args:
            horizon: Time [s], > 0.

        Returns:
            The number, not rounded.
        """
        return self.rate * horizon

    @abstractmethod
    def parameters(self) -> tuple[float, ...]:
        """Return the numbers that :func:`arrivals_from_parameters` rebuilds the process from."""


SMALLEST, LARGEST = 1e-100, 1e100
"""Rates [1/s] and times [s] in use: their inverses, squares and sums are all finite numbers."""


def _require_positive(field: str, value: float) -> None:
    require(np.isfinite(value) and value > 0, field, "be finite and > 0", value)
    require(SMALLEST <= value <= LARGEST, field, f"lie in [{SMALLEST:g}, {LARGEST:g}]", value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Poisson(Arrivals):
    """Independent exponential interarrival times.

    Args:
        rate: Arrival rate [1/s], > 0.
    """

    name: ClassVar[str] = "poisson"
    rate: float = field()

    def __post_init__(self) -> None:
        _require_positive("rate", self.rate)

    @property
    def scv(self) -> float:
        return 1.0

    def parameters(self) -> tuple[float, ...]:
        return (self.rate,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Renewal(Arrivals):
    """Independent interarrival times by mean and SCV (gamma below 1, hyperexponential above).

    Args:
        mean: Mean interarrival time [s], > 0.
        scv: Squared coefficient of variation, > 0.
    """

    name: ClassVar[str] = "renewal"
    mean: float
    scv: float = field()

    def __post_init__(self) -> None:
        _require_positive("mean", self.mean)
        # The same range as that of the laws that the times between arrivals are drawn from.
        law = HyperExponential if self.scv >= 1 else Gamma
        law(mean=self.mean, scv=self.scv)

    @property
    def rate(self) -> float:
        return 1.0 / self.mean

    def parameters(self) -> tuple[float, ...]:
        return (self.mean, self.scv)


@dataclass(frozen=True, kw_only=True, slots=True)
class Periodic(Arrivals):
    """One request per period, each moved by a uniform jitter around its tick.

    Args:
        period: Time between ticks [s], > 0.
        jitter: Full width of the uniform jitter [s], in [0, period].
    """

    name: ClassVar[str] = "periodic"
    period: float
    jitter: float = 0.0

    def __post_init__(self) -> None:
        _require_positive("period", self.period)
        require(0 <= self.jitter <= self.period, "jitter", "lie in [0, period]", self.jitter)

    @property
    def rate(self) -> float:
        return 1.0 / self.period

    @property
    def scv(self) -> float:
        # The difference of two independent uniform jitters has variance jitter**2 / 6.
        return self.jitter**2 / (6.0 * self.period**2)

    def parameters(self) -> tuple[float, ...]:
        return (self.period, self.jitter)


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkovArrivals(Arrivals):
    """Markovian arrival process (MAP): ``d0`` moves silently, ``d1`` moves with an arrival.

    Args:
        d0: Square matrix of silent transition rates [1/s], negative diagonal.
        d1: Square matrix of arrival transition rates [1/s], >= 0; rows of d0 + d1 sum to 0.
    """

    name: ClassVar[str] = "map"
    d0: tuple[tuple[float, ...], ...]
    d1: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        for name in ("d0", "d1"):
            rows = tuple(tuple(float(x) for x in row) for row in getattr(self, name))
            object.__setattr__(self, name, rows)
            square = len(rows) > 0 and all(len(row) == len(rows) for row in rows)
            require(square, name, "be a square matrix", rows)
            require(bool(np.all(np.isfinite(rows))), name, "be finite", rows)
        d0, d1 = np.asarray(self.d0), np.asarray(self.d1)
        _require_positive("d0", float(np.abs(d0).max()))
        require(d0.shape == d1.shape, "d1", "have the shape of d0", self.d1)
        require(bool(np.all(d1 >= 0)) and d1.sum() > 0, "d1", "be >= 0 and not all 0", self.d1)
        off_diagonal = d0[~np.eye(len(d0), dtype=bool)]
        require(bool(np.all(off_diagonal >= 0)), "d0", "be >= 0 off its diagonal", self.d0)
        balanced = np.allclose((d0 + d1).sum(axis=1), 0.0, atol=1e-9 * np.abs(d0).max())
        require(balanced, "d0", "make every row of d0 + d1 sum to 0", self.d0)
        arriving = bool(np.linalg.matrix_rank(d0) == len(d0))
        require(arriving, "d0", "lead from every phase to an arrival", self.d0)

    def stationary(self) -> np.ndarray:
        """Return the long-run share of time in each phase."""
        generator = np.asarray(self.d0) + np.asarray(self.d1)
        size = len(generator)
        system = np.vstack([generator.T, np.ones(size)])
        right = np.append(np.zeros(size), 1.0)
        return np.asarray(np.linalg.lstsq(system, right, rcond=None)[0])

    @property
    def rate(self) -> float:
        return float(self.stationary() @ np.asarray(self.d1).sum(axis=1))

    @property
    def scv(self) -> float:
        # With phi the phase law at arrivals, E[T] = 1/rate and E[T^2] = 2 phi (-d0)^-2 1.
        inverse = np.linalg.inv(-np.asarray(self.d0))
        phi = self.stationary() @ np.asarray(self.d1) / self.rate
        second = 2.0 * float(phi @ inverse @ inverse @ np.ones(len(self.d0)))
        return second * self.rate**2 - 1.0

    def parameters(self) -> tuple[float, ...]:
        return tuple(x for matrix in (self.d0, self.d1) for row in matrix for x in row)


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkovModulated(Arrivals):
    """Two-phase Markov-modulated Poisson process (MMPP), the usual model of bursts.

    Args:
        rates: Arrival rate in each of the two phases [1/s], >= 0, not both 0.
        switch: Rate of leaving each phase [1/s], > 0.
    """

    name: ClassVar[str] = "mmpp"
    rates: tuple[float, float]
    switch: tuple[float, float]

    def __post_init__(self) -> None:
        for name in ("rates", "switch"):
            values = tuple(float(x) for x in getattr(self, name))
            object.__setattr__(self, name, values)
            require(len(values) == 2, name, "hold two numbers", values)
            proper = all(np.isfinite(x) and x >= 0 for x in values)
            require(proper, name, "be finite and >= 0", values)
        require(max(self.rates) > 0, "rates", "not both be 0", self.rates)
        require(min(self.switch) > 0, "switch", "be > 0", self.switch)
        for name, value in (("rates", max(self.rates)), *(("switch", x) for x in self.switch)):
            _require_positive(name, value)

    def as_map(self) -> MarkovArrivals:
        """Return the same process as a general MAP."""
        (r0, r1), (s0, s1) = self.rates, self.switch
        return MarkovArrivals(d0=((-r0 - s0, s0), (s1, -r1 - s1)), d1=((r0, 0.0), (0.0, r1)))

    @property
    def rate(self) -> float:
        return self.as_map().rate

    @property
    def scv(self) -> float:
        return self.as_map().scv

    def parameters(self) -> tuple[float, ...]:
        return (*self.rates, *self.switch)


@dataclass(frozen=True, kw_only=True, slots=True)
class PiecewisePoisson(Arrivals):
    """Poisson arrivals whose rate follows a schedule; the last rate lasts for ever.

    Args:
        times: Start of each piece [s], increasing, the first 0.
        rates: Rate in each piece [1/s], >= 0, the last > 0.
    """

    name: ClassVar[str] = "piecewise"
    is_stationary: ClassVar[bool] = False
    times: tuple[float, ...]
    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("times", "rates"):
            object.__setattr__(self, name, tuple(float(x) for x in getattr(self, name)))
        require(len(self.times) > 0 and self.times[0] == 0, "times", "start at 0", self.times)
        increasing = all(a < b for a, b in zip(self.times, self.times[1:], strict=False))
        require(increasing and np.isfinite(self.times[-1]), "times", "increase", self.times)
        matching = len(self.rates) == len(self.times)
        require(matching, "rates", f"have length {len(self.times)} like times", self.rates)
        proper = all(np.isfinite(x) and x >= 0 for x in self.rates) and self.rates[-1] > 0
        require(proper, "rates", "be finite and >= 0, the last > 0", self.rates)
        _require_positive("rates", self.rates[-1])
        require(max(self.rates) <= LARGEST, "rates", f"be at most {LARGEST:g}", self.rates)

    @property
    def rate(self) -> float:
        return self.rates[-1]

    @property
    def scv(self) -> float:
        return 1.0

    def expected(self, horizon: float) -> float:
        begin = np.minimum(self.times, horizon)
        return float(np.diff(begin, append=horizon) @ np.array(self.rates))

    def parameters(self) -> tuple[float, ...]:
        return (*self.times, *self.rates)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded(Arrivals):
    """Recorded arrival times, repeated end to end when a run is longer than the recording.

    Args:
        timestamps: Arrival times [s], non-decreasing, >= 0, the last > 0.
    """

    name: ClassVar[str] = "trace"
    is_stationary: ClassVar[bool] = False
    is_random: ClassVar[bool] = False
    timestamps: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "timestamps", tuple(float(t) for t in self.timestamps))
        times = np.asarray(self.timestamps)
        proper = times.size > 0 and np.all(np.isfinite(times)) and times[0] >= 0 and times[-1] > 0
        require(bool(proper), "timestamps", "be finite and >= 0, the last > 0", self.timestamps)
        ordered = bool(np.all(np.diff(times) >= 0))
        require(ordered, "timestamps", "not decrease", self.timestamps)
        _require_positive("timestamps", self.timestamps[-1])

    @property
    def rate(self) -> float:
        return len(self.timestamps) / self.timestamps[-1]

    @property
    def scv(self) -> float:
        gaps = np.diff(self.timestamps, prepend=0.0)
        return float(np.var(gaps) / np.mean(gaps) ** 2)

    def parameters(self) -> tuple[float, ...]:
        return self.timestamps


ARRIVALS: dict[str, type[Arrivals]] = {
    process.name: process
    for process in (
        Poisson,
        Renewal,
        Periodic,
        MarkovModulated,
        MarkovArrivals,
        PiecewisePoisson,
        Recorded,
    )
}
"""Every arrival process by its name in documents. The order fixes stored codes: append only."""

ARRIVAL_NAMES: tuple[str, ...] = tuple(ARRIVALS)
"""Process names by stored code."""


def arrivals_from_parameters(code: int, parameters: np.ndarray) -> Arrivals:
    """Rebuild an arrival process from its stored form.

    Args:
        code: Index into :data:`ARRIVAL_NAMES`.
        parameters: What :meth:`Arrivals.parameters` gave.

    Returns:
        The process.

    Example:
        >>> arrivals_from_parameters(0, Poisson(rate=2.0).parameters())
        Poisson(rate=2.0)
    """
    values = tuple(float(value) for value in parameters)
    cls = ARRIVALS[ARRIVAL_NAMES[code]]
    half = len(values) // 2
    if cls is MarkovModulated:
        return MarkovModulated(rates=values[:half], switch=values[half:])  # type: ignore[arg-type]
    if cls is PiecewisePoisson:
        return PiecewisePoisson(times=values[:half], rates=values[half:])
    if cls is Recorded:
        return Recorded(timestamps=values)
    if cls is MarkovArrivals:
        order = int(np.sqrt(half))
        rows = [values[k : k + order] for k in range(0, len(values), order)]
        return MarkovArrivals(d0=tuple(rows[:order]), d1=tuple(rows[order:]))
    return cls(**dict(zip((item.name for item in fields(cls)), values, strict=True)))  # type: ignore[arg-type]
