"""Split tasks played in discrete events: stages in turn, pieces of a stage in parallel, a join.

The model. A host runs one piece at a time, first come, first served. A piece occupies it for a
hand-off (its start, and what a scheduler that looks once per interval adds), for the transfer of
what it reads, unless that lies on the host already, and for its work over the host's speed. The
pieces of a stage are placed when the stage starts; the next stage starts when the last of them is
done, and the task is done with its last stage. Response times count from the arrival.

It is a model of its own because the engines of :mod:`datagen.simulator` do not know joins.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
from numpy.typing import NDArray
from simpy import Environment, Resource
from simpy.events import Event

from datagen.errors import require
from datagen.splitting.applications import INTERVAL, Host, Piece, Task
from datagen.splitting.deciders import Decider, Finished
from datagen.splitting.placers import LeastLoaded, Placer
from datagen.splitting.tasks import HOSTS

__all__ = ["simulate_splits"]

Floats = NDArray[np.float64]
Life = Generator[Event, None, None]

BANDWIDTH = 125e6
"""Bytes per second between hosts [1/s]: one gigabit."""


def simulate_splits(
    tasks: Sequence[Task],
    decider: Decider,
    placer: Placer | None = None,
    *,
    hosts: Sequence[Host] = HOSTS,
    handoff: float = INTERVAL,
    bandwidth: float = BANDWIDTH,
) -> tuple[Finished, ...]:
    """Play tasks until all are done.

    Args:
        tasks: The tasks, in the order of their arrivals.
        decider: Decides how each is split, when it comes, and is told of each that is done.
        placer: Places pieces; :class:`~datagen.splitting.placers.LeastLoaded` if None.
        hosts: Where pieces run, H >= 1.
        handoff: Time that each piece occupies its host besides its work [s], >= 0.
        bandwidth: Bytes per second between hosts [1/s], > 0.

    Returns:
        What became of each task, in their order.

    Raises:
        InvalidInputError: If there is no host or a number is out of its range.
    """
    require(len(hosts) >= 1, "hosts", "be at least one", len(hosts))
    require(0 <= handoff < float("inf"), "handoff", "be finite and >= 0", handoff)
    require(bandwidth > 0, "bandwidth", "be > 0", bandwidth)
    cluster = _Cluster(hosts, handoff, bandwidth)
    finished: list[Finished] = []
    for task in tasks:
        cluster.environment.process(
            _life(cluster, task, decider, placer or LeastLoaded(), finished)
        )
    cluster.environment.run()
    return tuple(sorted(finished, key=lambda done: done.task.index))


class _Cluster:
    """Hosts with their queues, and when each is expected to be free."""

    def __init__(self, hosts: Sequence[Host], handoff: float, bandwidth: float) -> None:
        self.environment = Environment()
        self.queues = [Resource(self.environment) for _ in hosts]
        self.free_at = np.zeros(len(hosts))
        self._speed = np.array([host.speed for host in hosts])
        self._handoff, self._bandwidth = handoff, bandwidth

    def backlog(self) -> Floats:
        """Return the expected time until each host is free [s] [H]."""
        return np.maximum(self.free_at - self.environment.now, 0.0)

    def expected(self, piece: Piece, origin: int | None) -> Floats:
        """Return the time of a piece on each host [s] [H].

        Args:
            piece: The piece.
            origin: The host on which what it reads lies; None if on none of them.
        """
        transfer = np.full(len(self._speed), piece.received / self._bandwidth)
        if origin is not None:
            transfer[origin] = 0.0
        return np.asarray(self._handoff + transfer + piece.work / self._speed)

    def run(self, host: int, expected: float, seconds: float) -> Life:
        """Let a piece wait for its host and run there.

        Args:
            host: Which host.
            expected: The time it is expected to take [s].
            seconds: The time it takes [s].
        """
        self.free_at[host] = max(self.free_at[host], self.environment.now) + expected
        with self.queues[host].request() as turn:
            yield turn
            yield self.environment.timeout(seconds)


def _life(
    cluster: _Cluster, task: Task, decider: Decider, placer: Placer, finished: list[Finished]
) -> Life:
    environment = cluster.environment
    yield environment.timeout(task.arrival)
    split = decider.decide(task)
    origin: int | None = None
    noise = iter(task.noise)
    for stage in task.application.stages(split):
        expected = np.stack([cluster.expected(piece, origin) for piece in stage])
        placed = placer.place(expected, cluster.backlog()).tolist()
        running = []
        for own, host in zip(expected, placed, strict=True):
            life = cluster.run(host, float(own[host]), float(own[host]) * next(noise))
            running.append(environment.process(life))
        yield environment.all_of(running)
        origin = placed[-1]
    done = Finished(
        task=task,
        split=split,
        response=environment.now - task.arrival,
        accuracy=task.accuracy(split),
    )
    finished.append(done)
    decider.learn(done)
