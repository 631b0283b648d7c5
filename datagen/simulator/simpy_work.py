"""Where the services of jobs come from in the readable engine: drawn before they arrive.

A job's way and its services are all drawn in advance here. This is the null object of online
policies, whose jobs learn them service by service (:mod:`datagen.simulator.simpy_decisions`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

from datagen.simulator.randomness import ChainDraws
from datagen.simulator.simpy_devices import Device, Work
from datagen.simulator.simpy_sums import Route

__all__ = ["CHUNK", "Drawn", "JobWork", "WorkSource"]

CHUNK = 1024
"""Jobs drawn at a time and chain; any number gives the same draws."""


class JobWork(Work):
    """One job's way through the network, and what it needs there.

    Args:
        route: Its route, as far as it is known.
        services: Time of each step of all paths of its chain [s].
    """

    __slots__ = ("route", "services")

    def __init__(self, route: Route, services: list[float]) -> None:
        self.route, self.services = route, services

    def begin(self, index: int, device: Device) -> float:
        return self.services[self.route.steps[index].place]

    def arrives(self, index: int, device: Device, admitted: bool) -> None:
        """Take note that the job has come to a device.

        Args:
            index: 0-based step of the job.
            device: Where it is, in the state that it finds.
            admitted: Whether there is room; otherwise the job is lost.
        """

    def completes(self) -> None:
        """Take note that the job has passed its last step."""


class WorkSource(ABC):
    """Provides the jobs of every chain with their work."""

    @abstractmethod
    def jobs(
        self, chain: int, source: ChainDraws, routes: list[Route]
    ) -> Iterator[tuple[float, JobWork]]:
        """Yield the jobs of a chain in one run, from the first on.

        Args:
            chain: 0-based chain.
            source: Its draws, fresh.
            routes: Its routes.

        Yields:
            Arrival time [s] and work of each job.
        """


class Drawn(WorkSource):
    """Everything about a job is drawn before it arrives."""

    def jobs(
        self, chain: int, source: ChainDraws, routes: list[Route]
    ) -> Iterator[tuple[float, JobWork]]:
        while True:
            chunk = source.chunk_in(np.empty(CHUNK))
            way = [0] * CHUNK if chunk.route is None else chunk.route.tolist()
            service = np.broadcast_to(chunk.service, (len(chunk.service), CHUNK))
            drawn = zip(chunk.arrivals.tolist(), service.T.tolist(), way, strict=True)
            for time, services, number in drawn:
                yield time, JobWork(routes[number], services)
