"""Rounds of the queueing decomposition in torch: the analytic prior of every feature.

Each device is treated as an M/G/c/K queue fed by what its upstream devices let pass; loads, losses
and the variability of departures are iterated towards a fixed point. The rule, where it comes from
and how near it is to simulations are told in :mod:`datagen.analytic.decomposition`, whose constants
are used here. It is written again because features must carry gradients: to the rates, to the
moments of service and to the probabilities of paths. Where nobody asks for gradients,
:mod:`surrogate.features.compiled_prior` computes the same values, many times as fast.

Rounds are as many for every deployment and their weights fixed, so that the prior is a continuous
function of its inputs, which stopping at a tolerance would not leave it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from datagen.analytic.decomposition import SHORT_MEMORY
from datagen.analytic.decomposition_kernel import SMALLEST_SUM
from datagen.analytic.stream_kernel import (
    LARGEST_LOAD,
    LARGEST_ROOM,
    LEAST_FREE,
    LEAST_LOG_LOAD,
    REACH_EXPONENT,
    REACH_OF_PLACE,
    SMALLEST_LOAD,
    SPACED_LOSS,
    SPLIT_OFFSET,
)
from surrogate.features.arrays import FlowArrays
from surrogate.features.compiled_prior import compiled_prior
from surrogate.features.prior import PACING, Prior
from surrogate.features.queue import QueueFormula

__all__ = ["Decomposition", "Prior"]

MAX_EXPONENT = 60.0
"""Bound of exponents in float32."""

TINY = 1e-20
"""Keeps idle devices away from 0/0; its inverse squared is still a number in float32."""


@dataclass(frozen=True, kw_only=True)
class _State:
    """What one round hands to the next.

    Args:
        loss: Loss of each step's jobs [S].
        departing: SCV of the departures over long times [D].
        forgotten: What a successor of a quicker pace does not see of it [D].
        pace: Inverse of the number of jobs over which a device evens out arrivals [D].
    """

    loss: Tensor
    departing: Tensor
    forgotten: Tensor
    pace: Tensor


@dataclass(frozen=True, kw_only=True)
class _Mix:
    """Moments of the jobs that arrive at each device, weighted by rate [D]."""

    rate: Tensor
    load: Tensor
    mean: Tensor
    scv: Tensor
    square: Tensor
    capacity: Tensor


@dataclass(frozen=True, kw_only=True)
class _Streams:
    """How the jobs of each step come [S], and how they mix at each device [D].

    Args:
        scv: SCV of the step's own arrivals [S].
        hop_scv: The same of all that make the same hop [S].
        hop_share: Share of the previous device's jobs that make the hop [S].
        mixed: SCV of all arrivals, as the device feels it [D].
        lasting: The same over long times [D].
        smooth: What the sources are below Poisson's SCV of 1, by their shares of arrivals [D].
    """

    scv: Tensor
    hop_scv: Tensor
    hop_share: Tensor
    mixed: Tensor
    lasting: Tensor
    smooth: Tensor


class Decomposition(nn.Module):
    """The prior, from torch where it must carry gradients or is on another device."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = QueueFormula()

    def forward(self, arrays: FlowArrays) -> Prior:
        """Decompose deployments.

        Args:
            arrays: The deployments.

        Returns:
            The prior; it carries gradients to whatever asks for them.
        """
        if arrays.step_mean.device.type == "cpu" and not _asks_for_gradients(arrays):
            return compiled_prior(arrays)
        return self.differentiable(arrays)

    def differentiable(self, arrays: FlowArrays) -> Prior:
        """Decompose deployments in torch.

        Args:
            arrays: The deployments.

        Returns:
            The prior; it carries gradients to rates, service moments and path probabilities.
        """
        source_rate = arrays.of_flows(arrays.flow_rate)
        # A path that takes a random share p of a stream has SCV 1 + p (SCV - 1).
        excess = arrays.chain_scv.index_select(0, arrays.flow_chain) - 1.0
        source_scv = arrays.of_flows(1.0 + arrays.flow_probability * excess)
        spacing = _common_spacing(arrays)
        one = torch.ones_like(arrays.device_capacity)
        state = _State(
            loss=torch.zeros_like(source_rate), departing=one, forgotten=0.0 * one, pace=one
        )
        for number in range(PACING.rounds):
            rate = source_rate * arrays.running_product(1.0 - state.loss)
            mix = _mix(arrays, rate)
            streams = _streams(arrays, mix, rate, source_scv, state)
            spaced, remaining = _after_spacing(arrays, mix, rate, spacing)
            loss, waiting = self._served(arrays, mix, streams)
            step_loss = _split_loss(arrays, mix, rate, streams, loss, remaining)
            elasticity = _elasticity(mix)
            found = _found(mix, streams, elasticity, step_loss)
            state = found if number == 0 else _towards(state, found)
        admitted = (mix.rate * (1.0 - loss)).clamp_min(TINY)
        inner = (arrays.step_position > 0).to(rate.dtype)
        coming = arrays.sum_to_hops(rate * inner).index_select(0, arrays.hops.step_hop)
        work = arrays.sum_to_devices(source_rate * arrays.step_mean)
        return Prior(
            step_rate=source_rate * arrays.running_product(1.0 - step_loss),
            step_arrival_scv=streams.scv,
            hop_arrival_scv=streams.hop_scv,
            hop_share=streams.hop_share,
            hop_arrivals=(coming * inner / arrays.at_steps(mix.rate)).clamp_max(1.0),
            step_spaced=spaced,
            step_remaining=remaining,
            step_loss=step_loss,
            step_wait=arrays.at_steps(waiting / admitted) * remaining,
            arrival_scv=streams.mixed,
            lasting_scv=streams.lasting,
            departing_scv=found.departing,
            forgotten=found.forgotten,
            pace=found.pace,
            elasticity=elasticity,
            offered=work / arrays.device_servers,
            load=mix.load,
            loss=loss,
            waiting=waiting,
            mean=mix.mean,
            scv=mix.scv,
            capacity=mix.capacity,
        )

    def _served(self, arrays: FlowArrays, mix: _Mix, streams: _Streams) -> tuple[Tensor, Tensor]:
        """Loss and waiting jobs of each device, as if its arrivals were alike [D]."""
        both = (streams.mixed + mix.scv).clamp_min(SMALLEST_SUM)
        loss, waiting = self.queue(mix.load, both - 1.0, mix.capacity, arrays.device_servers)
        # Kraemer and Langenbach-Belz's factor.
        idle = (1.0 - mix.load).clamp_min(0.0)
        exponent = -2.0 * idle * streams.smooth**2 / (3.0 * mix.load.clamp_min(TINY) * both)
        rarer = exponent.clamp_min(-MAX_EXPONENT).exp()
        return loss * rarer, waiting * rarer


