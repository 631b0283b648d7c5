"""Confidences that mean what they say: one temperature per exit, fitted on held-out samples.

References:
    Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from torch import Tensor, nn

from datagen.errors import require

__all__ = ["CalibratedExits", "calibration_error", "fit_temperatures"]

TEMPERATURES = (0.05, 20.0)
"""Range that is searched: beyond it, confidences are all 1, or all the inverse of the classes."""

BINS = 15
"""Bins of equal width of the calibration error, as in the reference."""

Network = TypeVar("Network", bound=nn.Module)


class CalibratedExits(nn.Module, Generic[Network]):
    """A network with several exits whose logits are divided by a temperature each.

    Args:
        network: Module that returns a list of logits [B, C], one per exit.
        temperatures: Temperature of each exit, > 0; above 1 makes it less sure.
    """

    network: Network
    temperatures: Tensor

    def __init__(self, network: Network, temperatures: Sequence[float]) -> None:
        super().__init__()
        proper = len(temperatures) > 0 and all(0 < value < np.inf for value in temperatures)
        require(proper, "temperatures", "be finite and > 0", list(temperatures))
        self.network = network
        self.register_buffer("temperatures", torch.tensor(list(temperatures), dtype=torch.float32))

    def forward(self, images: Tensor, *others: object) -> list[Tensor]:
        """Return the logits of each exit, divided by its temperature.

        Args:
            images: What the network takes.
            others: What else it takes, for example how many exits to compute.

        Returns:
            Logits [B, C] per exit.
        """
        pairs = zip(self.network(images, *others), self.temperatures, strict=False)
        return [logits / temperature for logits, temperature in pairs]


def fit_temperatures(logits: np.ndarray, labels: np.ndarray) -> list[float]:
    """Return the temperatures under which the labels are most likely.

    Args:
        logits: Of samples that the network was not trained on [N, E, C].
        labels: Their classes [N].

    Returns:
        Temperature of each exit [E], within 0.05 to 20.
    """
    return [_temperature(logits[:, place], labels) for place in range(logits.shape[1])]


def _temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    true = logits[np.arange(len(labels)), labels]

    def surprise(log_temperature: float) -> float:
        inverse = np.exp(-log_temperature)
        return float(np.mean(logsumexp(logits * inverse, axis=1) - true * inverse))

    # Convex in the inverse temperature, and so with one minimum in its logarithm.
    found = minimize_scalar(surprise, bounds=tuple(np.log(TEMPERATURES)), method="bounded")
    return float(np.exp(found.x))


def calibration_error(confidences: np.ndarray, correct: np.ndarray) -> list[float]:
    """Return how far confidence and accuracy lie apart, by bins of confidence.

    Args:
        confidences: Of each sample and exit [N, E], in [0, 1].
        correct: Whether the answers were right [N, E].

    Returns:
        Expected calibration error of each exit [E], in [0, 1].
    """
    bins = np.minimum((confidences * BINS).astype(int), BINS - 1)
    gap = confidences - correct
    return [
        float(np.abs(np.bincount(bins[:, e], gap[:, e], BINS)).sum() / len(gap))
        for e in range(gap.shape[1])
    ]
