"""Networks whose jobs wait at the sender for room ahead, as far as a fixed point tells them.

A job that finds its next device full keeps its server, so that a service there lasts longer by the
mean wait for room ahead. The waits at the doors of devices follow from what comes to each
(:mod:`surrogate.features.door_queue_kernel`), the services from the waits, and the losses at the
first devices from both; rounds go through the devices until nothing changes.

Waits and losses answer each other with a delay, so the rounds correct what is sent to a door with
care. Where they still go in circles, the mean of the later rounds stands for the fixed point.

References:
    Perros, Queueing Networks with Blocking, 1994, ch. 3 (decomposition by effective services).
    Kerbache and MacGregor Smith, The generalized expansion method for open finite queueing
    networks, European Journal of Operational Research 32, 1987.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import compiled, inlined
from surrogate.features.door_queue_kernel import TINY, balanced, kept_rates, shared_rates

__all__ = ["MOST_ROOM", "Blocked", "Blocking", "Doors", "Scratch", "blocked_networks"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

MOST_ROOM = 400
"""Jobs that a device holds at most here: more make no difference to the losses that are told."""

ROUNDS, EARLY = 200, 100
"""Rounds at most, and those before the mean begins: by then the waits have the right size."""

WEIGHT = 0.5
"""Part of the way that waits and losses go in a round, after the first one."""

SETTLED = 1e-4
"""Change of all losses, and of all waits relative to a service, at which the rounds end."""

MOST_SENT = 20.0
"""Rate at which unblocked servers upstream send jobs to a door, over the fastest service behind it,
at most: the door is then never empty."""

MOST_WAIT = 1e6
"""Mean wait at a door over the mean service behind it, at most. Where jobs wait for each other in a
circle, waits would grow without end, as they do in the deadlock that comes of it."""

CARE, LARGEST_STEP = 0.25, 3.0
"""Power of the quotient by which a round corrects that rate, and the factor it goes at most. Losses
upstream answer in the same round; if the rate followed the jobs at once, too, both would go in
circles wherever a line of devices is saturated."""

MOST_LOST = 1.0 - 1e-4
"""Share of a path's jobs that is lost at most: where nobody comes there is no mean wait."""


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
        shared_rates(rates, room, servers, mix.mean, mix.held, slowdown)
    else:
        kept_rates(rates, room, servers, mix.mean, mix.held, slowdown)
        power = 2.0 / max(mix.square / (mix.mean + mix.held) ** 2, 1.0)
    fastest = MOST_SENT * rates[room]
    if doors.sent[device] <= 0.0:
        doors.sent[device] = min(mix.inner, fastest)
    found = balanced(room, places, servers, mix.outside, doors.sent[device], power, rates)
    change = 0.0
    if mix.inner > 0.0:
        factor = (mix.inner / max(found.entering, TINY)) ** CARE
        factor = min(max(factor, 1.0 / LARGEST_STEP), LARGEST_STEP)
        doors.sent[device] = min(doors.sent[device] * factor, fastest)
        found = balanced(room, places, servers, mix.outside, doors.sent[device], power, rates)
        wait = min(found.waiting / max(found.entering, TINY), MOST_WAIT * mix.mean)
        change = abs(wait - doors.wait[device]) / (mix.mean + wait)
        doors.wait[device] += weight * (wait - doors.wait[device])
    change = max(change, abs(found.lost - doors.loss[device]))
    doors.loss[device] += weight * (found.lost - doors.loss[device])
    doors.inside[device], doors.full[device] = found.inside, found.full
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
