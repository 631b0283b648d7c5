"""Feature group ``spacing``: how long before each job the last one came, flow by flow.

A device that is full takes the first job that comes once a place is free, so that at a saturated
device a flow is served the better the longer the gap between its jobs and whatever came before
them. Jobs from a common upstream device come at least one of their own services there apart: those
of a flow with long services upstream find places that a neighbour's short ones have not left it.
The decomposition, which knows only the variability of each stream, cannot tell the two apart.

The gap before a job of flow i is the shorter of two times:

- the gap G inside its own hop: the job's service upstream, and an idle time if the device upstream
  was idle; and as much again for each job in between that left for somewhere else;
- the time since the last job of any other hop. Hop h with rate l and SCV c of its gaps is last seen
  (1 + c) / (2 l) ago on average, the mean age of a renewal process; it is treated as memoryless,
  with the rate r = 2 l / (1 + c).

With R the sum of the other hops' r, the mean of the shorter one is (1 - G*(R)) / R, where G* is the
Laplace transform of the gap: for upstream load b, departure rate d, own service m, mean service m'
and the share h of the departures that make the same hop,

    G*(s) = M*(s) I*(s) h / (1 - (1 - h) M'*(s) I*(s)),    I*(s) = b + (1 - b) d / (d + s),

M* and M'* being the transforms of gamma laws of the mean and SCV of the service. Jobs straight from
a source come as regularly as the source's SCV says.

References:
    Cox, Renewal Theory, 1962 (ages of renewal processes).
"""

from __future__ import annotations

import torch
from torch import Tensor

from surrogate.features.arrays import FlowArrays
from surrogate.features.group import Columns, FeatureGroup, FeatureNames
from surrogate.features.prior import Prior

__all__ = ["Spacing"]

TINY = 1e-20
"""Keeps idle devices away from 0/0."""

LEAST_SHARE = 1e-3
"""Rates of other hops below this share of the device's arrivals are not told apart; a smaller one
would leave the mean of the shorter time to the rounding of float32."""

LEAST_SCV = 1e-3
"""Below this SCV a gamma law is as good as constant, and its transform free of cancellation."""


class Spacing(FeatureGroup):
    """Gaps before the jobs of each step."""

    names = FeatureNames(
        step=(
            "gap before the flow's jobs x the device's arrival rate (log)",
            "transform of the gap within the hop, at 1 / the device's mean service",
            "gap before the flow's jobs / the device's mean service (log)",
        )
    )

    def columns(self, arrays: FlowArrays, prior: Prior) -> Columns:
        first = arrays.step_position == 0
        total = arrays.at_steps(arrays.sum_to_devices(prior.step_rate).clamp_min(TINY))
        # What the step's own hop brings; a flow straight from its source is a hop of its own.
        own = torch.where(first, prior.step_rate, prior.hop_arrivals * total)
        weight = 2.0 / (1.0 + prior.hop_arrival_scv).clamp_min(LEAST_SCV)
        seen = arrays.at_steps(arrays.sum_to_devices(prior.step_rate * weight))
        other = torch.maximum(seen - own * weight, LEAST_SHARE * total)
        service = arrays.at_steps(prior.mean).clamp_min(TINY)
        transform = _Gaps(arrays, prior, first)
        before_others, before_service = transform(torch.stack([other, 1.0 / service])).unbind()
        gap = ((1.0 - before_others) / other).clamp_min(TINY)
        columns = [(gap * total).log(), before_service, (gap / service).log()]
        step = torch.stack(columns, dim=-1).clamp(-14.0, 14.0)
        return step, step.new_zeros(arrays.devices, 0), step.new_zeros(len(arrays.flow_rate), 0)


class _Gaps:
    """Laplace transform of the gap within the hop of every step, a function of rates [..., S]."""

    def __init__(self, arrays: FlowArrays, prior: Prior, first: Tensor) -> None:
        leaving = prior.step_rate * (1.0 - prior.step_loss)
        both = torch.stack([leaving, leaving * arrays.step_mean], dim=-1)
        rate, work = arrays.sum_to_devices(both).unbind(-1)
        servers = arrays.device_servers
        # Several servers let jobs out one after the other as one server as fast as all would.
        mean = work / rate.clamp_min(TINY) / servers
        of_devices = torch.stack([rate, work / servers, mean, prior.scv, servers], dim=-1)
        upstream = arrays.at_previous(arrays.step_device)
        gathered = of_devices.index_select(0, upstream).unbind(-1)
        self.rate, busy, self.mean, self.mean_scv, servers = gathered
        self.busy = busy.clamp_max(1.0)
        self.service = arrays.at_previous(arrays.step_mean) / servers
        self.service_scv = arrays.at_previous(arrays.step_scv)
        self.same = prior.hop_share.clamp(LEAST_SHARE, 1.0)
        self.first, self.source = first, prior.step_rate.clamp_min(TINY)
        self.source_scv = prior.step_arrival_scv

    def __call__(self, rate: Tensor) -> Tensor:
        idle = self.busy + (1.0 - self.busy) * self.rate / (self.rate + rate)
        last = _transform(rate * self.service, self.service_scv) * idle
        before = _transform(rate * self.mean, self.mean_scv) * idle
        within = last * self.same / (1.0 - (1.0 - self.same) * before)
        return torch.where(self.first, _transform(rate / self.source, self.source_scv), within)


def _transform(exponent: Tensor, scv: Tensor) -> Tensor:
    """Laplace transform of a gamma law, at ``exponent`` / mean."""
    scv = scv.clamp_min(LEAST_SCV)
    return torch.exp(-torch.log1p(exponent * scv) / scv)
