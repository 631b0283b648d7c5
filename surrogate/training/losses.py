"""The training loss: errors on the scales of the published metrics, forgiving label noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from surrogate.features.labels import Targets
from surrogate.models.latency_law import LEVELS, SCORES, LatencyLaw
from surrogate.models.readout import Prediction

__all__ = ["DeploymentLoss"]

EXACT = 0.002
"""Relative error below which an error counts quadratically even where the label is exact."""

LOGARITHM_BOUND = 6.0
"""Ratios below exp(-6) = 0.25 % are not told apart: they would drown everything else."""

TINY = 1e-12
"""Keeps the logarithm, and with it the gradient, of a step without work finite [s]."""

HISTOGRAM_BIN = 0.005
"""Half the relative width of the bins that the simulator counts latencies in."""

CORRELATED_JOBS = 4.0
"""Jobs that tell as much about a quantile as one independent job: neighbours wait alike."""

RARE_JOBS = 5.0
"""Losses are compared on a logarithm that starts at this many lost jobs."""


def _soft_absolute(error: Tensor, noise: Tensor) -> Tensor:
    """|error|, rounded off within the noise of the label: its slope there falls to 0."""
    width = torch.hypot(noise, torch.full_like(noise, EXACT))
    return torch.sqrt(error**2 + width**2) - width


def _mean(values: Tensor, known: Tensor, weight: Tensor | None = None) -> Tensor:
    weight = known.float() if weight is None else weight * known
    return (torch.where(known, values, 0.0) * weight).sum() / weight.sum().clamp_min(1e-6)


class DeploymentLoss(nn.Module):
    """Weighted sum of chain and step errors.

    Args:
        latency: Weight of the latency ratio of chains, relative to their throughput ratio.
        step_passed: Weight of the share each step passes.
        step_sojourn: Weight of the time at each step.
        rare_loss: Weight of the logarithm of small losses.
        quantiles: Weight of the quantiles of latencies.
        attainment: Weight of the share of jobs in time, where there are deadlines.
    """

    def __init__(
        self,
        latency: float = 1.0,
        step_passed: float = 1.0,
        step_sojourn: float = 1.0,
        rare_loss: float = 0.02,
        quantiles: float = 0.3,
        attainment: float = 1.0,
    ) -> None:
        super().__init__()
        self.weights = {
            "throughput": 1.0,
            "latency": latency,
            "step_passed": step_passed,
            "step_sojourn": step_sojourn,
            "rare_loss": rare_loss,
            "quantiles": quantiles,
            "attainment": attainment,
        }

    def forward(self, prediction: Prediction, targets: Targets) -> dict[str, Tensor]:
        """Return the parts and their weighted sum.

        Args:
            prediction: Of a model.
            targets: Labels; undefined ones (NaN) do not count.

        Returns:
            Scalars by part, and ``total``.
        """
        parts = {
            "throughput": _log_error(
                prediction.log_throughput_ratio,
                targets.log_throughput_ratio,
                targets.throughput_error,
            ),
            "latency": _log_error(
                prediction.latency_ratio.log(), targets.log_latency_ratio, targets.latency_error
            ),
            "step_passed": _log_error(
                prediction.step_log_passed,
                targets.step_log_passed,
                _binomial_error(targets.step_log_passed, targets.step_offered),
            ),
            "step_sojourn": _log_error(
                prediction.step_sojourn.clamp_min(TINY).log(),
                targets.step_log_sojourn,
                targets.step_completed.clamp_min(1.0).rsqrt(),
                bound=-math.log(TINY),
            ),
            "rare_loss": _rare_loss(prediction.loss_ratio, targets.loss_ratio, targets.offered),
            "quantiles": _quantile_error(prediction.law.log_quantiles, targets),
            "attainment": _attainment_error(prediction.law, targets),
        }
        parts["total"] = torch.stack([self.weights[k] * v for k, v in parts.items()]).sum()
        return parts


def _log_error(
    predicted: Tensor, label: Tensor, noise: Tensor, bound: float = LOGARITHM_BOUND
) -> Tensor:
    """Mean error of logarithms; labels below -bound, predictions below twice that count as it."""
    known = torch.isfinite(label)
    bounded = label.nan_to_num().clamp_min(-bound)
    error = predicted.clamp_min(-2 * bound) - bounded
    return _mean(_soft_absolute(error, noise.nan_to_num()), known)


def _quantile_error(predicted: Tensor, targets: Targets) -> Tensor:
    known = torch.isfinite(targets.log_quantile)
    # Unknown labels count as what is predicted: the square of an infinite error has no gradient.
    error = predicted - torch.where(known, targets.log_quantile, predicted.detach())
    # The order statistics of n independent jobs scatter around the quantile at level p with the
    # standard deviation sqrt(p (1 - p) / n) / density; the density is that of the predicted law.
    level, score = predicted.new_tensor(LEVELS), predicted.new_tensor(SCORES)
    growth = (predicted[:, 2] - predicted[:, 0]).detach() / (score[2] - score[0])
    density = torch.exp(-0.5 * score**2) / math.sqrt(2.0 * math.pi)
    jobs = targets.completed.clamp_min(1.0) / CORRELATED_JOBS
    noise = growth[:, None] * (level * (1.0 - level)).sqrt() / density / jobs.sqrt()[:, None]
    return _mean(_soft_absolute(error, torch.hypot(noise, noise.new_tensor(HISTOGRAM_BIN))), known)


def _attainment_error(law: LatencyLaw, targets: Targets) -> Tensor:
    known = torch.isfinite(targets.attainment)
    share = targets.attainment.nan_to_num()
    error = law.attainment(targets.deadline.nan_to_num(nan=1.0)) - share
    jobs = targets.offered.clamp_min(1.0) / CORRELATED_JOBS
    return _mean(_soft_absolute(error, (share * (1.0 - share) / jobs).sqrt()), known)


def _binomial_error(log_passed: Tensor, offered: Tensor) -> Tensor:
    """Relative standard error of a share of independent jobs."""
    passed = log_passed.nan_to_num().exp()
    return ((1.0 - passed) / (passed * offered.clamp_min(1.0)).clamp_min(1e-6)).sqrt()


def _rare_loss(predicted: Tensor, label: Tensor, offered: Tensor) -> Tensor:
    known = torch.isfinite(label) & torch.isfinite(offered)
    floor = RARE_JOBS / offered.clamp(1.0, 1e7)
    label = label.nan_to_num()
    error = torch.log(predicted + floor) - torch.log(label + floor)
    noise = torch.sqrt(label * offered.clamp_max(1e7) + 1.0) / (offered * (label + floor))
    return _mean(_soft_absolute(error, noise), known)
