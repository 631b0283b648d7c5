"""Streams between the devices of the decomposition: thinned, mixed, spaced out; compiled.

What the rules mean and where they come from is told in :mod:`datagen.analytic.decomposition`.
A *hop* is an ordered pair of devices, one step after the other.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import inlined

__all__ = [
    "TINY",
    "Devices",
    "Flows",
    "Steps",
    "mix_arrivals",
    "pass_variability_on",
    "split_losses",
    "sum_rates",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

REACH_EXPONENT = 2.0
"""Power of the ratio of both devices' paces that multiplies the memory lost. This and the next
three were chosen on generated deployments."""

REACH_OF_PLACE = 3.0
"""What the inverse of a buffer counts in the pace, against the distance of the load from 1."""

SPACED_LOSS = 0.5
"""Power of the remaining share of the wait that multiplies the odds of loss: jobs that come spaced
out find a buffer full less often, too."""

SPLIT_OFFSET = 0.5
"""Added to SCVs before their ratio splits a loss among streams: even a perfectly regular stream
loses something."""

LARGEST_ROOM = 1e5
"""Stands for an unlimited buffer in the elasticity."""

SMALLEST_LOAD, LARGEST_LOAD = 1e-6, 1e3
"""Loads are clipped to this range in the elasticity, which has met its limits there."""

LEAST_LOG_LOAD = 1e-4
"""Distance from the removable singularity of the elasticity at load 1."""

LEAST_FREE = 0.01
"""Smallest idle share that the wait at shared earlier devices is divided by."""

TINY = 1e-300
"""Keeps idle devices, which nothing reaches, away from 0/0."""


class Steps(NamedTuple):
    """What does not change between the rounds, by step [S] unless said otherwise.

    Args:
        deployment_path: First path of each deployment, and the end [B + 1].
        path_step: First step of each path, and the end [P + 1].
        deployment_device: First device of each deployment, and the end [B + 1].
        device: Row of the device.
        position: 0-based position in the path.
        partner: The next step that ends the same hop, in a ring; itself where it is the only one
            or the first of a path.
        source_rate: Rate of the path's jobs before any loss [1/s].
        source_scv: SCV of the path's external arrivals.
        mean: Mean service time [s].
        scv: SCV of the service time.
        demand: Units that a job takes.
        servers: Servers of each device [D].
        capacity: Units of each device, infinite where unlimited [D].
    """

    deployment_path: Ints
    path_step: Ints
    deployment_device: Ints
    device: Ints
    position: Ints
    partner: Ints
    source_rate: Floats
    source_scv: Floats
    mean: Floats
    scv: Floats
    demand: Floats
    servers: Floats
    capacity: Floats


class Flows(NamedTuple):
    """What is iterated, by step [S].

    Args:
        rate: Rate of the arrivals [1/s].
        scv: SCV of the times between them.
        hop_scv: The same of all jobs that make the same hop; that of ``scv`` where a path begins.
        hop_share: Share of the previous device's jobs that make the hop; 0 where a path begins.
        hop_arrivals: Share of the device's arrivals that come by the hop; 0 where a path begins.
        spaced: Share of the wait that spacing would take at low load; 0 where a path begins.
        remaining: Share of the device's wait that spacing leaves, in [0, 1].
        passed: Share of the arrivals that is accepted, as the round assumed it.
        accepted: The same, as the round found it.
        reaching: Rate of the arrivals [1/s], as what the last round found accepted makes it.
        wait: Mean wait of those accepted [s].
    """

    rate: Floats
    scv: Floats
    hop_scv: Floats
    hop_share: Floats
    hop_arrivals: Floats
    spaced: Floats
    remaining: Floats
    passed: Floats
    accepted: Floats
    reaching: Floats
    wait: Floats


class Devices(NamedTuple):
    """Sums over the steps of each device, and what its queue does [D].

    Args:
        rate: Rate of the arrivals [1/s].
        work: Servers that they would keep busy.
        square: Their rate times second moment of service [s].
        units: Their rate times demand [1/s].
        scv: SCV of the mixed arrivals, as the device feels it.
        lasting: The same over long times.
        smooth: What the sources are below Poisson's SCV of 1, by their shares of the arrivals.
        mean: Mean service time of the mix [s].
        service_scv: SCV of the service time of the mix.
        room: Jobs that the device holds, at the mean demand of the mix.
        loss: Loss probability, as if all arrivals were alike.
        waiting: Mean waiting jobs, likewise.
        spaced_loss: Rate of losses in all, after spacing [1/s].
        split_loss: The same, as the streams' shares would add up [1/s].
        elasticity: Relative increase of the throughput per increase of the load, in [0, 1].
        pace: Inverse of the number of jobs over which the device evens out arrivals.
        departing: SCV of the departures over long times, as the round assumed it.
        forgotten: What a successor of a quicker pace does not see of it, as the round assumed it.
        found_departing: The SCV of the departures, as the round found it.
        found_forgotten: What is not seen of it, as the round found it.
    """

    rate: Floats
    work: Floats
    square: Floats
    units: Floats
    scv: Floats
    lasting: Floats
    smooth: Floats
    mean: Floats
    service_scv: Floats
    room: Floats
    loss: Floats
    waiting: Floats
    spaced_loss: Floats
    split_loss: Floats
    elasticity: Floats
    pace: Floats
    departing: Floats
    forgotten: Floats
    found_departing: Floats
    found_forgotten: Floats


@inlined
def sum_rates(
    steps: Steps, flows: Flows, devices: Devices, paths: tuple[int, int], bounds: tuple[int, int]
) -> None:
    """Thin the rates along each path, and sum them over the devices."""
    for device in range(bounds[0], bounds[1]):
        devices.rate[device] = devices.work[device] = devices.square[device] = 0.0
        devices.units[device] = devices.scv[device] = 0.0
        devices.lasting[device] = devices.smooth[device] = 0.0
        devices.spaced_loss[device] = devices.split_loss[device] = 0.0
    for path in range(paths[0], paths[1]):
        through = 1.0
        for step in range(steps.path_step[path], steps.path_step[path + 1]):
            rate = steps.source_rate[step] * through
            through *= flows.passed[step]
            flows.rate[step] = rate
            device, mean = steps.device[step], steps.mean[step]
            devices.rate[device] += rate
            devices.work[device] += rate * mean
            devices.square[device] += rate * (1.0 + steps.scv[step]) * mean * mean
            devices.units[device] += rate * steps.demand[step]


@inlined
def mix_arrivals(steps: Steps, flows: Flows, devices: Devices, steps_here: tuple[int, int]) -> None:
    """Tell how irregular and how spaced out each stream comes, and mix them at each device."""
    for step in range(steps_here[0], steps_here[1]):
        device = steps.device[step]
        share = flows.rate[step] / max(devices.rate[device], TINY)
        if steps.position[step] == 0:
            flows.scv[step] = flows.hop_scv[step] = steps.source_scv[step]
            flows.hop_share[step] = flows.hop_arrivals[step] = flows.spaced[step] = 0.0
            flows.remaining[step] = 1.0
            devices.scv[device] += share * steps.source_scv[step]
            devices.lasting[device] += share * steps.source_scv[step]
            devices.smooth[device] += share * max(1.0 - steps.source_scv[step], 0.0)
            continue
        source = steps.device[step - 1]
        leaving = max(devices.rate[source], TINY)
        leaders, coming, common, square = _in_front(steps, flows, step)
        # A random share p of a stream has SCV 1 + p (SCV - 1); a hop's jobs come as one stream.
        excess = _seen(devices, source, device) - 1.0
        together = min(leaders / leaving, 1.0)
        flows.scv[step] = 1.0 + flows.rate[step - 1] / leaving * excess
        flows.hop_scv[step], flows.hop_share[step] = 1.0 + together * excess, together
        flows.hop_arrivals[step] = min(coming / max(devices.rate[device], TINY), 1.0)
        devices.scv[device] += share * flows.hop_scv[step]
        devices.lasting[device] += share * (1.0 + together * (devices.departing[source] - 1.0))
        # Several servers let jobs overtake each other: their waits are left as they are.
        if steps.servers[device] > 1.0:
            square = 0.0
        spaced = min(square / max(devices.square[device], TINY), 1.0)
        free = max(1.0 - devices.work[device], 0.0)
        taken = spaced * free / max(1.0 - common, LEAST_FREE)
        flows.spaced[step] = spaced
        flows.remaining[step] = min(max(1.0 - taken, 0.0), 1.0)


@inlined
def _in_front(steps: Steps, flows: Flows, step: int) -> tuple[float, float, float, float]:
    """Rates of all that leaves for a step's hop and comes, the latter times spacing, and squared.

    The jobs of a step are in front of one another, too.
    """
    leaving = coming = common = square = 0.0
    leader = step
    while True:
        spacing = _common_spacing(steps, leader, step)
        leaving += flows.rate[leader - 1]
        coming += flows.rate[leader]
        common += flows.rate[leader] * spacing
        square += flows.rate[leader] * spacing * spacing
        leader = steps.partner[leader]
        if leader == step:
            return leaving, coming, common, square


@inlined
def _common_spacing(steps: Steps, leader: int, follower: int) -> float:
    """Smallest time between the jobs of two steps of a hop, at most the leader's service [s].

    It is the longest service of the follower at the devices both have just come through. Only
    single servers with constant service space jobs out; variable service does so in part.
    """
    longest = 0.0
    ahead, behind = leader - 1, follower - 1
    while True:
        if steps.servers[steps.device[behind]] == 1.0:
            spacing = steps.mean[behind] * max(1.0 - steps.scv[behind], 0.0)
            longest = max(longest, spacing)
        if steps.position[ahead] == 0 or steps.position[behind] == 0:
            break
        ahead, behind = ahead - 1, behind - 1
        if steps.device[ahead] != steps.device[behind]:
            break
    return float(min(longest, steps.mean[leader]))


@inlined
def _seen(devices: Devices, source: int, device: int) -> float:
    """SCV of a device's departures as its successor feels it."""
    slower = min(devices.pace[device] / max(devices.pace[source], TINY), 1.0)
    return float(devices.departing[source] - devices.forgotten[source] * slower**REACH_EXPONENT)


