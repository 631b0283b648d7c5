"""Ratios of sums with honest standard errors.

Two estimates of the same error are compared. Between-replication variance sees everything but has
few degrees of freedom; batch means within the runs have many, but miss what a run never forgets (a
phase in which deterministic streams lock). The larger one is reported, and a row where the first is
much larger is labelled ``phase_dependent``.

References:
    Law, Simulation Modeling and Analysis, 5th ed., 2015, ch. 9 (batch means, ratio estimators).
    Wilson, Probable inference, J. Amer. Statist. Assoc. 22 (1927).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["INTERVAL_LEVEL", "Z_LEVEL", "Ratio", "rate", "ratio", "run_ratio", "wilson"]

Floats = NDArray[np.float64]

PHASE_RATIO = 3.0
"""Between-replication over batch-means standard error from which runs are phase dependent."""

RATE_BATCHES = 8
"""Batches of a run for rates. A saturated device completes nearly the same number in any long time,
so what one batch has too many the next one lacks; the fewer the borders, the less that adds."""

INTERVAL_LEVEL = 0.95
Z_LEVEL = 1.959963984540054
"""Normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of sums with its two standard errors.

    Args:
        value: The ratio [..., N].
        between: Its standard error by replications [..., N]; 0 where there is one run only.
        within: Its standard error by batch means [..., N]; 0 where there is one batch only.
    """

    value: Floats
    between: Floats
    within: Floats

    @property
    def se(self) -> Floats:
        """The larger of the two standard errors [..., N]."""
        return np.maximum(self.between, self.within)

    @property
    def phase_dependent(self) -> NDArray[np.bool_]:
        """Whether runs differ much more than the batches inside of them say [..., N]."""
        return np.asarray(self.between > PHASE_RATIO * self.within)


def ratio(numerator: Floats, denominator: Floats) -> Ratio:
    """Estimate sum(numerator) / sum(denominator) from runs and their batches.

    Args:
        numerator: Sums by run, row and batch [..., R, N, B].
        denominator: Sums by run, row and batch [..., R, N, B].

    Returns:
        The ratio over all runs [..., N]; NaN where the denominator is 0 everywhere.
    """
    runs, _, batches = numerator.shape[-3:]
    with np.errstate(divide="ignore", invalid="ignore"):
        top, bottom = numerator.sum(axis=-1), denominator.sum(axis=-1)
        total = bottom.sum(axis=-2)
        value = top.sum(axis=-2) / total
        residual = top - value[..., None, :] * bottom
        between = np.sqrt(runs / max(runs - 1, 1) * (residual**2).sum(axis=-2)) / total
        own = np.where(bottom > 0, top / bottom, 0.0)
        residual = numerator - own[..., None] * denominator
        freedom = batches / max(batches - 1, 1)
        within = np.sqrt(freedom * (residual**2).sum(axis=(-3, -1))) / total
    if runs == 1:
        between = np.zeros_like(within)
    if batches == 1:
        within = np.zeros_like(between)
    if runs == batches == 1:
        within = np.full_like(within, np.nan)
    return Ratio(value, between, within)


def rate(counts: Floats, seconds: float | Floats) -> Ratio:
    """Estimate events per second, the randomness of their number included.

    Args:
        counts: Events by run, row and batch [..., R, N, B].
        seconds: Length of one run, all its batches together [s] [...].

    Returns:
        The rate [1/s] [..., N].
    """
    *others, batches = counts.shape
    if batches % RATE_BATCHES == 0:
        counts, batches = counts.reshape(*others, RATE_BATCHES, -1).sum(axis=-1), RATE_BATCHES
    # Written out, for sums over an array without strides are made in another order.
    spans = np.empty(counts.shape)
    spans[...] = np.asarray(seconds / batches)[..., None, None, None]
    return ratio(counts, spans)


def run_ratio(numerator: Floats, denominator: Floats) -> tuple[Floats, Floats]:
    """Estimate a ratio of sums from runs alone.

    Args:
        numerator: Sums by run and row [..., R, N].
        denominator: Sums by run and row [..., R, N].

    Returns:
        The ratio [..., N], and its standard error [..., N]: NaN where there is one run only.
    """
    runs = numerator.shape[-2]
    with np.errstate(divide="ignore", invalid="ignore"):
        total = denominator.sum(axis=-2)
        value = numerator.sum(axis=-2) / total
        residual = numerator - value[..., None, :] * denominator
        se = np.sqrt(runs / max(runs - 1, 1) * (residual**2).sum(axis=-2)) / total
    return value, se if runs > 1 else np.full_like(se, np.nan)


def wilson(ratio: Floats, se: Floats, offered: Floats) -> tuple[Floats, Floats]:
    """Return 95 % Wilson bounds of a loss ratio at its effective sample size.

    Args:
        ratio: Loss ratios [N], in [0, 1].
        se: Their standard errors [N].
        offered: Jobs behind them [N].

    Returns:
        Lower and upper bounds [N]; never empty, also when no loss was seen.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(se > 0, ratio * (1 - ratio) / se**2, offered)
        size = np.minimum(np.maximum(size, 1.0), np.maximum(offered, 1.0))
        centre = (ratio + Z_LEVEL**2 / (2 * size)) / (1 + Z_LEVEL**2 / size)
        half = (Z_LEVEL / (1 + Z_LEVEL**2 / size)) * np.sqrt(
            ratio * (1 - ratio) / size + Z_LEVEL**2 / (4 * size**2)
        )
    # Where nothing or everything was lost, rounding alone would leave the ratio outside.
    low, high = np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
    return np.minimum(low, ratio), np.maximum(high, ratio)
