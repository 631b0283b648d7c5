"""How many Poisson arrivals fall in one service: all that an M/G/1/K queue knows of its service.

A service of length S sees A arrivals, Poisson with mean (arrival rate * S). Each law of S becomes
P(A = 0), P(A > n) and E[(A - n)+]. Closed forms give each value at its own relative accuracy,
however small it is, which sums over P(A = k) would lose.

With a load of mean ``x`` and Poisson A, P(A > n) is a regularized incomplete gamma function; mixed
over a gamma law, A is negative binomial and P(A > n) a regularized incomplete beta function. In
both families E[A; A > n] is the mean times a tail of the same family, hence E[(A - n)+].

References:
    Johnson, Kemp and Kotz, Univariate Discrete Distributions, 3rd ed., 2005, ch. 4, 5 and 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, gammainc

from datagen.errors import require

__all__ = [
    "MAX_LOAD",
    "ArrivalCounts",
    "deterministic_counts",
    "discrete_counts",
    "exponential_counts",
    "gamma_counts",
    "lognormal_counts",
    "mixed_counts",
]

Array = NDArray[np.float64]

MAX_LOAD = 200.0
"""Largest load: beyond it P(A = 0) = e^-load squared leaves the range of a float64."""

_NORMAL_REACH = 10.0
"""Standard deviations of a lognormal's logarithm that the quadrature covers: 1e-23 is outside."""

