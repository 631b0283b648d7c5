"""How alike two traces are: what a synthetic one must show against the recorded one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.exits.trace import ExitTrace

__all__ = ["Likeness", "compare_traces", "exit_mixes"]

Floats = NDArray[np.float64]

VECTORS = 200
"""Random threshold vectors that exit mixes are compared at."""

LEVELS = (0.25, 0.5, 0.75)
"""Quantiles of an exit's confidences that serve as thresholds when leaves are correlated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Likeness:
    """Distances between two traces; all are 0 for equal ones.

    Args:
        confidence: Kolmogorov-Smirnov distance of the confidences at each exit [E].
        accuracy: Difference of the accuracies at each exit, first minus second [E].
        leaving: Largest difference, over all pairs of exits, between correlations of whether a
            sample would leave at the one and whether it would leave at the other.
        mix: Mean absolute difference of exit probabilities over random threshold vectors.
        answers: Mean absolute difference of the accuracy over the same vectors.
    """

    confidence: Floats
    accuracy: Floats
    leaving: float
    mix: float
    answers: float


def compare_traces(
    first: ExitTrace, second: ExitTrace, *, vectors: int = VECTORS, seed: int = 0
) -> Likeness:
    """Compare two traces of one network, or of a network and its model.

    Args:
        first: A trace of E exits.
        second: Another one.
        vectors: Number of threshold vectors, uniform in the range of the first's confidences.
        seed: Of the vectors.

    Returns:
        Their distances.

    Raises:
        InvalidInputError: If they do not have the same number of exits, or there are no vectors.

    Example:
        >>> trace = ExitTrace(name="t", confidences=[[0.2, 1.0], [0.6, 0.9]],
        ...                   correct=[[0, 1], [1, 1]])
        >>> compare_traces(trace, trace).mix
        0.0
    """
    same = first.exits == second.exits
    require(same, "second", f"have {first.exits} exits", second.exits)
    require(vectors >= 1, "vectors", "be >= 1", vectors)
    lowest = first.confidences.min(axis=0)[:-1]
    rng = np.random.default_rng(seed)
    tau = lowest + (1 - lowest) * rng.random((vectors, first.exits - 1))
    (mix, right), (other_mix, other_right) = exit_mixes(first, tau), exit_mixes(second, tau)
    return Likeness(
        confidence=np.array([
            _distance(first.confidences[:, e], second.confidences[:, e]) for e in range(first.exits)
        ]),
        accuracy=first.correct.mean(axis=0) - second.correct.mean(axis=0),
        leaving=_leaving(first, second),
        mix=float(np.abs(mix - other_mix).mean()),
        answers=float(np.abs(right - other_right).mean()),
    )


def exit_mixes(trace: ExitTrace, tau: Floats) -> tuple[Floats, Floats]:
    """Count where the samples of a trace leave.

    Args:
        trace: N samples at E exits.
        tau: Threshold vectors [B, E - 1].

    Returns:
        Share of the samples that leave at each exit [B, E], and share answered rightly [B].
    """
    mixes = np.empty((len(tau), trace.exits))
    right = np.empty(len(tau))
    for row, thresholds in enumerate(tau):
        sure = trace.confidences >= np.append(thresholds, 0.0)
        left = sure.argmax(axis=1)  # the first exit that is sure enough
        mixes[row] = np.bincount(left, minlength=trace.exits) / trace.samples
        right[row] = trace.correct[np.arange(trace.samples), left].mean()
    return mixes, right


def _distance(first: Floats, second: Floats) -> float:
    """Return the largest difference of two empirical distribution functions."""
    points = np.concatenate([first, second])
    shares = [
        np.searchsorted(np.sort(values), points, side="right") / len(values)
        for values in (first, second)
    ]
    return float(np.abs(shares[0] - shares[1]).max())


def _leaving(first: ExitTrace, second: ExitTrace) -> float:
    """Return the largest difference of correlations between leaving at two exits."""
    largest = 0.0
    for level in LEVELS:
        tau = np.quantile(first.confidences, level, axis=0)
        leaves = [(trace.confidences >= tau).astype(float) for trace in (first, second)]
        for one, other in combinations(range(first.exits), 2):
            known = [_correlation(each[:, one], each[:, other]) for each in leaves]
            largest = max(largest, abs(known[0] - known[1]))
    return largest


def _correlation(first: Floats, second: Floats) -> float:
    """Return the correlation; 0 where one of them is always the same."""
    spread = first.std() * second.std()
    both = float(((first - first.mean()) * (second - second.mean())).mean())
    return both / float(spread) if spread > 0 else 0.0
