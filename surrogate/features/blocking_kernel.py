"""Networks whose jobs wait at the sender for room ahead, as far as a fixed point tells them.

A job that finds its next device full keeps its server, so that a service there lasts longer by the
mean wait for room ahead. Every device is a birth-and-death chain of the jobs in it and of those
that wait at its door, one per server upstream at most: who comes from outside is lost while it is
full, who comes from another device waits and enters before anybody from outside. The waits at the
doors follow from the chains, the services from the waits, and the losses at the first devices from
both; rounds go through the devices until nothing changes.

In the chains of devices whose servers are kept, the ratios of neighbouring states beyond the
servers are raised to the power 2 / (1 + SCV), as in a diffusion; the first and the last ratio are
those that keep the flow balanced, so that a single server without doors loses

    (1 - rho) Q / (1 - rho Q),    Q = rho sigma^(K - 1),    sigma = rho^(2 / (1 + SCV)),

which is exact for exponential services, and for K = 1. Shared processors keep nobody: theirs is the
product form of the processor and of those who wait ahead.

Where lines of devices are saturated, waits and losses answer each other with a delay, and the
rounds may go in circles: then the mean of the later rounds stands for the fixed point.

References:
    Perros, Queueing Networks with Blocking, 1994, ch. 3 (decomposition by effective services).
    Kerbache and MacGregor Smith, The generalized expansion method for open finite queueing
    networks, European Journal of Operational Research 32, 1987.
    Gelenbe, On approximate computer system models, Journal of the ACM 22, 1975 (diffusions with
    room for K).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import compiled, inlined

__all__ = ["MOST_ROOM", "Blocked", "Blocking", "Doors", "Scratch", "blocked_networks"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

MOST_ROOM = 400
"""Jobs that a device holds at most here: more make no difference to the losses that are told."""

ROUNDS, EARLY = 60, 20
"""Rounds at most, and those before the mean begins: by then the waits have the right size."""

WEIGHT = 0.5
"""Part of the way that waits and losses go in a round, after the first one."""

SETTLED = 1e-4
"""Change of all losses, and of all waits relative to a service, at which the rounds end."""

ATTEMPTS = 4
"""Corrections, per round, of the rate at which unblocked servers upstream send jobs."""

MOST_SENT = 20.0
"""That rate over the fastest service, at most: the door is then never empty."""

LARGEST_STEP = 10.0
"""Factor by which one correction changes that rate at most."""

LARGE = 1e200
"""Weight of a state at which all are made smaller, before they are infinite."""

MOST_LOST = 1.0 - 1e-4
"""Share of a path's jobs that is lost at most: where nobody comes there is no mean wait."""

TINY = 1e-300
"""Keeps what never happens away from 0/0."""

LEVEL = 1e-6
"""Distance of a ratio of rates from 1 below which its power is taken from the derivative."""


class Blocking(NamedTuple):
    """B deployments of P paths and S steps, in the order of their paths, on D devices.

    Args:
        deployment_path: First path of each, and the total [B + 1].
        deployment_device: First device of each, and the total [B + 1].
        path_step: First step of each path, and the total [P + 1].
        path: Path of each step [S].
        device: Device of each step [S].
        ahead: Device that jobs wait for after it, or -1 [S].
        first_visit: Place of each device's first step in ``visit``, and the total [D + 1].
        visit: Steps by device [S].
        rate: Rate at the source of the step's path [1/s] [S].
        mean: Mean service with one busy server [s] [S].
        scv: SCV of the service [S].
        servers: Servers of each device [D].
        room: Jobs that it holds, at least the servers and at most MOST_ROOM [D].
        places: Servers of other devices that jobs may wait for it at [D].
        shared: Whether it shares its processors [D].
        slowdown: Time of a service with 1, 2, ... busy servers over that of one alone [D, C].
    """

    deployment_path: Ints
    deployment_device: Ints
    path_step: Ints
    path: Ints
    device: Ints
    ahead: Ints
    first_visit: Ints
    visit: Ints
    rate: Floats
    mean: Floats
    scv: Floats
    servers: Ints
    room: Ints
    places: Ints
    shared: Flags
    slowdown: Floats


class Doors(NamedTuple):
    """What the rounds change, by device [D]; zeros to start with.

    Args:
        wait: Mean wait at the door [s].
        sent: Rate at which unblocked servers send jobs [1/s].
        loss: Share of the jobs from outside that are lost.
        inside: Mean number of jobs in it.
        full: Share of the time that it is full.
    """

    wait: Floats
    sent: Floats
    loss: Floats
    inside: Floats
    full: Floats


class Blocked(NamedTuple):
    """What is found of the steps that are asked about; zeros elsewhere.

    Args:
        held: Mean wait for room ahead after each step [s] [S].
        loss: Share of the path's jobs that its first device has no room for [S].
        stay: Mean time from the admission to the end of the service [s] [S].
    """

    held: Floats
    loss: Floats
    stay: Floats


class Scratch(NamedTuple):
    """Room to work in.

    Args:
        passing: Jobs per second that are let into each path [P].
        mean: Sums of the waits, losses, jobs inside and shares of time full of later rounds [4, D].
        rates: Completions per second by jobs inside, of the device at hand [MOST_ROOM + 1].
    """

    passing: Floats
    mean: Floats
    rates: Floats