_POINTS_PER_WIDTH = 1.5
"""Trapezoids per standard deviation of the narrowest factor: error exp(-2 pi^2 1.5^2) < 1e-19."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalCounts:
    """Law of the number A of arrivals in one service, as far as a buffer of K jobs can see it."""

    load: Array
    """Mean of A, the offered load, shape [...]."""
    none: Array
    """P(A = 0), shape [...]."""
    exceed: Array
    """P(A > n) for n = 0..K-1, shape [..., K]."""
    excess: Array
    """E[(A - n)+] for n = 0..K, shape [..., K+1]."""

    @property
    def capacity(self) -> int:
        """K, the largest capacity that the arrays serve, the job in service included."""
        return int(self.exceed.shape[-1])


def deterministic_counts(load: ArrayLike, capacity: int) -> ArrivalCounts:
    """Return the arrivals during a service of constant length.

    Args:
        load: Arrival rate times service time, any shape [...], in (0, ``MAX_LOAD``].
        capacity: K, the job in service included, >= 1.

    Returns:
        The counts, shape [...].

    Raises:
        InvalidInputError: If an argument is out of range.
    """
    mean = _checked_load(load, capacity)
    x = mean[..., None]
    n = np.arange(capacity + 1)
    excess = np.empty((*mean.shape, capacity + 1))
    excess[..., :1] = x
    excess[..., 1:] = x * gammainc(n[1:], x) - n[1:] * gammainc(n[1:] + 1, x)
    exceed = np.asarray(gammainc(n[:-1] + 1, x), dtype=np.float64)
    none = np.asarray(np.exp(-mean))
    return ArrivalCounts(load=mean, none=none, exceed=exceed, excess=excess)


def gamma_counts(load: ArrayLike, scv: float, capacity: int) -> ArrivalCounts:
    """Return the arrivals during a gamma-distributed service (Erlang where 1/scv is whole).

    Args:
        load: Arrival rate times mean service time, any shape [...], in (0, ``MAX_LOAD``].
        scv: Squared coefficient of variation of the service time, > 0.
        capacity: K, the job in service included, >= 1.

    Returns:
        The counts, shape [...].

    Raises:
        InvalidInputError: If an argument is out of range.
    """
    mean = _checked_load(load, capacity)
    require(scv > 0, "scv", "be > 0", scv)
    shape = 1.0 / scv
    x = mean[..., None]
    more = x * scv / (1.0 + x * scv)
    n = np.arange(capacity + 1)
    excess = np.empty((*mean.shape, capacity + 1))
    excess[..., :1] = x
    excess[..., 1:] = x * betainc(n[1:], shape + 1.0, more)
    excess[..., 1:] -= n[1:] * betainc(n[1:] + 1, shape, more)
    exceed = np.asarray(betainc(n[:-1] + 1, shape, more), dtype=np.float64)
    none = np.asarray(np.exp(-shape * np.log1p(mean * scv)))
    return ArrivalCounts(load=mean, none=none, exceed=exceed, excess=excess)


def exponential_counts(load: ArrayLike, capacity: int) -> ArrivalCounts:
    """Return the arrivals during an exponential service.

    Args:
        load: Arrival rate times mean service time, any shape [...], in (0, ``MAX_LOAD``].
        capacity: K, the job in service included, >= 1.

    Returns:
        The counts, shape [...].
    """
    return gamma_counts(load, 1.0, capacity)


def lognormal_counts(load: float, scv: float, capacity: int) -> ArrivalCounts:
    """Return the arrivals during a lognormal service, by the trapezoidal rule on its logarithm.

    Args:
        load: Arrival rate times mean service time, in (0, ``MAX_LOAD``].
        scv: Squared coefficient of variation of the service time, > 0.
        capacity: K, the job in service included, >= 1.

    Returns:
        The counts, shape [].

    Raises:
        InvalidInputError: If an argument is out of range.
    """
    require(scv > 0, "scv", "be > 0", scv)
    sigma = float(np.sqrt(np.log1p(scv)))
    # P(A > n | S) rises over a range 1/sqrt(n) of log S, the normal density over 1 of z.
    width = min(1.0, 1.0 / (sigma * np.sqrt(capacity + 1.0)))
    reach = _NORMAL_REACH + sigma  # E[A; ...] moves the weight up by sigma
    points = 2 * int(np.ceil(reach * _POINTS_PER_WIDTH / width)) + 1
    z = np.linspace(-reach, reach, points)
    weights = np.exp(-0.5 * z**2)
    loads = load * np.exp(sigma * z - 0.5 * sigma**2)
    return _averaged(loads, weights / weights.sum(), capacity)


def discrete_counts(loads: ArrayLike, probabilities: ArrayLike, capacity: int) -> ArrivalCounts:
    """Return the arrivals during a service that takes one of a few constant lengths.

    This is the service of a device that several chains with constant works share.

    Args:
        loads: Arrival rate times each length, shape [N], in (0, ``MAX_LOAD``].
        probabilities: Probability of each length, shape [N], >= 0, sum 1.
        capacity: K, the job in service included, >= 1.

    Returns:
        The counts, shape [].

    Raises:
        InvalidInputError: If an argument is out of range.
    """
    x = _checked_load(loads, capacity)
    weights = np.asarray(probabilities, dtype=np.float64)
    require(weights.shape == x.shape, "probabilities", f"have shape {x.shape}", weights.shape)
    _require_probabilities(weights)
    return _averaged(x, weights, capacity)


def mixed_counts(parts: Sequence[ArrivalCounts], probabilities: Sequence[float]) -> ArrivalCounts:
    """Return the arrivals during a service whose law is drawn first, for example hyperexponential.

    Args:
        parts: Counts of each law, equal shapes and capacities, at least one.
        probabilities: Probability of each law, one per part, >= 0, sum 1.

    Returns:
        The counts of the mixture.

    Raises:
        InvalidInputError: If the probabilities do not fit the parts or do not sum to 1.
    """
    require(len(parts) >= 1, "parts", "not be empty", parts)
    weights = np.asarray(probabilities, dtype=np.float64)
    require(weights.shape == (len(parts),), "probabilities", f"have {len(parts)} items", weights)
    _require_probabilities(weights)

    def average(arrays: list[Array]) -> Array:
        return np.tensordot(weights, np.stack(arrays), axes=1)

    return ArrivalCounts(
        load=average([part.load for part in parts]),
        none=average([part.none for part in parts]),
        exceed=average([part.exceed for part in parts]),
        excess=average([part.excess for part in parts]),
    )


def _averaged(loads: Array, weights: Array, capacity: int) -> ArrivalCounts:
    """Average the counts of constant services of loads [N], which may go beyond ``MAX_LOAD``."""
    n = np.arange(1, capacity + 1)[:, None]
    tails = gammainc(np.arange(1, capacity + 2)[:, None], loads)
    excess = (loads * tails[:-1] - n * tails[1:]) @ weights
    mean = loads @ weights
    return ArrivalCounts(
        load=_checked_load(mean, capacity),
        none=np.asarray(np.exp(-loads) @ weights),
        exceed=tails[:-1] @ weights,
        excess=np.concatenate([[mean], excess]),
    )


def _checked_load(load: ArrayLike, capacity: int) -> Array:
    require(capacity >= 1, "capacity", "be >= 1", capacity)
    mean = np.asarray(load, dtype=np.float64)
    in_range = bool(np.all((mean > 0) & (mean <= MAX_LOAD)))
    require(in_range, "load", f"be in (0, {MAX_LOAD:g}]", load)
    return mean


_SUM_TOLERANCE = 1e-9
"""Distance of a sum of probabilities from 1 that rounding of decimal input explains."""


def _require_probabilities(weights: Array) -> None:
    valid = bool(np.all(weights >= 0)) and abs(float(weights.sum()) - 1.0) <= _SUM_TOLERANCE
    require(valid, "probabilities", "be >= 0 and sum to 1", weights.tolist())
