"""The empirical table: who leaves where, counted sample by sample over a trace.

This is what a trace says about a vector of thresholds, and the rival of all that predicts it:
exact for the samples it counts, as noisy as they are few, and without a gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.errors import InvalidInputError, require
from datagen.exits.count_kernel import fill_counts
from datagen.exits.trace import ExitTrace

__all__ = ["ExitCounts", "checked_thresholds", "count_exits", "samples_in"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ExitCounts:
    """Counts of the samples of a trace by exit, under B vectors of thresholds.

    Args:
        leaving: Samples that leave at each exit [B, E].
        right: Those of them that are answered rightly [B, E].
        confidence: Sum of their confidences [B, E].
    """

    leaving: NDArray[np.int64]
    right: NDArray[np.int64]
    confidence: Floats

    @cached_property
    def mix(self) -> Floats:
        """Share of the samples that leaves at each exit [B, E]; rows sum to 1."""
        return np.asarray(self.leaving / self.leaving.sum(axis=1, keepdims=True))

    @cached_property
    def accuracy(self) -> Floats:
        """Share of right answers among those who leave there [B, E], NaN where nobody does."""
        return _shares(self.right, self.leaving)

    @cached_property
    def mean_confidence(self) -> Floats:
        """Mean confidence of those who leave there [B, E], NaN where nobody does."""
        return _shares(self.confidence, self.leaving)

    @cached_property
    def overall_accuracy(self) -> Floats:
        """Share of right answers among all samples [B]."""
        return np.asarray(self.right.sum(axis=1) / self.leaving.sum(axis=1))


def _shares(part: NDArray[np.generic], whole: NDArray[np.int64]) -> Floats:
    shares = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def checked_thresholds(thresholds: ArrayLike, exits: int) -> Floats:
    """Check vectors of thresholds for a network.

    Args:
        thresholds: One threshold per intermediate classifier, or one per exit with 0 for the final
            one [B, E - 1] or [B, E]; finite, >= 0; above 1 closes the exit.
        exits: Number of exits of the network, E.

    Returns:
        Thresholds of the intermediate classifiers [B, E - 1].

    Raises:
        InvalidInputError: If they have another shape or are out of range.
    """
    try:
        values = np.asarray(thresholds, dtype=np.float64)
    except (TypeError, ValueError):
        rule = "be vectors of numbers of one length"
        raise InvalidInputError("thresholds", rule, thresholds) from None
    fitting = values.ndim == 2 and values.shape[1] in (exits - 1, exits)
    rule = f"have shape [B, {exits - 1}], one per intermediate classifier, or [B, {exits}]"
    require(fitting, "thresholds", rule, values.shape)
    proper = np.isfinite(values) & (values >= 0)
    if not proper.all():
        b, e = np.argwhere(~proper)[0]
        raise InvalidInputError(f"thresholds[{b}][{e}]", "be finite and >= 0", float(values[b, e]))
    if values.shape[1] == exits:
        open_to_all = values[:, -1] == 0
        if not open_to_all.all():
            b = int(np.argmin(open_to_all))
            field = f"thresholds[{b}][{exits - 1}]"
            raise InvalidInputError(field, "be 0 at the final classifier", float(values[b, -1]))
    return values[:, : exits - 1]


def samples_in(trace: ExitTrace, context: int) -> ExitTrace:
    """Return the samples of one context.

    Args:
        trace: A trace with contexts.
        context: One of them.

    Returns:
        A trace without contexts.

    Raises:
        InvalidInputError: If the trace has no such context.
    """
    rule = f"lie in [0, {trace.contexts})"
    require(trace.context is not None and 0 <= context < trace.contexts, "context", rule, context)
    rows = np.flatnonzero(trace.context == context)
    return ExitTrace(
        name=trace.name,
        confidences=trace.confidences[rows],
        correct=trace.correct[rows],
        cost=trace.cost,
    )


def count_exits(trace: ExitTrace, thresholds: ArrayLike, context: int | None = None) -> ExitCounts:
    """Count where the samples of a trace leave.

    Args:
        trace: The trace, N samples at E exits.
        thresholds: Vectors of thresholds, see :func:`checked_thresholds`.
        context: Context whose samples count; all of them by default.

    Returns:
        The counts.

    Example:
        >>> trace = ExitTrace(name="t", confidences=[[0.9, 1.0], [0.4, 0.7]],
        ...                   correct=[[1, 1], [0, 1]])
        >>> count_exits(trace, [[0.5], [1.5]]).mix.tolist()
        [[0.5, 0.5], [0.0, 1.0]]
    """
    tau = np.ascontiguousarray(checked_thresholds(thresholds, trace.exits))
    chosen = trace if context is None else samples_in(trace, context)
    shape = (len(tau), trace.exits)
    leaving, right = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    confidence = np.zeros(shape)
    fill_counts(chosen.confidences, chosen.correct, tau, leaving, right, confidence)
    return ExitCounts(leaving=leaving, right=right, confidence=confidence)
