"""What is predicted about exits, and the rules that hold by construction."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["ExitPrediction", "exit_mix", "thresholded"]


@dataclass(frozen=True, kw_only=True)
class ExitPrediction:
    """Predictions for B vectors of thresholds of a network with E exits.

    Args:
        leaving: Share that leaves at each exit of those who get there, h [B, E].
        mix: Share of all that leaves there, p [B, E]; rows sum to 1.
        accuracy: Share of right answers of those who leave there [B, E], in [0, 1].
        confidence: Their mean confidence [B, E], at least the threshold where that is open.
    """

    leaving: Tensor
    mix: Tensor
    accuracy: Tensor
    confidence: Tensor

    @property
    def overall_accuracy(self) -> Tensor:
        """Share of right answers among all [B]."""
        return (self.mix * self.accuracy).sum(-1)


def exit_mix(leaving: Tensor) -> Tensor:
    """Return the exit mix, p_e = h_e (1 - h_0) ... (1 - h_{e-1}).

    Args:
        leaving: Share that leaves at each exit of those who get there, h [..., E]; the last is 1.

    Returns:
        Shares of all [..., E]; they sum to 1, for the sum telescopes.
    """
    reaching = torch.cumprod(1.0 - leaving[..., :-1], dim=-1)
    return leaving * torch.cat([torch.ones_like(leaving[..., :1]), reaching], dim=-1)


def thresholded(leaving: Tensor, thresholds: Tensor) -> Tensor:
    """Make the ends exact, and let everybody leave at the final classifier.

    Args:
        leaving: Predicted share that leaves at each intermediate classifier [..., E - 1].
        thresholds: Their thresholds [..., E - 1].

    Returns:
        Shares [..., E]: 1 where the threshold is 0, 0 where it is above 1.
    """
    zero, one = torch.zeros_like(leaving), torch.ones_like(leaving)
    exact = torch.where(thresholds > 1, zero, torch.where(thresholds <= 0, one, leaving))
    return torch.cat([exact, torch.ones_like(leaving[..., :1])], dim=-1)
