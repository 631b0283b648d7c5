"""What gets an interval: measures of chains, how to read them, and where their errors are alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datagen.evaluation import Measures
from surrogate.features.labels import QUANTILES
from surrogate.models.readout import Prediction

__all__ = ["RATIO", "TARGETS", "TIME", "Scale", "Target", "predicted_targets"]

Floats = NDArray[np.float64]

FLOOR = 1e-3
"""Distance of a ratio from 0 and 1 below which errors count absolutely rather than relatively."""

FARTHEST = 30.0
"""Beyond lie 0 and 1 whatever the rounding, and soon numbers that float32 does not hold."""

P95 = QUANTILES.index("p95")
"""Place of the 95 % quantile among those predicted."""

SHORTEST = 1e-12
"""Times below are not told apart [s]."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A scale on which errors of the same size are equally bad.

    Args:
        spread: From the measure to the scale; increasing.
        unspread: Back, into the physical range of the measure.
    """

    spread: Callable[[Tensor], Tensor]
    unspread: Callable[[Tensor], Tensor]


def _spread_ratio(ratio: Tensor) -> Tensor:
    held = ratio.clamp(0.0, 1.0)
    return torch.log((held + FLOOR) / (1.0 - held + FLOOR))


def _unspread_ratio(value: Tensor) -> Tensor:
    odds = (-value.clamp(-FARTHEST, FARTHEST)).exp()
    return ((1.0 + FLOOR - FLOOR * odds) / (1.0 + odds)).clamp(0.0, 1.0)


RATIO = Scale(spread=_spread_ratio, unspread=_unspread_ratio)
"""For what lies in [0, 1]: relative errors near both ends are distances."""

TIME = Scale(spread=lambda time: time.clamp_min(SHORTEST).log(), unspread=torch.exp)
"""For what lies in (0, infinity): relative errors are distances."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A measure of chains that gets an interval.

    Args:
        scale: Where its errors are alike.
        predicted: Reads it from a prediction [C].
        standard_error: Reads the standard error of its labels [C]; NaN where unknown.
    """

    scale: Scale
    predicted: Callable[[Prediction], Tensor]
    standard_error: Callable[[Measures], Floats]


def _latency_ratio_error(labels: Measures) -> Floats:
    relative = labels.chain["latency_se"] / labels.chain["latency"]
    return np.asarray(relative * labels.chain["latency_ratio"], dtype=np.float64)


def _unknown(labels: Measures) -> Floats:
    return np.full(len(labels.chain["latency"]), np.nan)


TARGETS: dict[str, Target] = {
    "throughput_ratio": Target(
        scale=RATIO,
        predicted=lambda prediction: prediction.throughput_ratio,
        standard_error=lambda labels: np.asarray(labels.chain["throughput_ratio_se"], dtype=float),
    ),
    "latency_ratio": Target(
        scale=RATIO,
        predicted=lambda prediction: prediction.latency_ratio,
        standard_error=_latency_ratio_error,
    ),
    "p95": Target(
        scale=TIME,
        predicted=lambda prediction: prediction.law.log_quantiles[:, P95].exp(),
        standard_error=_unknown,
    ),
}
"""By name of the measure; the intervals of loss and latency follow from these."""


def predicted_targets(prediction: Prediction) -> dict[str, Tensor]:
    """Return what is predicted of each target.

    Args:
        prediction: A network's prediction.

    Returns:
        Target -> values [C].
    """
    return {name: target.predicted(prediction) for name, target in TARGETS.items()}
