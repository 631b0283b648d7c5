"""Three ways to place fragments quickly, as starts, middles and ends of searches are placed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PlacementTask", "annealed", "balanced", "scattered"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FIRST_TEMPERATURE = 0.05
"""Share of the offered jobs by which a move may worsen the score at first."""

LAST_TEMPERATURE = 1e-4
"""The same at the end, below which a move changes nothing that simulation would show."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementTask:
    """What a placement of F fragments on D devices is judged by.

    Args:
        rate: Jobs per second through each fragment if nothing is lost [F].
        work: Work of each fragment [s at speed 1] [F].
        speed: Speed of each device [D].
        capacity: Buffer of each device [D].
        most_per_device: Most fragments on a device; F <= D * most_per_device.
    """

    rate: Floats
    work: Floats
    speed: Floats
    capacity: Ints
    most_per_device: int


def scattered(task: PlacementTask, rng: np.random.Generator) -> Ints:
    """Place every fragment on a random device that has room.

    Args:
        task: The task.
        rng: Stream of the choices.

    Returns:
        Device per fragment [F].
    """
    room = np.full(len(task.speed), task.most_per_device)
    hosts = np.empty(len(task.work), dtype=np.int64)
    for row in range(len(hosts)):
        hosts[row] = rng.choice(np.flatnonzero(room))
        room[hosts[row]] -= 1
    return hosts


def balanced(task: PlacementTask, rng: np.random.Generator) -> Ints:
    """Place fragments, the heaviest first, where the load is then least.

    Args:
        task: The task.
        rng: Stream that breaks ties among equal devices.

    Returns:
        Device per fragment [F].
    """
    demand = task.rate * task.work
    room = np.full(len(task.speed), task.most_per_device)
    load = np.zeros(len(task.speed))
    tie = rng.permutation(len(load))
    hosts = np.empty(len(demand), dtype=np.int64)
    for row in np.argsort(-demand, kind="stable"):
        after = np.where(room > 0, load + demand[row] / task.speed, np.inf)
        hosts[row] = tie[np.argmin(after[tie])]
        load[hosts[row]] = after[hosts[row]]
        room[hosts[row]] -= 1
    return hosts


def blocking(load: float, capacity: int) -> float:
    """Return the loss probability of an M/M/1/K queue, a smooth and cheap proxy of any.

    Args:
        load: Offered load, >= 0.
        capacity: Jobs that fit, >= 1.

    Returns:
        The probability, in [0, 1).
    """
    if load <= 0.0:
        return 0.0
    log = math.log(load)
    if abs(log) * capacity < 1e-6:  # the quotient below is 0 / 0 at load 1
        return 1.0 / (capacity + 1)
    # (1 - a) a^K / (1 - a^(K+1)), written so that no power overflows.
    if load < 1.0:
        return math.expm1(log) * math.exp(capacity * log) / math.expm1((capacity + 1) * log)
    return math.expm1(-log) / math.expm1(-(capacity + 1) * log)


def annealed(task: PlacementTask, rng: np.random.Generator, moves: int) -> Ints:
    """Place at random, then move fragments to lower the jobs lost per second, as a search does.

    Args:
        task: The task.
        rng: Stream of the moves.
        moves: Moves tried.

    Returns:
        Device per fragment [F].
    """
    hosts = scattered(task, rng).tolist()
    rate, work = task.rate.tolist(), task.work.tolist()
    devices = len(task.speed)
    speed, capacity = task.speed.tolist(), task.capacity.tolist()
    jobs, busy, count = [0.0] * devices, [0.0] * devices, [0] * devices
    for row, host in enumerate(hosts):
        jobs[host] += rate[row]
        busy[host] += rate[row] * work[row] / speed[host]
        count[host] += 1

    def lost(host: int, more_jobs: float, more_busy: float) -> float:
        load = max(busy[host] + more_busy, 0.0)
        return (jobs[host] + more_jobs) * blocking(load, capacity[host])

    rows = rng.integers(len(hosts), size=moves).tolist()
    targets = rng.integers(devices, size=moves).tolist()
    chances = rng.exponential(size=moves).tolist()
    scale = float(task.rate.sum())
    cooling = (LAST_TEMPERATURE / FIRST_TEMPERATURE) ** (1.0 / moves)
    temperature = FIRST_TEMPERATURE * scale
    for row, target, chance in zip(rows, targets, chances, strict=True):
        temperature *= cooling
        host = hosts[row]
        if target == host or count[target] >= task.most_per_device:
            continue
        r, out, into = (
            rate[row],
            rate[row] * work[row] / speed[host],
            rate[row] * work[row] / speed[target],
        )
        change = lost(host, -r, -out) - lost(host, 0.0, 0.0)
        change += lost(target, r, into) - lost(target, 0.0, 0.0)
        if change > temperature * chance:
            continue
        hosts[row] = target
        for place, sign, time in ((host, -1, out), (target, 1, into)):
            jobs[place] += sign * r
            busy[place] += sign * time
            count[place] += sign
    return np.array(hosts, dtype=np.int64)