def _asks_for_gradients(arrays: FlowArrays) -> bool:
    inputs = (
        arrays.flow_rate,
        arrays.flow_probability,
        arrays.chain_scv,
        arrays.step_mean,
        arrays.step_scv,
        arrays.step_demand,
        arrays.device_capacity,
    )
    return torch.is_grad_enabled() and any(values.requires_grad for values in inputs)


def _mix(arrays: FlowArrays, rate: Tensor) -> _Mix:
    work_rate = rate * arrays.step_mean
    total = arrays.sum_to_devices(rate).clamp_min(TINY)
    work = arrays.sum_to_devices(work_rate)
    square = arrays.sum_to_devices(work_rate * arrays.step_mean * (1.0 + arrays.step_scv))
    mean = work / total
    busy = mean > 0.0
    some_mean = torch.where(busy, mean, 1.0)
    scv = (square / total / some_mean**2 - 1.0).clamp_min(0.0)
    demand = (arrays.sum_to_devices(rate * arrays.step_demand) / total).clamp_min(1.0)
    # An infinite capacity over a demand would have a gradient of NaN.
    limited = torch.isfinite(arrays.device_capacity)
    held = torch.where(limited, arrays.device_capacity, 1.0)
    return _Mix(
        rate=total,
        load=work / arrays.device_servers,
        mean=mean,
        scv=torch.where(busy, scv, 0.0),
        square=square,
        capacity=torch.where(limited, (held / demand).clamp_min(1.0), torch.inf),
    )