@inlined
def pass_variability_on(
    devices: Devices,
    device: int,
    load: float,
    capacity: float,
    service_scv: float,
    short_memory: float,
) -> None:
    """Find the SCV of departures: the arrivals' or the service's, as the throughput is elastic.

    A queue evens out what happens over about 1 / |1 - load| jobs, or its buffer if that is less.
    A successor that looks further back sees through that.
    """
    elasticity = _elasticity(load, capacity)
    kept = elasticity * (1.0 - short_memory * min(load, 1.0) ** 2)
    departing = service_scv + elasticity * (devices.lasting[device] - service_scv)
    short_term = service_scv + kept * (devices.scv[device] - service_scv)
    devices.elasticity[device] = elasticity
    devices.found_departing[device] = departing
    devices.found_forgotten[device] = departing - short_term
    devices.pace[device] = abs(1.0 - load) + REACH_OF_PLACE / capacity


@inlined
def _elasticity(load: float, capacity: float) -> float:
    """Elasticity of the throughput of M/M/1/K, d log(throughput) / d log(load), in [0, 1].

    The throughput is proportional to a (1 - a^K) / (1 - a^(K+1)) at load a, and
    d log(1 - a^n) / d log(a) = -n / (a^-n - 1).
    """
    log_load = math.log(min(max(load, SMALLEST_LOAD), LARGEST_LOAD))
    if abs(log_load) < LEAST_LOG_LOAD:
        log_load = LEAST_LOG_LOAD
    room = min(capacity, LARGEST_ROOM)
    full = room / np.expm1(-room * log_load)
    fuller = (room + 1.0) / np.expm1(-(room + 1.0) * log_load)
    return float(min(max(1.0 - full + fuller, 0.0), 1.0))


