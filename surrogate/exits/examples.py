"""Training examples: what a network is given, and who left where in truth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datagen.exits.counts import ExitCounts

__all__ = ["ExitExample", "Outcomes", "outcomes_of"]


class Outcomes(NamedTuple):
    """Shares of all samples by exit, [..., E]; what tables and truths of mixtures are linear in.

    Args:
        mix: Share that leaves at the exit.
        right: Share that leaves there and is answered rightly.
        confidence: Sum of the confidences of those who leave there, over all samples.
    """

    mix: Tensor
    right: Tensor
    confidence: Tensor


def outcomes_of(counts: list[ExitCounts]) -> Outcomes:
    """Stack counts of the same vectors, in single precision.

    Args:
        counts: Counts of B vectors in each of C contexts, or of C networks.

    Returns:
        Shares [C, B, E].
    """

    def shares(name: str) -> Tensor:
        values: list[NDArray[np.float64]] = [
            getattr(item, name) / item.leaving.sum(axis=1, keepdims=True) for item in counts
        ]
        return torch.from_numpy(np.stack(values)).float()

    return Outcomes(shares("leaving"), shares("right"), shares("confidence"))


class ExitExample(NamedTuple):
    """A batch.

    Args:
        inputs: Arguments of the network.
        truth: Shares [B, E].
    """

    inputs: tuple[object, ...]
    truth: Outcomes

    @property
    def vectors(self) -> int:
        """Number of vectors of thresholds, B."""
        return len(self.truth.mix)
