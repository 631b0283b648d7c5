"""Scale-free features of companions: when jobs of the one flow come, seen from the other's."""

from __future__ import annotations

import torch
from torch import Tensor

from surrogate.features.arrays import FlowArrays
from surrogate.features.prior import Prior

__all__ = ["COMPANION_FEATURES", "companion_features"]

COMPANION_FEATURES = (
    "lead of the companion since the common device / mean service here (asinh)",
    "the same, plus the own service there",
    "the same, less the companion's service there",
    "waits of the own flow since the common device / mean service here (asinh)",
    "waits of the companion's flow since then / mean service here (asinh)",
    "load of the common device, by the prior (log)",
    "share of its departures that are of the own flow",
    "share of its departures that are of the companion's flow",
    "rate of the own flow x mean service here (log)",
    "rate of the companion's flow x mean service here (log)",
    "share of the own flow that has come through since",
    "share of the companion's flow that has come through since",
    "steps of the own flow since / 5",
    "steps of the companion's flow since / 5",
    "own service at the common device / mean service here (log)",
    "companion's service at the common device / mean service here (log)",
    "time between departures of the common device / mean service here (log)",
)

FLOOR = 1e-6
"""Smallest ratio whose logarithm is told apart."""

TINY = 1e-20
"""Keeps idle devices away from 0/0."""


def companion_features(arrays: FlowArrays, prior: Prior) -> Tensor:
    """Compute the features of all pairs of companions.

    Args:
        arrays: The deployments.
        prior: Their decomposition.

    Returns:
        Columns in the order of :data:`COMPANION_FEATURES` [Q, features].
    """
    leaving = prior.step_rate * (1.0 - prior.step_loss)
    sojourn = prior.step_wait + arrays.step_mean
    reached = arrays.running_sum(sojourn)
    waited = arrays.running_sum(prior.step_wait)
    service = arrays.step_mean / arrays.at_steps(arrays.device_servers)
    position = arrays.step_position.to(leaving.dtype)
    of_steps = torch.stack([prior.step_rate, reached, waited, position], dim=-1)
    at_common = torch.stack(
        [leaving, reached + sojourn, waited + prior.step_wait, position, service], dim=-1
    )
    pairs = arrays.companions
    own = of_steps.index_select(0, pairs.step).unbind(-1)
    its = of_steps.index_select(0, pairs.companion).unbind(-1)
    own_then = at_common.index_select(0, pairs.step_common).unbind(-1)
    its_then = at_common.index_select(0, pairs.companion_common).unbind(-1)
    common = arrays.step_device.index_select(0, pairs.step_common)
    departures = arrays.sum_to_devices(leaving).index_select(0, common).clamp_min(TINY)
    here = arrays.step_device.index_select(0, pairs.step)
    scale = prior.mean.index_select(0, here).clamp_min(TINY)
    lead = (own[1] - own_then[1]) - (its[1] - its_then[1])
    columns = [
        torch.asinh(lead / scale),
        torch.asinh((lead + own_then[4]) / scale),
        torch.asinh((lead - its_then[4]) / scale),
        torch.asinh((own[2] - own_then[2]) / scale),
        torch.asinh((its[2] - its_then[2]) / scale),
        _log(prior.load.index_select(0, common)),
        own_then[0] / departures,
        its_then[0] / departures,
        _log(own[0] * scale),
        _log(its[0] * scale),
        (own[0] / own_then[0].clamp_min(TINY)).clamp_max(1.0),
        (its[0] / its_then[0].clamp_min(TINY)).clamp_max(1.0),
        (own[3] - own_then[3]) / 5.0,
        (its[3] - its_then[3]) / 5.0,
        _log(own_then[4] / scale),
        _log(its_then[4] / scale),
        -_log(departures * scale),
    ]
    return torch.stack(columns, dim=-1).clamp(-14.0, 14.0)


def _log(values: Tensor) -> Tensor:
    return values.clamp_min(FLOOR).log()