@inlined
def split_losses(steps: Steps, flows: Flows, devices: Devices, steps_here: tuple[int, int]) -> None:
    """Divide the losses of each device among its streams: more where they come irregularly."""
    for step in range(steps_here[0], steps_here[1]):
        device = steps.device[step]
        odds = devices.loss[device] * flows.remaining[step] ** SPACED_LOSS
        devices.spaced_loss[device] += flows.rate[step] * odds
        weight = (flows.scv[step] + SPLIT_OFFSET) / (devices.scv[device] + SPLIT_OFFSET)
        odds *= weight / max(1.0 - odds, TINY)
        flows.accepted[step] = 1.0 / (1.0 + odds)
        devices.split_loss[device] += flows.rate[step] * odds / (1.0 + odds)
    for step in range(steps_here[0], steps_here[1]):
        device = steps.device[step]
        total, lost, rate = (
            devices.spaced_loss[device],
            devices.split_loss[device],
            devices.rate[device],
        )
        # Scaling losses down or passing shares down keeps both inside [0, 1].
        if total > lost:
            flows.accepted[step] *= min(max((rate - total) / max(rate - lost, TINY), 0.0), 1.0)
        elif lost > 0.0:
            flows.accepted[step] = 1.0 - (1.0 - flows.accepted[step]) * total / lost
        if steps.demand[step] > steps.capacity[device]:
            flows.accepted[step] = 0.0