@inlined
def _shared_rates(
    rates: Floats, room: int, servers: int, mean: float, held: float, slowdown: Floats
) -> None:
    """Completions of shared processors and of a delay, by the product form of both."""
    term = 1.0  # weight of all jobs waiting ahead, over that of the state with one job less
    for jobs in range(1, room + 1):
        term *= held / jobs
        weight = mean + term
        rates[jobs] = 1.0 / weight
        if servers > 1:
            busy = min(jobs, servers)
            slow = slowdown[busy - 1]
            rates[jobs] = min(rates[jobs] * busy / slow, jobs / (mean * slow + held))
        term /= weight


@inlined
def _kept_rates(
    rates: Floats, room: int, servers: int, mean: float, held: float, slowdown: Floats
) -> None:
    """Completions of servers that are kept while their job waits ahead."""
    for jobs in range(1, room + 1):
        busy = min(jobs, servers)
        rates[jobs] = busy / (mean * slowdown[busy - 1] + held)


@inlined
def _growth(ratio: float, power: float, ends: float, first: bool) -> float:
    """Weight of a state over that of the one below.

    Args:
        ratio: Arrivals in the lower one over completions in the upper one.
        power: Of ratios where jobs wait.
        ends: How many first steps of waiting it is, less the last ones.
        first: Whether all jobs below are in service, and the upper one is the first to wait.
    """
    raised = ratio**power
    balance = power if abs(1.0 - ratio) < LEVEL else (1.0 - raised) / (1.0 - ratio)
    return float((ratio if first else raised) * balance**ends)


@inlined
def _balanced(
    room: int, places: int, servers: int, outside: float, sent: float, power: float, rates: Floats
) -> tuple[float, float, float, float, float]:
    """Solve the chain of a device.

    Returns:
        Share of the jobs from outside that are lost, mean numbers of jobs inside and at the door,
        jobs from other devices per second, and the share of time that it is full.
    """
    weight, total, inside, door, full, open_, done = 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    by_door = sent / (sent + outside) if sent + outside > 0.0 else 0.0
    most = room + places
    for jobs in range(most + 1):
        within = min(jobs, room)
        free = 1.0 - (jobs - within) / places if places > 0 else 1.0
        total += weight
        inside += weight * within
        door += weight * (jobs - within)
        open_ += weight * free
        if jobs >= room:
            full += weight
        if jobs > 0:
            done += weight * rates[within]
        coming = sent * free + (outside if jobs < room else 0.0)
        if jobs == most or coming <= 0.0:
            break
        ratio = coming / rates[min(jobs + 1, room)]
        if jobs < servers - 1 or power == 1.0:
            weight *= ratio
        else:
            ends = 1.0 if jobs == servers - 1 else 0.0
            if jobs == room - 1:
                ends -= 1.0 - by_door if places > 0 else 1.0
            if jobs == most - 1 and places > 0:
                ends -= by_door
            weight *= _growth(ratio, power, ends, jobs == servers - 1)
        if weight > LARGE:
            total, inside, door = total / weight, inside / weight, door / weight
            full, open_, done = full / weight, open_ / weight, done / weight
            weight = 1.0
    accepted, let_in = sent * open_, outside * (total - full)
    done /= total
    from_doors = done * accepted / max(accepted + let_in, TINY)
    lost = 1.0 - (done - from_doors) / outside if outside > 0.0 else full / total
    return min(max(lost, 0.0), 1.0), inside / total, door / total, from_doors, full / total


class _Mix(NamedTuple):
    """What comes to a device.

    Args:
        outside: Jobs per second from outside, lost ones included.
        inner: Jobs per second from other devices.
        total: Jobs per second that are let in.
        mean: Mean service with one busy server [s].
        held: Mean wait for room ahead [s].
        square: Second moment of both together [s^2].
    """

    outside: float
    inner: float
    total: float
    mean: float
    held: float
    square: float


@inlined
def _mixed(network: Blocking, doors: Doors, passing: Floats, device: int) -> _Mix:
    """Add up the steps of a device."""
    outside, inner, total, work, held, square = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for place in range(network.first_visit[device], network.first_visit[device + 1]):
        step = network.visit[place]
        path, ahead = network.path[step], network.ahead[step]
        rate, mean = passing[path], network.mean[step]
        if step == network.path_step[path]:
            outside += network.rate[step]
        else:
            inner += rate
        wait = doors.wait[ahead] if ahead >= 0 else 0.0
        total += rate
        work += rate * mean
        held += rate * wait
        # Waits ahead scatter as exponential times do.
        square += rate * (mean**2 * (1.0 + network.scv[step]) + 2.0 * wait * (mean + wait))
    over = max(total, TINY)
    return _Mix(outside, inner, total, work / over, held / over, square / over)


