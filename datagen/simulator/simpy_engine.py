"""The readable engine: the model written as SimPy processes.

A process per chain lets its jobs arrive, and a process per job takes it through its steps. Nothing
competes through SimPy's resources: whatever happens at a device is an event with a key of
:mod:`datagen.simulator.keys`, so simultaneous events are played in the order the model defines, and
the compiled loop gives the same event log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

import numpy as np
from simpy import Environment
from simpy.events import Event

from datagen.simulator.engine import Engine, Run, event_log
from datagen.simulator.kernel import (
    ARRIVED,
    CHOSEN,
    FINISHED,
    LEFT,
    LOST,
    MOVED,
    QUEUED,
    SENT,
    STARTED,
)
from datagen.simulator.keys import ADMIT, FINISH, choice_key, event_key
from datagen.simulator.network import Network
from datagen.simulator.randomness import ChainDraws
from datagen.simulator.tally import RunLength, Tally, latency_bin

__all__ = ["SimpyEngine"]

Life = Generator[Event, None, None]
Note = Callable[[int, int, int, int, int], None]

CHUNK = 1024
"""Jobs drawn at a time and chain; any number gives the same draws."""


class KeyedEnvironment(Environment):
    """An environment whose events have an absolute time and a place among those of that time."""

    def fire(self, event: Event, time: float, key: int) -> Event:
        """Let an event happen at a time [s], and return it.

        SimPy's own ``schedule`` takes a delay, and ``now + (time - now)`` is not always ``time``.
        Keys are above 1, so SimPy's housekeeping (starts and ends of processes) goes first.
        """
        event._ok, event._value = True, None
        heappush(self._queue, (time, key, next(self._eid), event))  # type: ignore[misc]
        return event

    def at(self, time: float, key: int) -> Event:
        """Return a new event that happens at a time [s]."""
        return self.fire(Event(self), time, key)


class Token(NamedTuple):
    """A job as it stands in line: who it is, at which step, and for how long it is served."""

    chain: int
    job: int
    step: int
    service: float

    @property
    def finish_key(self) -> int:
        """The place of its completion among the events of that time."""
        return event_key(FINISH, self.chain, self.job, self.step)


class Device:
    """Identical servers that share one waiting line and a finite buffer of units."""

    def __init__(
        self, env: KeyedEnvironment, length: RunLength, servers: int, capacity: float
    ) -> None:
        self.env, self.length = env, length
        self.servers, self.capacity = servers, capacity
        self.idle, self.jobs = servers, 0
        self.units = 0.0
        self.line: deque[tuple[Event, Token]] = deque()
        self.busy_area = self.job_area = self.unit_area = 0.0
        self._since = length.warmup

    def observe(self, now: float) -> None:
        """Integrate what has been the case since the last change, inside of the window."""
        now = min(max(now, self.length.warmup), self.length.horizon)
        span = now - self._since
        self.busy_area += span * (self.servers - self.idle)
        self.job_area += span * self.jobs
        self.unit_area += span * self.units
        self._since = now

    def has_room(self, demand: float) -> bool:
        """Return whether a job of this many units may enter."""
        return self.units + demand <= self.capacity

    def enter(self, demand: float, token: Token) -> tuple[int, Event]:
        """Let a job in; return whether it starts or waits, and the completion of its service."""
        self.observe(self.env.now)
        self.jobs += 1
        self.units += demand
        finished = Event(self.env)
        return self.welcome(finished, token), finished

    def welcome(self, finished: Event, token: Token) -> int:
        """Let a job start at once, or wait in line."""
        if not self.idle:
            self.line.append((finished, token))
            return QUEUED
        self.idle -= 1
        self.serve(finished, token)
        return STARTED

    def serve(self, finished: Event, token: Token) -> None:
        """Let a service begin."""
        self.env.fire(finished, self.env.now + token.service, token.finish_key)

    def finish(self) -> None:
        """Let a served job give back its server, which takes the next in line."""
        self.observe(self.env.now)
        self.jobs -= 1
        self.go_on()

    def free(self, demand: float) -> None:
        """Let a job that leaves give back its units."""
        self.observe(self.env.now)
        self.units -= demand

    def go_on(self) -> None:
        """Let a freed server take the next in line."""
        if self.line:
            self.serve(*self.line.popleft())
        else:
            self.idle += 1


class PriorityDevice(Device):
    """A device that chooses whom to serve after all else at an instant: the highest class first."""

    def __init__(
        self,
        env: KeyedEnvironment,
        length: RunLength,
        servers: int,
        capacity: float,
        *,
        index: int,
        classes: list[int],
        note: Note,
    ) -> None:
        super().__init__(env, length, servers, capacity)
        self.key, self.classes, self.note = choice_key(index), classes, note
        self.numbers = count()
        self.ranked: list[tuple[int, int, Event, Token]] = []
        self.choosing = False

    def welcome(self, finished: Event, token: Token) -> int:
        heappush(self.ranked, (self.classes[token.chain], next(self.numbers), finished, token))
        self.let_choose()
        return QUEUED

    def go_on(self) -> None:
        self.idle += 1
        self.let_choose()

    def let_choose(self) -> None:
        """Have a job chosen at the end of this instant, if there are one and a server for it."""
        if self.idle and self.ranked and not self.choosing:
            self.choosing = True
            self.env.at(self.env.now, self.key).callbacks.append(self.choose)

    def choose(self, event: Event) -> None:
        """Serve the first job of the highest class."""
        self.choosing = False
        _, _, finished, token = heappop(self.ranked)
        self.observe(self.env.now)
        self.idle -= 1
        self.serve(finished, token)
        self.note(CHOSEN, token.chain, token.job, token.step, STARTED)
        self.let_choose()


class Visit(NamedTuple):
    """One step of a chain.

    Args:
        row: Its row in the tally.
        place: Its place among the drawn service times of the chain.
        device: Where it is served.
        demand: Units it takes there.
        delay: Time that a job travels afterwards [s].
        held: Whether the job keeps its units meanwhile.
    """

    row: int
    place: int
    device: Device
    demand: float
    delay: float
    held: bool


class Route(NamedTuple):
    """The steps of a path up to an exit.

    Args:
        number: Its number among those of all chains.
        visits: Its steps.
    """

    number: int
    visits: list[Visit]


class System:
    """The devices, the processes that meet there, and what is counted."""

    def __init__(self, network: Network, length: RunLength, log: bool) -> None:
        self.env = KeyedEnvironment()
        self.length = length
        self.deadline = network.deadline.tolist()
        self.devices = [self.device(index, network) for index in range(network.devices)]
        features, bounds = network.features, network.chain_start.tolist()
        visits = [
            Visit(
                row=row,
                place=row - first,
                device=self.devices[int(network.step_device[row])],
                demand=float(network.step_demand[row]),
                delay=0.0 if features is None else float(features.step_delay[row]),
                held=features is not None and bool(features.step_held[row]),
            )
            for first, stop in zip(bounds[:-1], bounds[1:], strict=True)
            for row in range(first, stop)
        ]
        self.routes = routes(network, visits)
        self.tally = Tally.zeros(network)
        self.route_completed = np.zeros(network.routes, dtype=np.int64)
        self.events = 0
        self.pending = 0
        self.records: list[tuple[int, int, int, int, int]] | None = [] if log else None
        self.times: list[float] = []

    def device(self, index: int, network: Network) -> Device:
        """Return a device of the network."""
        size = (int(network.servers[index]), float(network.capacity[index]))
        if network.features is None or not network.features.prioritized[index]:
            return Device(self.env, self.length, *size)
        classes = network.features.chain_class.tolist()
        return PriorityDevice(
            self.env, self.length, *size, index=index, classes=classes, note=self.note
        )

    def note(self, kind: int, chain: int, job: int, step: int, outcome: int) -> None:
        """Write a line of the event log."""
        if self.records is not None:
            self.times.append(self.env.now)
            self.records.append((kind, chain, job, step, outcome))

    def arrivals(self, chain: int, source: ChainDraws) -> Life:
        """Let the jobs of a chain arrive, one after the other."""
        for job, (time, services, number) in enumerate(drawn_jobs(source)):
            yield self.env.at(time, event_key(ADMIT, chain, job, 0))
            self.events += 1
            self.env.process(self.job(chain, job, self.routes[chain][number], services))

    def job(self, chain: int, job: int, route: Route, services: list[float]) -> Life:
        """Take a job through its steps, until it completes or is lost."""
        env, tally, visits = self.env, self.tally, route.visits
        arrival = env.now
        batch = self.length.batch_of(arrival)
        counts = int(batch >= 0)  # 1 for a job of the cohort: only these enter the sums
        self.pending += counts
        tally.offered[chain, batch] += counts
        sojourns = []
        delivery = arrival
        for step, visit in enumerate(visits):
            row, device, demand = visit.row, visit.device, visit.demand
            if step > 0:
                yield env.at(delivery, event_key(ADMIT, chain, job, step))
            tally.step_offered[row] += counts
            if not device.has_room(demand):
                self.note(ARRIVED, chain, job, step, LOST)
                tally.step_lost[row] += counts
                tally.lost[chain, batch] += counts
                self.pending -= counts
                return
            entered = env.now
            outcome, finished = device.enter(demand, Token(chain, job, step, services[visit.place]))
            self.note(ARRIVED, chain, job, step, outcome)
            yield finished
            self.events += 1
            last = step + 1 == len(visits)
            held = visit.held and not last
            device.finish()
            if not held:
                device.free(demand)
            self.note(FINISHED, chain, job, step, LEFT if last else MOVED)
            sojourns.append(env.now - entered)
            tally.step_served[row] += counts
            tally.step_sojourn[row] += counts * sojourns[-1]
            delivery = env.now + visit.delay
            if held:
                yield env.at(delivery, event_key(FINISH, chain, job, step))
                device.free(demand)
                self.note(SENT, chain, job, step, MOVED)
        if counts:
            latency = env.now - arrival
            tally.completed[chain, batch] += 1
            tally.latency[chain, batch] += latency
            tally.histogram[chain, latency_bin(latency)] += 1
            tally.on_time[chain] += latency <= self.deadline[chain]
            tally.step_sojourn_completed[visits[0].row : visits[-1].row + 1] += sojourns
            self.route_completed[route.number] += 1
        self.pending -= counts

    def play(self) -> bool:
        """Play until the cohort has left; return whether some job of it has not by the limit."""
        env, length = self.env, self.length
        while True:
            now = env.peek()
            if now > length.horizon:
                if self.pending == 0:
                    return False
                if now > length.limit:
                    return True
            env.step()

    def areas(self) -> None:
        """Close the devices' integrals at the end of the window and put them in the tally."""
        for index, device in enumerate(self.devices):
            device.observe(self.length.horizon)
            self.tally.busy[index] = device.busy_area
            self.tally.jobs[index] = device.job_area
            self.tally.units[index] = device.unit_area