def _streams(
    arrays: FlowArrays, mix: _Mix, rate: Tensor, source_scv: Tensor, state: _State
) -> _Streams:
    """Tell how irregularly the jobs of each step come, and mix them at each device.

    A random share p of a stream has the SCV 1 + p (SCV - 1); a hop's jobs come as one stream.
    """
    first = arrays.step_position == 0
    inner = (~first).to(rate.dtype)
    source = arrays.at_previous(arrays.step_device)
    leaving = mix.rate.index_select(0, source)
    before = arrays.at_previous(rate)
    leaders = arrays.sum_to_hops(before * inner).index_select(0, arrays.hops.step_hop)
    hop_share = (leaders / leaving).clamp_max(1.0) * inner
    departing = state.departing.index_select(0, source)
    slower = arrays.at_steps(state.pace) / state.pace.index_select(0, source).clamp_min(TINY)
    unseen = state.forgotten.index_select(0, source) * slower.clamp_max(1.0) ** REACH_EXPONENT
    excess = departing - unseen - 1.0
    scv = torch.where(first, source_scv, 1.0 + before / leaving * excess)
    hop_scv = torch.where(first, source_scv, 1.0 + hop_share * excess)
    lasting = torch.where(first, source_scv, 1.0 + hop_share * (departing - 1.0))
    smooth = (1.0 - source_scv).clamp_min(0.0) * (1.0 - inner)
    share = rate / arrays.at_steps(mix.rate)
    mixed = [arrays.sum_to_devices(share * values) for values in (hop_scv, lasting, smooth)]
    return _Streams(
        scv=scv,
        hop_scv=hop_scv,
        hop_share=hop_share,
        mixed=mixed[0],
        lasting=mixed[1],
        smooth=mixed[2],
    )


def _found(mix: _Mix, streams: _Streams, elasticity: Tensor, step_loss: Tensor) -> _State:
    """Tell what devices send on: the arrivals' SCV or the service's, as throughput is elastic."""
    kept = elasticity * (1.0 - SHORT_MEMORY * mix.load.clamp_max(1.0) ** 2)
    departing = mix.scv + elasticity * (streams.lasting - mix.scv)
    short_term = mix.scv + kept * (streams.mixed - mix.scv)
    return _State(
        loss=step_loss,
        departing=departing,
        forgotten=departing - short_term,
        pace=(1.0 - mix.load).abs() + REACH_OF_PLACE / mix.capacity,
    )


def _towards(state: _State, found: _State) -> _State:
    """Move towards what a round found; the pace follows at once."""
    return _State(
        loss=torch.lerp(state.loss, found.loss, PACING.weight),
        departing=torch.lerp(state.departing, found.departing, PACING.weight),
        forgotten=torch.lerp(state.forgotten, found.forgotten, PACING.weight),
        pace=found.pace,
    )


def _elasticity(mix: _Mix) -> Tensor:
    """Elasticity of the throughput of the M/M/1/K queue [D].

    That is d log(throughput) / d log(load). The throughput is proportional to
    a (1 - a^K) / (1 - a^(K+1)) at load a, and d log(1 - a^n) / d log(a) = -n / (a^-n - 1).
    """
    log_load = mix.load.clamp(SMALLEST_LOAD, LARGEST_LOAD).log()
    log_load = torch.where(log_load.abs() < LEAST_LOG_LOAD, LEAST_LOG_LOAD, log_load)
    room = mix.capacity.clamp_max(LARGEST_ROOM)

    def slope(jobs: Tensor) -> Tensor:
        return jobs / torch.expm1((-jobs * log_load).clamp(-MAX_EXPONENT, MAX_EXPONENT))

    return (1.0 - slope(room) + slope(room + 1.0)).clamp(0.0, 1.0)


