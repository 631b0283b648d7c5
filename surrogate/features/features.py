"""The one feature function: scale-free features of steps, devices and flows, in torch, batched.

Every feature is a ratio of times, rates or counts: scaling all times of a deployment changes none.
Ratios that span orders of magnitude enter as logarithms. The analytic prior behind many of them is
compiled where no gradient is asked for (:mod:`surrogate.features.compiled_prior`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from datagen.analytic.stream_kernel import REACH_EXPONENT
from surrogate.features.arrays import FlowArrays
from surrogate.features.decomposition import Decomposition, Prior
from surrogate.features.group import FeatureGroup, FeatureNames

__all__ = [
    "DEVICE_FEATURES",
    "FEATURE_SCHEMA",
    "FLOW_FEATURES",
    "PLAIN_FEATURES",
    "STEP_FEATURES",
    "FeatureFunction",
    "Features",
]

FEATURE_SCHEMA = 3
"""Version of names, order and meaning of the features; a checkpoint states the one it reads."""

STEP_FEATURES = (
    "load: rate x service / servers, without loss (log)",
    "load after upstream losses (log)",
    "share of the device's load",
    "share of the device's arrivals",
    "demand / capacity",
    "service / mean service of the device's mix (log)",
    "service / previous step's service (log; 0 at the first)",
    "service / longest earlier service of the flow (log; 0 at the first)",
    "service x rate of the flow (log)",
    "SCV of the service time (log1p)",
    "position / length of the flow",
    "steps left / 10",
    "share of the flow's jobs that arrives here, by the prior (log)",
    "load of the previous device, by the prior (log; -3 at the first)",
    "loss at the previous step, by the prior (0 at the first)",
    "share of the previous device's arrivals that are this flow's (0 at the first)",
    "loss at the step, by the prior (logit)",
    "wait at the step / service, by the prior (log)",
    "largest load of the earlier devices, by the prior (log; -3 at the first)",
    "SCV of the flow's arrivals, by the prior (log1p)",
    "SCV of the hop's arrivals, by the prior (log1p)",
    "same hop's share of the previous device's jobs (0 at the first)",
    "same hop's share of the device's arrivals (0 at the first)",
    "share of the wait that spacing takes at low load",
    "share of the wait that remains after spacing",
    "pace / previous device's pace (log; 0 at the first)",
    "variability that the previous device hides from this one (0 at the first)",
)
DEVICE_FEATURES = (
    "load without loss (log)",
    "load after upstream losses (log)",
    "1 / capacity in jobs (0 if unlimited)",
    "capacity in jobs (log; 0 if unlimited)",
    "servers (log)",
    "SCV of the mix's service time (log1p)",
    "number of steps / 10",
    "loss by the prior (logit)",
    "waiting jobs by the prior / capacity",
    "waiting jobs by the prior (log1p)",
    "load from saturated flows / load",
    "SCV of the arrivals, by the prior (log1p)",
    "elasticity of the throughput, by the prior",
    "capacity x log load (0 if unlimited)",
    "share of the wait that remains after spacing, mean over arrivals",
    "concentration of the arrivals on hops",
    "SCV of the arrivals over long times, by the prior (log1p)",
    "SCV of the departures over long times, by the prior (log1p)",
    "pace: 1 / jobs over which the device evens out arrivals (log)",
)
FLOW_FEATURES = (
    "length / 10",
    "SCV of the interarrival time (log)",
    "unloaded latency x rate (log)",
    "completed share by the prior (log)",
    "unloaded latency / latency, by the prior",
    "share of the chain's jobs",
)
PLAIN_FEATURES = FeatureNames(step=STEP_FEATURES, device=DEVICE_FEATURES, flow=FLOW_FEATURES)
"""What every model reads; groups of features add to it."""

FLOOR = 1e-6
"""Smallest ratio whose logarithm is told apart."""

LOGIT_BOUND = 16.0
"""Losses are told apart from 1e-7 to 1 - 1e-7."""

NO_UPSTREAM = -3.0
"""Log load that stands for no upstream device: an all but idle one."""


def _log(values: Tensor) -> Tensor:
    return values.clamp_min(FLOOR).log()


def logit(probability: Tensor) -> Tensor:
    """Return log(p / (1 - p)), bounded."""
    p = probability.clamp(1e-7, 1 - 1e-7)
    return (torch.log(p) - torch.log1p(-p)).clamp(-LOGIT_BOUND, LOGIT_BOUND)


@dataclass(frozen=True, kw_only=True)
class Features:
    """Features in the order of the name lists, and the prior they came from.

    Args:
        step: [S, len(names.step)].
        device: [D, len(names.device)].
        flow: [P, len(names.flow)].
        prior: The decomposition, and what groups of features made of it.
        names: Names of the columns.
    """

    step: Tensor
    device: Tensor
    flow: Tensor
    prior: Prior
    names: FeatureNames = PLAIN_FEATURES


class FeatureFunction(nn.Module):
    """Computes features; it holds no weights.

    Args:
        groups: Groups of features that are appended to the plain ones, in order.
    """

    def __init__(self, groups: Sequence[FeatureGroup] = ()) -> None:
        super().__init__()
        self.decomposition = Decomposition()
        self.groups = tuple(groups)
        self.names = sum((group.names for group in self.groups), start=PLAIN_FEATURES)

    def forward(self, arrays: FlowArrays) -> Features:
        """Compute the features of a batch.

        Args:
            arrays: The deployments.

        Returns:
            Scale-free features.
        """
        prior = self._prior(arrays)
        step, device, flow = (
            self._step(arrays, prior),
            self._device(arrays, prior),
            self._flow(arrays, prior),
        )
        for group in self.groups:
            more_step, more_device, more_flow = group.columns(arrays, prior)
            step = torch.cat([step, more_step], dim=-1)
            device = torch.cat([device, more_device], dim=-1)
            flow = torch.cat([flow, more_flow], dim=-1)
        return Features(step=step, device=device, flow=flow, prior=prior, names=self.names)

    def _prior(self, arrays: FlowArrays) -> Prior:
        """Decompose what the groups make of the deployments, and let them refine what is found."""
        seen = arrays
        for group in self.groups:
            seen = group.adapted(seen)
        prior: Prior = self.decomposition(seen)
        for group in self.groups:
            prior = group.refined(arrays, prior)
        return prior

    def _step(self, arrays: FlowArrays, prior: Prior) -> Tensor:
        first = arrays.step_position == 0
        none = torch.zeros_like(arrays.step_mean)
        flow_rate = arrays.of_flows(arrays.flow_rate)
        servers = arrays.at_steps(arrays.device_servers)
        load = flow_rate * arrays.step_mean / servers
        own = prior.step_rate * arrays.step_mean / servers
        arrivals = arrays.sum_to_devices(prior.step_rate).clamp_min(FLOOR * FLOOR)
        share = prior.step_rate / arrays.at_steps(arrivals)
        log_service = arrays.step_mean.clamp_min(FLOOR * FLOOR).log()
        log_load = arrays.at_steps(_log(prior.load))
        length = arrays.of_flows(arrays.flow_length)
        log_pace = arrays.at_steps(_log(prior.pace))
        quicker = torch.where(first, none, log_pace - arrays.at_previous(log_pace))
        hidden = arrays.at_previous(arrays.at_steps(prior.forgotten))
        # [S, features], in the order of STEP_FEATURES
        columns = [
            _log(load),
            _log(own),
            own / arrays.at_steps(arrays.sum_to_devices(own).clamp_min(FLOOR)),
            share,
            arrays.step_demand / arrays.at_steps(arrays.device_capacity),
            log_service - arrays.at_steps(prior.mean.clamp_min(FLOOR * FLOOR).log()),
            log_service - arrays.at_previous(log_service),
            torch.where(first, none, log_service - _earlier_maximum(arrays, log_service, none)),
            _log(arrays.step_mean * flow_rate),
            torch.log1p(arrays.step_scv),
            arrays.step_position / length,
            (length - arrays.step_position) / 10.0,
            _log(prior.step_rate / flow_rate),
            torch.where(first, none + NO_UPSTREAM, arrays.at_previous(log_load)),
            torch.where(first, none, arrays.at_previous(prior.step_loss)),
            torch.where(first, none, arrays.at_previous(share)),
            logit(prior.step_loss),
            _log(prior.step_wait / arrays.step_mean.clamp_min(FLOOR * FLOOR)).clamp(-12, 12),
            torch.where(first, none + NO_UPSTREAM, _earlier_maximum(arrays, log_load, none)),
            torch.log1p(prior.step_arrival_scv),
            torch.log1p(prior.hop_arrival_scv),
            prior.hop_share,
            prior.hop_arrivals,
            prior.step_spaced,
            prior.step_remaining,
            quicker,
            torch.where(first, none, hidden * (REACH_EXPONENT * quicker.clamp_max(0.0)).exp()),
        ]
        return torch.stack(columns, dim=-1).clamp(-14.0, 14.0)

    @staticmethod
    def _device(arrays: FlowArrays, prior: Prior) -> Tensor:
        limited = torch.isfinite(prior.capacity)
        capacity = torch.where(limited, prior.capacity, torch.ones_like(prior.capacity))
        inverse = torch.where(limited, 1.0 / capacity, torch.zeros_like(capacity))
        steps = arrays.sum_to_devices(torch.ones_like(arrays.step_mean))
        upstream = arrays.at_previous(arrays.at_steps(prior.load))
        fed = (arrays.step_position > 0) & (upstream > 1.0)
        work = prior.step_rate * arrays.step_mean
        arrivals = arrays.sum_to_devices(prior.step_rate).clamp_min(FLOOR * FLOOR)
        share = prior.step_rate / arrays.at_steps(arrivals)
        of_steps = torch.stack([prior.step_remaining, prior.hop_arrivals], dim=-1)
        of_devices = arrays.sum_to_devices(share.unsqueeze(-1) * of_steps)
        remaining, concentration = of_devices.unbind(-1)
        # [D, features], in the order of DEVICE_FEATURES
        columns = [
            _log(prior.offered),
            _log(prior.load),
            inverse,
            capacity.log(),
            arrays.device_servers.log(),
            torch.log1p(prior.scv),
            steps / 10.0,
            logit(prior.loss),
            prior.waiting * inverse,
            torch.log1p(prior.waiting),
            arrays.sum_to_devices(work * fed) / arrays.sum_to_devices(work).clamp_min(FLOOR),
            torch.log1p(prior.arrival_scv),
            prior.elasticity,
            torch.where(limited, capacity * _log(prior.load), 0.0),
            remaining,
            concentration,
            torch.log1p(prior.lasting_scv),
            torch.log1p(prior.departing_scv),
            _log(prior.pace),
        ]
        return torch.stack(columns, dim=-1).clamp(-14.0, 14.0)

    @staticmethod
    def _flow(arrays: FlowArrays, prior: Prior) -> Tensor:
        passed = torch.log1p(-prior.step_loss.clamp_max(1 - FLOOR))
        unloaded = arrays.sum_to_flows(arrays.step_mean)
        latency = unloaded + arrays.sum_to_flows(prior.step_wait)
        # [P, features], in the order of FLOW_FEATURES
        columns = [
            arrays.flow_length / 10.0,
            _log(arrays.chain_scv[arrays.flow_chain]),
            _log(unloaded * arrays.flow_rate),
            arrays.sum_to_flows(passed),
            unloaded / latency.clamp_min(FLOOR * FLOOR),
            arrays.flow_probability,
        ]
        return torch.stack(columns, dim=-1).clamp(-14.0, 14.0)


def _earlier_maximum(arrays: FlowArrays, values: Tensor, first: Tensor) -> Tensor:
    """Return the largest value among the earlier steps of the flow; ``first`` at position 0 [S]."""
    sizes = arrays.flow_sizes.tolist()
    parts = [first[: sizes[0]]]
    start, reached = 0, None
    for size, following in zip(sizes, sizes[1:], strict=False):
        here = values[start : start + size]
        reached = here if reached is None else torch.maximum(reached, here)
        reached = reached[:following]
        parts.append(reached)
        start += size
    return torch.cat(parts)
