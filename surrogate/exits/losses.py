"""The training loss of exit predictors: absolute errors of shares, as they are judged."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from datagen.errors import require
from surrogate.exits.examples import Outcomes
from surrogate.exits.prediction import ExitPrediction

__all__ = ["ExitLoss"]

ROUNDING = 0.002
"""Errors of shares below this count quadratically, for steps that vanish with the error."""

TINY = 1e-9
"""Keeps logarithms of shares finite."""

LEAST_MIX = 1e-3
"""Exits that fewer samples leave at say nothing of accuracy or confidence."""


def _rounded(error: Tensor) -> Tensor:
    return torch.sqrt(error**2 + ROUNDING**2) - ROUNDING


class ExitLoss(nn.Module):
    """Weighted sum of errors of exit mix, right answers, and confidence.

    Args:
        right: Weight of the shares of right answers, relative to the exit mix.
        confidence: Weight of the mean confidences.
        divergence: Weight of the divergence of exits and answers from their true distribution: it
            minds the rare ones, which absolute errors overlook.
    """

    def __init__(
        self, right: float = 1.0, confidence: float = 0.3, divergence: float = 0.3
    ) -> None:
        super().__init__()
        for name, weight in (("right", right), ("confidence", confidence)):
            require(weight >= 0, name, "be >= 0", weight)
        require(divergence >= 0, "divergence", "be >= 0", divergence)
        self.weights = {
            "mix": 1.0,
            "right": right,
            "confidence": confidence,
            "divergence": divergence,
        }

    def forward(self, prediction: ExitPrediction, truth: Outcomes) -> dict[str, Tensor]:
        """Return the parts and their weighted sum.

        Args:
            prediction: Of a network.
            truth: What was counted.

        Returns:
            Scalars by part, and ``total``.
        """
        right = prediction.mix * prediction.accuracy
        true_wrong = truth.mix - truth.right
        wrong = prediction.mix * (1.0 - prediction.accuracy)
        off = _divergence(truth.right, right) + _divergence(true_wrong, wrong)
        confidence = truth.confidence / truth.mix.clamp_min(LEAST_MIX)
        told = torch.where(truth.mix >= LEAST_MIX, truth.mix, 0.0)
        parts = {
            "mix": _rounded(prediction.mix - truth.mix).sum(-1).mean(),
            "right": _rounded(right - truth.right).sum(-1).mean(),
            "confidence": (told * _rounded(prediction.confidence - confidence)).sum(-1).mean(),
            "divergence": off.sum(-1).mean(),
        }
        parts["total"] = torch.stack([self.weights[k] * v for k, v in parts.items()]).sum()
        return parts


def _divergence(true: Tensor, predicted: Tensor) -> Tensor:
    """Return the terms of the relative entropy [B, E]."""
    known = true.clamp_min(0.0)
    return known * (torch.log(known + TINY) - torch.log(predicted + TINY))
