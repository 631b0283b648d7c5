"""Confidence tables of a network: how many answers of each exit reach a confidence, by context.

On their own they say who would leave at an exit if nobody had left before. They turn thresholds
into shares, on which networks learn far more easily, and they are linear: the table of a mixture of
contexts is the mixture of their tables.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datagen.exits import ExitTrace
from surrogate.exits.constants import TINY

__all__ = ["ConfidenceTable", "lookup", "table_of"]


class ConfidenceTable(NamedTuple):
    """Shares of answers that reach a confidence, in C contexts, at E exits, for M knots.

    Args:
        knots: Confidences, increasing from 0 to 1 [E, M].
        right: Share of samples that are answered rightly with at least that confidence [C, E, M].
        wrong: Share that are answered wrongly with at least that confidence [C, E, M].
    """

    knots: Tensor
    right: Tensor
    wrong: Tensor

    def mixed(self, shares: Tensor) -> ConfidenceTable:
        """Return the table of mixtures of the contexts.

        Args:
            shares: Share of each context in each mixture [R, C], rows sum to 1.

        Returns:
            The table in R contexts.
        """
        right = torch.einsum("rc,cem->rem", shares, self.right)
        wrong = torch.einsum("rc,cem->rem", shares, self.wrong)
        return ConfidenceTable(self.knots, right, wrong)


def table_of(trace: ExitTrace, knots: int) -> ConfidenceTable:
    """Tabulate a trace.

    Args:
        trace: The trace; without contexts, all samples are of one.
        knots: Number of knots M per exit, >= 2; they lie at quantiles of all confidences there.

    Returns:
        The table, in double precision.
    """
    levels = np.linspace(0.0, 1.0, knots)
    places = np.quantile(trace.confidences, levels, axis=0).T  # [E, M]
    increasing = np.stack([_increasing(row) for row in places])
    context = np.zeros(trace.samples, int) if trace.context is None else trace.context
    right, wrong = [], []
    for number in range(int(context.max()) + 1):
        chosen = context == number
        confidences, correct = trace.confidences[chosen], trace.correct[chosen]
        reached = confidences[:, :, None] >= increasing  # [N, E, M]
        right.append((reached & correct[:, :, None]).mean(axis=0))
        wrong.append((reached & ~correct[:, :, None]).mean(axis=0))
    return ConfidenceTable(
        torch.from_numpy(increasing),
        torch.from_numpy(np.stack(right)),
        torch.from_numpy(np.stack(wrong)),
    )


def _increasing(places: np.ndarray) -> np.ndarray:
    """Return as many knots that do increase, from 0 to 1, where equal ones fall together."""
    distinct = np.unique(np.concatenate([[0.0], places, [1.0]]))
    positions = np.linspace(0, len(distinct) - 1, len(places))
    return np.asarray(np.interp(positions, np.arange(len(distinct)), distinct))


def lookup(table: ConfidenceTable, thresholds: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """Return the shares of right and of wrong answers that reach thresholds.

    Between knots, shares are interpolated, so that gradients exist.

    Args:
        table: The table of C contexts.
        thresholds: Thresholds of the first exits [B, X], X <= E.
        row: Context of each [B].

    Returns:
        Shares of all samples [B, X], right and wrong; not increasing in the threshold.
    """
    exits, knots = table.knots.shape
    count = thresholds.shape[1]
    tau = thresholds.clamp(0.0, 1.0)
    bounds = table.knots[:count, 1:-1].contiguous()
    above = torch.searchsorted(bounds, tau.detach().t().contiguous(), right=True).t()  # [B, X]
    below = above + knots * torch.arange(count, device=tau.device)
    start, end = table.knots.reshape(-1)[below], table.knots.reshape(-1)[below + 1]
    # Knots that are equal in single precision are never both around a threshold, except at 1.
    part = (tau - start) / (end - start).clamp_min(TINY)
    place = below + (exits * knots * row)[:, None]
    flat = (table.right.reshape(-1), table.wrong.reshape(-1))
    right, wrong = (torch.lerp(shares[place], shares[place + 1], part) for shares in flat)
    return right, wrong
