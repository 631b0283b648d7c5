"""From thresholds to where jobs leave and how often they are right, with gradients."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from datagen.errors import require
from datagen.exits import ExitTrace
from surrogate.exit_kernel import fill_leaving

__all__ = ["CLOSED", "ExitModel", "Leaving", "TraceExits"]

CLOSED = 1.01
"""Threshold that closes an exit: no confidence is above 1."""

WIDTH = 0.03
"""Share of the samples over which the gradient of a threshold is spread out: at a single sample the
count jumps, and has none."""


MOST = 4000
"""Samples that a search counts over: fewer, and thresholds would fit the samples more than the
network."""

WHOLE_BITS = 30
"""Bits of a whole number that sums over all samples may take: shares of right answers are counted
in multiples of a power of two, of which right and wrong are exact ones."""


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """What happens to the jobs of one network.

    Args:
        mix: Share of the jobs that leave at each exit [B, E].
        right: Share of the jobs that leave there and are right [B, E].
    """

    mix: Tensor
    right: Tensor


class ExitModel(nn.Module):
    """Predicts from *levels* where jobs leave.

    The level of an exit is the share of its confidences that are below its threshold: 0 lets all
    jobs leave and 1 closes the exit. Levels are alike for well and badly calibrated networks, whose
    confidences may all lie above 0.99.
    """

    @property
    @abstractmethod
    def exits(self) -> int:
        """Number of exits E, the final classifier included."""

    @abstractmethod
    def forward(self, levels: Tensor) -> Leaving:
        """Predict where jobs leave.

        Args:
            levels: Levels of the intermediate classifiers in [0, 1] [B, E - 1].

        Returns:
            Shares that sum to 1.
        """

    def roughly(self, levels: Tensor, samples: int) -> Leaving:
        """Predict where jobs leave as well as a first climb needs, cheaply where that can be done.

        Args:
            levels: Levels of the intermediate classifiers in [0, 1] [B, E - 1].
            samples: Samples that are enough, >= 1, where samples are counted.

        Returns:
            Shares that sum to 1, with gradients.
        """
        del samples
        return self(levels)  # type: ignore[no-any-return]

    @abstractmethod
    def thresholds(self, levels: np.ndarray) -> np.ndarray:
        """Return the thresholds that levels stand for.

        Args:
            levels: Levels in [0, 1] [B, E - 1].

        Returns:
            Thresholds [B, E - 1].
        """


class TraceExits(ExitModel):
    """Counts over a trace: exact values, and gradients as if every sample were a little spread out.

    Args:
        trace: The trace.
        straight_through: Whether values are exact counts; otherwise they are as smooth as the
            gradients, which then are those of the values.
        width: Share of the samples over which a sample is spread out, > 0.
        most: Largest number of samples counted, >= 1; of more, as many evenly spread ones.
        right: How likely each answer is right, in [0, 1] [N, E]; those recorded by default.
    """

    def __init__(
        self,
        trace: ExitTrace,
        *,
        straight_through: bool = True,
        width: float = WIDTH,
        most: int = MOST,
        right: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        require(width > 0, "width", "be > 0", width)
        require(most >= 1, "most", "be >= 1", most)
        answers = trace.correct if right is None else np.asarray(right)
        shaped = answers.shape == trace.correct.shape
        require(shaped, "right", f"have shape {trace.correct.shape}", answers.shape)
        self.straight_through = straight_through
        self.width = width
        samples = min(most, trace.samples)
        rows = np.linspace(0, trace.samples - 1, samples).astype(int)
        confidences, correct = trace.confidences[rows], answers[rows]
        self._ordered = np.sort(confidences[:, :-1], axis=0)
        # The share of confidences up to a sample's own, less half a sample: inside (0, 1).
        below = np.stack(
            [
                np.searchsorted(ordered, own, side="right")
                for ordered, own in zip(self._ordered.T, confidences.T, strict=False)
            ],
            axis=1,
        )
        rank = ((below - 0.5) / samples).astype(np.float32)
        self.register_buffer("rank", torch.from_numpy(rank))
        self.register_buffer("correct", torch.from_numpy(correct.astype(np.float32)))
        self._rank_by_exit = np.ascontiguousarray(rank.T)
        self._unit = 2.0 ** (WHOLE_BITS - math.ceil(math.log2(samples)))
        self._answers = np.ascontiguousarray(np.round(self._unit * correct.T), dtype=np.int32)

    rank: Tensor
    correct: Tensor

    @property
    def exits(self) -> int:
        return int(self.correct.shape[1])

    def forward(self, levels: Tensor) -> Leaving:
        if self.straight_through and not torch.is_grad_enabled():
            return self._counted(levels)
        return self._spread_out(levels, self.rank, self.correct)

    def roughly(self, levels: Tensor, samples: int) -> Leaving:
        apart = max(1, len(self.rank) // samples)
        return self._spread_out(levels, self.rank[::apart], self.correct[::apart])

    def _spread_out(self, levels: Tensor, rank: Tensor, correct: Tensor) -> Leaving:
        """Count some samples [N, E - 1], [N, E] with the gradients of spread-out ones."""
        beyond = rank[None] - levels[:, None]  # [B, N, E - 1]
        stops = torch.sigmoid(beyond / self.width)
        if self.straight_through:
            stops = stops + ((beyond >= 0).to(stops.dtype) - stops).detach()
        going_on = torch.cumprod(1.0 - stops, dim=2)
        reaching = torch.cat([torch.ones_like(going_on[..., :1]), going_on[..., :-1]], dim=2)
        leaving = torch.cat([reaching * stops, going_on[..., -1:]], dim=2)  # [B, N, E]
        return Leaving(mix=leaving.mean(dim=1), right=(leaving * correct).mean(dim=1))

    def _counted(self, levels: Tensor) -> Leaving:
        """Return the same values without what gradients need, many times as fast."""
        vectors = np.ascontiguousarray(levels.cpu().numpy(), dtype=np.float32)
        shape, samples = (len(vectors), self.exits), len(self.rank)
        left, leaving, right = (np.empty(s, dtype=np.int32) for s in (samples, shape, shape))
        fill_leaving(self._rank_by_exit, self._answers, vectors, left, leaving, right)
        mix = torch.from_numpy(leaving / samples)
        return Leaving(
            mix=mix.to(levels), right=torch.from_numpy(right / (self._unit * samples)).to(levels)
        )

    def thresholds(self, levels: np.ndarray) -> np.ndarray:
        """Return values halfway below the first sample that leaves; above 1 where none does."""
        samples = len(self._ordered)
        # Rank (k + 1/2) / N of the k-th sample is at least the level from k = level N - 1/2 on.
        first = np.ceil(np.asarray(levels, dtype=np.float64) * samples - 0.5 - 1e-6).astype(int)
        found = np.full(first.shape, CLOSED)
        for column, ordered in enumerate(self._ordered.T):
            leaves = first[:, column] < samples
            least = ordered[np.maximum(first[leaves, column], 0)]
            place = np.searchsorted(ordered, least)  # of equal samples, the first
            below = ordered[np.maximum(place - 1, 0)]
            found[leaves, column] = np.where(place > 0, 0.5 * (least + below), 0.0)
        return found