def routes(network: Network, visits: list[Visit]) -> list[list[Route]]:
    """Return the routes of each chain."""
    features = network.features
    if features is None:
        bounds = network.chain_start.tolist()
        ways = zip(bounds[:-1], bounds[1:], strict=True)
        return [[Route(number, visits[a:b])] for number, (a, b) in enumerate(ways)]
    ends = features.route_first + features.route_steps
    every = [
        Route(number, visits[a:b])
        for number, (a, b) in enumerate(zip(features.route_first, ends, strict=True))
    ]
    bounds = features.chain_route.tolist()
    return [every[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True)]


def drawn_jobs(source: ChainDraws) -> Iterator[tuple[float, list[float], int]]:
    """Yield arrival time [s], service times [s] and route of each job of a chain."""
    while True:
        chunk = source.next_chunk(CHUNK)
        route = [0] * CHUNK if chunk.route is None else chunk.route.tolist()
        yield from zip(chunk.arrivals.tolist(), chunk.service.T.tolist(), route, strict=True)


class SimpyEngine(Engine):
    """Plays SimPy processes: the reference that the compiled loop is tested against."""

    name = "simpy"

    def run(
        self, network: Network, sources: list[ChainDraws], length: RunLength, *, log: bool = False
    ) -> Run:
        """Play one replication."""
        system = System(network, length, log)
        for chain, source in enumerate(sources):
            system.env.process(system.arrivals(chain, source))
        truncated = system.play()
        system.areas()
        records = None
        if system.records is not None:
            columns = np.array(system.records, dtype=np.int64).reshape(-1, 5)
            records = event_log(np.array(system.times), columns)
        return Run(
            tally=system.tally,
            events=system.events,
            truncated=truncated,
            log=records,
            route_completed=None if network.features is None else system.route_completed,
        )
