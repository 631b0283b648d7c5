"""A few rounds of the queueing decomposition in torch: the analytic prior of every feature.

Each device is treated as an M/G/c/K queue fed by what its upstream devices let pass; loads and
losses are iterated to a fixed point. Streams inside a network are not Poisson, and three
corrections follow what they are instead:

- *Variability.* Seen over the long times that matter to a full buffer, a device with room to spare
  sends on the variability it receives, a saturated one that of its own service. In between stands
  the elasticity of its throughput: by how many per cent more jobs it lets pass if one per cent
  more come.
- *Spacing.* Jobs that left the same server come at least a service apart, so they wait less for
  each other (:class:`surrogate.features.hops.Hops`). A flow alone on constant-service devices waits
  in total exactly as long as at its slowest device (Friedman): what the shared earlier devices have
  made it wait already, it does not wait again. The same holds for any network of lightly loaded
  queues, pair of jobs by pair of jobs, to first order in the rates.
- *Shares of a loss.* A regular stream finds a full buffer less often than an irregular one.

Without these the mean error of latencies on random deployments is 6 %, with them 2.4 %, and 4.7 %
against 3.0 % for throughput; the rest is what the network has to learn.

References:
    Friedman, Reduction methods for tandem queuing systems, Operations Research 13 (1965).
    Whitt, The queueing network analyzer, Bell System Technical Journal 62 (1983): variability of
    departures, splits and superpositions.
    Whitt and You, A robust queueing network analyzer based on indices of dispersion, Naval Research
    Logistics 69 (2022): variability that depends on the time scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from surrogate.features.arrays import FlowArrays
from surrogate.features.queue import QueueFormula

__all__ = ["Decomposition", "Prior"]

ROUNDS = 6
"""Damped rounds; more change the features by less than the noise of the labels."""

DAMPING = 0.6
"""Weight of the newest round."""

MIN_VARIABILITY = -0.9
"""Smallest sum of both SCVs less 1 that the queue formula is asked for, up to load 1. Above, it
rises to 0 at load 2: an overloaded queue is full whatever the variability, which the formula, made
for loads around 1, does not know."""

SHORT_MEMORY = 0.3
"""Share of the received variability that a device of load 1 loses even with an unlimited buffer:
its successor does not look infinitely far back. Chosen on generated deployments."""

SPACED_LOSS = 0.5
"""Power of the remaining share of the wait that multiplies the odds of loss: jobs that come spaced
out find a buffer full less often, too. Chosen on generated deployments."""

SPLIT_OFFSET = 0.5
"""Added to SCVs before their ratio splits a loss among streams: even a perfectly regular stream
loses something. Chosen on generated deployments."""

LARGEST_ROOM = 1e5
"""Stands for an unlimited buffer in the elasticity."""

MIN_LOG_LOAD = 1e-4
"""Distance from the removable singularity of the elasticity at load 1."""

MAX_EXPONENT = 60.0
"""Bound of exponents in float32."""

LEAST_FREE = 0.01
"""Smallest idle share that the wait at shared earlier devices is divided by."""

TINY = 1e-12
"""Keeps idle devices away from 0/0."""


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What the decomposition says.

    Args:
        step_rate: Arrival rate at each step after upstream losses [1/s] [S].
        step_arrival_scv: SCV of the times between a flow's own arrivals at each step [S].
        hop_arrival_scv: The same of all jobs that make the same hop [S].
        hop_share: Share of the previous device's jobs that make the hop; 0 at position 0 [S].
        step_spaced: Share of the wait of Poisson arrivals that spacing would take away at low load,
            in [0, 1] [S].
        step_remaining: Share of the device's wait that remains after spacing, in [0, 1] [S].
        step_loss: Loss probability of a flow's jobs at each step [S].
        step_wait: Mean wait of an admitted job at each step [s] [S].
        arrival_scv: SCV of the times between all arrivals at each device [D].
        elasticity: Relative increase of a device's throughput per increase of its load, in
            [0, 1] [D].
        offered: Load of each device without any loss [D].
        load: Load of each device after upstream losses [D].
        loss: Loss probability at each device, as if all its arrivals were alike [D].
        waiting: Mean number of waiting jobs at each device, likewise [D].
        mean: Mean service time of the device's mix [s] [D].
        scv: SCV of the service time of the device's mix [D].
        capacity: Jobs the device holds, at the mix's mean demand [D].
    """

    step_rate: Tensor
    step_arrival_scv: Tensor
    hop_arrival_scv: Tensor
    hop_share: Tensor
    step_spaced: Tensor
    step_remaining: Tensor
    step_loss: Tensor
    step_wait: Tensor
    arrival_scv: Tensor
    elasticity: Tensor
    offered: Tensor
    load: Tensor
    loss: Tensor
    waiting: Tensor
    mean: Tensor
    scv: Tensor
    capacity: Tensor