@inlined
def _played(network: Blocking, doors: Doors, scratch: Scratch, device: int, weight: float) -> float:
    """Solve the chain of one device and move its wait and loss; return how far they were."""
    mix = _mixed(network, doors, scratch.passing, device)
    if mix.total <= 0.0:
        return 0.0
    room, servers, places = network.room[device], network.servers[device], network.places[device]
    rates, slowdown, power = scratch.rates, network.slowdown[device], 1.0
    if network.shared[device]:
        _shared_rates(rates, room, servers, mix.mean, mix.held, slowdown)
    else:
        _kept_rates(rates, room, servers, mix.mean, mix.held, slowdown)
        power = 2.0 / max(mix.square / (mix.mean + mix.held) ** 2, 1.0)
    fastest = MOST_SENT * rates[room]
    if doors.sent[device] <= 0.0:
        doors.sent[device] = min(mix.inner, fastest)
    found = _balanced(room, places, servers, mix.outside, doors.sent[device], power, rates)
    change = 0.0
    if mix.inner > 0.0:
        for _ in range(ATTEMPTS):
            factor = min(max(mix.inner / max(found[3], TINY), 1.0 / LARGEST_STEP), LARGEST_STEP)
            doors.sent[device] = min(doors.sent[device] * factor, fastest)
            found = _balanced(room, places, servers, mix.outside, doors.sent[device], power, rates)
        wait = found[2] / max(found[3], TINY)
        change = abs(wait - doors.wait[device]) / (mix.mean + wait)
        doors.wait[device] += weight * (wait - doors.wait[device])
    change = max(change, abs(found[0] - doors.loss[device]))
    doors.loss[device] += weight * (found[0] - doors.loss[device])
    doors.inside[device], doors.full[device] = found[1], found[4]
    return float(change)


@inlined
def _let_in(network: Blocking, doors: Doors, passing: Floats, deployment: int) -> None:
    """Set the jobs per second that are let into each path of a deployment."""
    for path in range(network.deployment_path[deployment], network.deployment_path[deployment + 1]):
        step = network.path_step[path]
        lost = min(doors.loss[network.device[step]], MOST_LOST)
        passing[path] = network.rate[step] * (1.0 - lost)


@inlined
def _settle(network: Blocking, doors: Doors, scratch: Scratch, deployment: int) -> None:
    """Find the waits and losses of one deployment."""
    first, stop = network.deployment_device[deployment], network.deployment_device[deployment + 1]
    mean = scratch.mean
    mean[:, first:stop] = 0.0
    change = 1.0
    for number in range(ROUNDS):
        _let_in(network, doors, scratch.passing, deployment)
        weight = WEIGHT if number > 0 else 1.0
        change = 0.0
        # From the last one on: devices ahead are mostly those with larger numbers.
        for device in range(stop - 1, first - 1, -1):
            moved = _played(network, doors, scratch, device, weight)
            change = max(change, moved)
        if change < SETTLED:
            break
        if number >= EARLY:
            for device in range(first, stop):
                mean[0, device] += doors.wait[device] / (ROUNDS - EARLY)
                mean[1, device] += doors.loss[device] / (ROUNDS - EARLY)
                mean[2, device] += doors.inside[device] / (ROUNDS - EARLY)
                mean[3, device] += doors.full[device] / (ROUNDS - EARLY)
    if change >= SETTLED:
        for device in range(first, stop):
            doors.wait[device], doors.loss[device] = mean[0, device], mean[1, device]
            doors.inside[device], doors.full[device] = mean[2, device], mean[3, device]
    _let_in(network, doors, scratch.passing, deployment)


@inlined
def _tell(network: Blocking, doors: Doors, scratch: Scratch, device: int, found: Blocked) -> None:
    """Write down what is found of the steps of a device."""
    mix = _mixed(network, doors, scratch.passing, device)
    slow = network.slowdown[device, network.servers[device] - 1]
    work, waiting = mix.total * mix.mean * slow, mix.total * mix.held
    crowd = max(doors.inside[device] - waiting, work) / max(work, TINY)
    # Little's law for the device, less the services and the waits ahead of its mix.
    queueing = max(doors.inside[device] - work - waiting, 0.0) / max(mix.total, TINY)
    for place in range(network.first_visit[device], network.first_visit[device + 1]):
        step = network.visit[place]
        ahead, first = network.ahead[step], network.path_step[network.path[step]]
        mean = network.mean[step] * slow
        found.held[step] = doors.wait[ahead] if ahead >= 0 else 0.0
        found.loss[step] = min(doors.loss[network.device[first]], MOST_LOST)
        found.stay[step] = mean * crowd if network.shared[device] else mean + queueing


@compiled
def blocked_networks(
    network: Blocking, blocks: Flags, doors: Doors, scratch: Scratch, found: Blocked
) -> None:
    """Find the fixed points of networks whose jobs block.

    Args:
        network: The deployments.
        blocks: Which of them block [B]; nothing is written about the others.
        doors: Zeros, that the waits and losses are written to.
        scratch: Room to work in.
        found: Zeros, that what is found of the steps is written to.
    """
    for deployment in range(len(blocks)):
        if blocks[deployment]:
            _settle(network, doors, scratch, deployment)
            devices = network.deployment_device
            for device in range(devices[deployment], devices[deployment + 1]):
                _tell(network, doors, scratch, device, found)