def _common_spacing(arrays: FlowArrays) -> Tensor:
    """Smallest time between the jobs of each pair, at most the leader's service [s] [Q].

    It is the longest service of the follower at the devices both have just come through. Only
    single servers with constant service space jobs out; variable service does so in part.
    """
    hops = arrays.hops
    single = arrays.at_steps((arrays.device_servers == 1).to(arrays.step_mean.dtype))
    spacing = arrays.step_mean * (1.0 - arrays.step_scv).clamp_min(0.0) * single
    here = arrays.at_previous(spacing).index_select(0, hops.follower)
    longest = here
    # A pair's history is at most as long as the longest flow.
    for _ in range(len(arrays.flow_sizes) - 2):
        earlier = torch.cat([longest, longest.new_zeros(1)]).index_select(0, hops.before)
        longest = torch.maximum(here, earlier)
    return torch.minimum(longest, arrays.step_mean.index_select(0, hops.leader))


def _after_spacing(
    arrays: FlowArrays, mix: _Mix, rate: Tensor, spacing: Tensor
) -> tuple[Tensor, Tensor]:
    """Share of the wait that spacing takes at low load, and what remains at this load [S].

    Unspaced jobs wait sum(rate s^2) / (2 (1 - load)). Those on the same hop already had their turn
    in the queue of the common devices, where they waited sum(rate m^2) / (2 (1 - load of the
    common)) with spacing m in place of the service s.
    """
    hops = arrays.hops
    steps = torch.zeros_like(rate)
    of_leader = rate.index_select(0, hops.leader) * spacing
    square = steps.scatter_add(0, hops.follower, of_leader * spacing)
    common = steps.scatter_add(0, hops.follower, of_leader)
    # Several servers let jobs overtake each other: their waits are left as they are.
    alone = (arrays.device_servers == 1).to(rate.dtype)
    spaced = (square * arrays.at_steps(alone / mix.square.clamp_min(TINY))).clamp_max(1.0)
    free = arrays.at_steps((1.0 - mix.load).clamp_min(0.0))
    taken = spaced * free / (1.0 - common).clamp_min(LEAST_FREE)
    return spaced, (1.0 - taken).clamp(0.0, 1.0)


def _split_loss(
    arrays: FlowArrays,
    mix: _Mix,
    rate: Tensor,
    streams: _Streams,
    loss: Tensor,
    remaining: Tensor,
) -> Tensor:
    """Loss of each step's jobs: more where they come irregularly; the total stays [S]."""
    odds = arrays.at_steps(loss) * remaining.clamp_min(TINY) ** SPACED_LOSS
    total = arrays.sum_to_devices(rate * odds)
    weight = (streams.scv + SPLIT_OFFSET) / arrays.at_steps(streams.mixed + SPLIT_OFFSET)
    odds = odds / (1.0 - odds).clamp_min(TINY) * weight
    split = odds / (1.0 + odds)
    lost = arrays.sum_to_devices(rate * split)
    # Scaling losses down or passing shares down keeps both inside [0, 1].
    down = (total / lost.clamp_min(TINY)).clamp_max(1.0)
    also = ((total - lost) / (mix.rate - lost).clamp_min(TINY)).clamp(0.0, 1.0)
    more = split + (1.0 - split) * arrays.at_steps(also)
    found = torch.where(arrays.at_steps(total > lost), more, split * arrays.at_steps(down))
    too_large = arrays.step_demand > arrays.at_steps(arrays.device_capacity)
    return torch.where(too_large, 1.0, found)