@dataclass(frozen=True, kw_only=True)
class _Streams:
    """Arrivals at each step in one round: rate, SCV of the flow and of its whole hop [S]."""

    rate: Tensor
    own_scv: Tensor
    hop_scv: Tensor


@dataclass(frozen=True, kw_only=True)
class _Mix:
    """Moments of the jobs that arrive at each device, weighted by rate [D]."""

    rate: Tensor
    load: Tensor
    mean: Tensor
    scv: Tensor
    square: Tensor
    capacity: Tensor
    arrival_scv: Tensor


class Decomposition(nn.Module):
    """Fixed point of thinning and M/G/c/K losses."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = QueueFormula()

    def forward(self, arrays: FlowArrays) -> Prior:
        """Iterate.

        Args:
            arrays: The deployments.

        Returns:
            The prior; it carries gradients to rates and service moments.
        """
        external_rate = arrays.of_flows(arrays.flow_rate)
        external_scv = arrays.of_flows(arrays.chain_scv[arrays.flow_chain])
        scv = torch.where(arrays.step_position == 0, external_scv, 1.0)
        streams = _Streams(rate=external_rate, own_scv=scv, hop_scv=scv)
        spacing = _common_spacing(arrays)
        loss = torch.zeros_like(arrays.device_capacity)
        offered = None
        for round_ in range(ROUNDS):
            mix = _mix(arrays, streams)
            offered = mix.load if offered is None else offered
            newest, waiting = self.queue(
                mix.load, _variability(mix), mix.capacity, arrays.device_servers
            )
            loss = newest if round_ == 0 else loss + DAMPING * (newest - loss)
            spaced, remaining = _after_spacing(arrays, mix, streams.rate, spacing)
            step_loss = _split_loss(arrays, mix, streams, arrays.at_steps(loss), remaining)
            elasticity = _elasticity(mix)
            arrived, arrived_mix = streams, mix
            rate = external_rate * arrays.running_product(1.0 - step_loss)
            streams, hop_share = _next_streams(arrays, mix, streams, rate, elasticity, external_scv)
        assert offered is not None
        accepted = arrived_mix.rate * (1.0 - loss)
        return Prior(
            step_rate=rate,
            step_arrival_scv=arrived.own_scv,
            hop_arrival_scv=arrived.hop_scv,
            hop_share=hop_share,
            step_spaced=spaced,
            step_remaining=remaining,
            step_loss=step_loss,
            step_wait=arrays.at_steps(waiting / accepted.clamp_min(TINY)) * remaining,
            arrival_scv=mix.arrival_scv,
            elasticity=elasticity,
            offered=offered,
            load=mix.load,
            loss=loss,
            waiting=waiting,
            mean=mix.mean,
            scv=mix.scv,
            capacity=mix.capacity,
        )


def _mix(arrays: FlowArrays, streams: _Streams) -> _Mix:
    rate = streams.rate
    work_rate = rate * arrays.step_mean
    total = arrays.sum_to_devices(rate).clamp_min(TINY)
    work = arrays.sum_to_devices(work_rate)
    square = arrays.sum_to_devices(work_rate * arrays.step_mean * (1.0 + arrays.step_scv))
    mean = work / total
    demand = (arrays.sum_to_devices(rate * arrays.step_demand) / total).clamp_min(1.0)
    # An infinite capacity over a demand would have a gradient of NaN.
    limited = torch.isfinite(arrays.device_capacity)
    held = torch.where(limited, arrays.device_capacity, 1.0)
    return _Mix(
        rate=total,
        load=work / arrays.device_servers,
        mean=mean,
        scv=(square / total / (mean**2).clamp_min(TINY) - 1.0).clamp_min(0.0),
        square=square,
        capacity=torch.where(limited, (held / demand).clamp_min(1.0), torch.inf),
        arrival_scv=arrays.sum_to_devices(rate * streams.hop_scv) / total,
    )


def _variability(mix: _Mix) -> Tensor:
    """SCV of arrivals plus that of service less 1, inside the reach of the formula [D]."""
    floor = MIN_VARIABILITY * (2.0 - mix.load).clamp(0.0, 1.0)
    return torch.maximum(mix.arrival_scv + mix.scv - 1.0, floor)


def _elasticity(mix: _Mix) -> Tensor:
    """Elasticity of the throughput of the M/M/1/K queue [D].

    That is d log(throughput) / d log(load). The throughput is proportional to
    a (1 - a^K) / (1 - a^(K+1)) at load a, and d log(1 - a^n) / d log(a) = -n / (a^-n - 1).
    """
    log_load = mix.load.clamp(1e-6, 1e3).log()
    log_load = torch.where(log_load.abs() < MIN_LOG_LOAD, MIN_LOG_LOAD, log_load)
    room = mix.capacity.clamp_max(LARGEST_ROOM)

    def slope(jobs: Tensor) -> Tensor:
        return jobs / torch.expm1((-jobs * log_load).clamp(-MAX_EXPONENT, MAX_EXPONENT))

    return (1.0 - slope(room) + slope(room + 1.0)).clamp(0.0, 1.0)


def _common_spacing(arrays: FlowArrays) -> Tensor:
    """Smallest time between the jobs of each pair, at most the leader's service [s] [Q].

    It is the longest service of the follower at the devices both have just come through. Only
    single servers with constant service space jobs out; variable service does so in part.
    """
    single = arrays.at_steps((arrays.device_servers == 1).to(arrays.step_mean.dtype))
    spacing = arrays.step_mean * (1.0 - arrays.step_scv).clamp_min(0.0) * single
    here = arrays.at_previous(spacing).index_select(0, arrays.pair_follower)
    longest = here
    # A pair's history is at most as long as the longest flow.
    for _ in range(len(arrays.flow_sizes) - 2):
        earlier = torch.cat([longest, longest.new_zeros(1)]).index_select(0, arrays.pair_before)
        longest = torch.maximum(here, earlier)
    return torch.minimum(longest, arrays.step_mean.index_select(0, arrays.pair_leader))


def _after_spacing(
    arrays: FlowArrays, mix: _Mix, rate: Tensor, spacing: Tensor
) -> tuple[Tensor, Tensor]:
    """Share of the wait that spacing takes at low load, and what remains at this load [S].

    Unspaced jobs wait sum(rate s^2) / (2 (1 - load)). Those on the same hop already had their turn
    in the queue of the common devices, where they waited sum(rate m^2) / (2 (1 - load of the
    common)) with spacing m in place of the service s.
    """
    steps = torch.zeros_like(rate)
    of_leader = rate.index_select(0, arrays.pair_leader) * spacing
    square = steps.scatter_add(0, arrays.pair_follower, of_leader * spacing)
    common = steps.scatter_add(0, arrays.pair_follower, of_leader)
    # Several servers let jobs overtake each other: their waits are left as they are.
    alone = (arrays.device_servers == 1).to(rate.dtype)
    spaced = (square * arrays.at_steps(alone / mix.square.clamp_min(TINY))).clamp_max(1.0)
    free = arrays.at_steps((1.0 - mix.load).clamp_min(0.0))
    taken = spaced * free / (1.0 - common).clamp_min(LEAST_FREE)
    return spaced, (1.0 - taken).clamp(0.0, 1.0)


def _split_loss(
    arrays: FlowArrays, mix: _Mix, streams: _Streams, loss: Tensor, remaining: Tensor
) -> Tensor:
    """Loss of each step's jobs: more where they come irregularly; the total stays [S]."""
    odds = loss * remaining.clamp_min(TINY) ** SPACED_LOSS
    total = arrays.sum_to_devices(streams.rate * odds)
    weight = (streams.own_scv + SPLIT_OFFSET) / arrays.at_steps(mix.arrival_scv + SPLIT_OFFSET)
    odds = odds / (1.0 - odds).clamp_min(TINY) * weight
    split = odds / (1.0 + odds)
    lost = arrays.sum_to_devices(streams.rate * split)
    # Scaling losses down or passing shares down keeps both inside [0, 1].
    down = arrays.at_steps((total / lost.clamp_min(TINY * TINY)).clamp_max(1.0))
    passing = ((mix.rate - total) / (mix.rate - lost).clamp_min(TINY)).clamp(0.0, 1.0)
    return 1.0 - (1.0 - split * down) * arrays.at_steps(torch.where(total > lost, passing, 1.0))


def _next_streams(
    arrays: FlowArrays,
    mix: _Mix,
    streams: _Streams,
    rate: Tensor,
    elasticity: Tensor,
    external_scv: Tensor,
) -> tuple[_Streams, Tensor]:
    """Streams as they come to each step, and the hop's share of the previous device's jobs [S].

    A random share p of a stream has the SCV 1 + p (SCV - 1).
    """
    kept = elasticity * (1.0 - SHORT_MEMORY * mix.load.clamp_max(1.0) ** 2)
    departures = kept * mix.arrival_scv + (1.0 - kept) * mix.scv
    inner = (arrays.step_position > 0).to(rate.dtype)
    share = arrays.at_previous(streams.rate / arrays.at_steps(mix.rate)) * inner
    hop_share = arrays.sum_to_hops(share).index_select(0, arrays.step_hop).clamp_max(1.0) * inner
    excess = arrays.at_previous(arrays.at_steps(departures - 1.0))
    external = external_scv * (1.0 - inner) + inner
    own, hop = external + share * excess, external + hop_share * excess
    return _Streams(rate=rate, own_scv=own, hop_scv=hop), hop_share
