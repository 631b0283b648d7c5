"""Devices of the readable engine: servers, a waiting line, and a buffer of units."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from simpy.events import Event

from datagen.simulator.event_log import CHOSEN, QUEUED, STARTED
from datagen.simulator.keys import choice_key
from datagen.simulator.simpy_cores import Cores
from datagen.simulator.simpy_events import KeyedEnvironment

__all__ = ["Device", "Note", "PriorityDevice", "SharedDevice", "Token", "Work"]

Note = Callable[[int, int, int, int, int], None]
"""Writes kind, chain, job, step and outcome of an event into the log."""


def _nobody_waits() -> None:
    """Stand for the door of a device where jobs do not wait for room."""


class Work(ABC):
    """What a job needs of the devices that it comes to; devices ask when a service begins."""

    __slots__ = ()

    @abstractmethod
    def begin(self, index: int, device: Device) -> float:
        """Return how long the job is served.

        Args:
            index: 0-based step of the job.
            device: Where the service begins, in the state of this moment.

        Returns:
            Time of the service [s].
        """


class Token(NamedTuple):
    """A job as it stands in line.

    Args:
        finished: The end of its service, to be fired.
        work: Says how long it is served.
        key: Place of the end of its service among the events of that time.
        chain: Its chain.
        job: Its number.
        step: Its step.
        line: The line of an accelerator that it waits in, or None.
        arrival: When it came to the system [s].
    """

    finished: Event
    work: Work
    key: int
    chain: int
    job: int
    step: int
    line: int | None
    arrival: float


class Device:
    """Identical servers that share one waiting line and a finite buffer of units.

    Args:
        env: Where it is.
        servers: Number of servers, >= 1.
        capacity: Units of the buffer, those of jobs in service included; inf if unlimited.
        cores: The servers, where the jobs in service change pace; None where each has one server.

    Servers that are ``held`` are neither idle nor at work: a served job keeps them while it waits
    for room elsewhere. ``made_room`` is told whenever somebody who waits for room here may find it.
    """

    def __init__(
        self, env: KeyedEnvironment, servers: int, capacity: float, cores: Cores | None = None
    ) -> None:
        self.env, self.cores = env, cores
        self.servers, self.capacity = servers, capacity
        self.idle, self.jobs, self.units = servers, 0, 0.0
        self.held = 0
        self.line: deque[Token] = deque()
        self.made_room: Callable[[], None] = _nobody_waits
        self.begin_window()

    def begin_window(self) -> None:
        """Begin the integrals over time anew."""
        self._busy_area = self._job_area = self._unit_area = 0.0
        self._since = self.env.now

    def end_window(self) -> None:
        """Close the integrals; what comes later no longer counts."""
        self.observe()
        self.busy_area, self.job_area = self._busy_area, self._job_area
        self.unit_area = self._unit_area

    def observe(self) -> None:
        """Integrate what has been the case since the last change."""
        now = self.env._now
        span = now - self._since
        self._since = now
        self._busy_area += span * (self.servers - self.idle - self.held)
        self._job_area += span * self.jobs
        self._unit_area += span * self.units

    def has_room(self, demand: float) -> bool:
        """Return whether a job of this many units may enter."""
        return self.units + demand <= self.capacity

    def enter(self, demand: float, token: Token) -> int:
        """Let a job in; return whether it is served at once or waits."""
        self.observe()
        self.jobs += 1
        self.units += demand
        outcome = self.welcome(token)
        self.made_room()
        return outcome

    def welcome(self, token: Token) -> int:
        """Let a job start at once, or wait in line."""
        if not self.idle:
            self.line.append(token)
            return QUEUED
        self.idle -= 1
        self.serve(token)
        return STARTED

    def serve(self, token: Token) -> None:
        """Let a service begin."""
        env = self.env
        service = token.work.begin(token.step, self)
        if self.cores is None:
            env.fire(token.finished, env._now + service, token.key)
        else:
            self.cores.begin(token.finished, token.key, service)

    def finish(self, units: float) -> None:
        """Let a served job give back its server, and those of its units that it does not keep."""
        self.observe()
        self.jobs -= 1
        self.units -= units
        self.go_on()
        self.made_room()

    def free(self, units: float) -> None:
        """Let a job that has been sent give back the units that it kept."""
        self.observe()
        self.units -= units
        self.made_room()

    def hold(self) -> int:
        """Let a served job stay until there is room elsewhere; return how many servers it keeps."""
        self.observe()
        self.held += 1
        return 1

    def let_go(self, servers: int) -> None:
        """Let a job that stayed leave, and give back the servers that it kept."""
        self.observe()
        self.jobs -= 1
        if servers:
            self.held -= servers
            self.go_on()

    def reserve(self, units: float) -> None:
        """Let a job take its units before it comes."""
        self.observe()
        self.units += units
        self.made_room()

    def enter_reserved(self, token: Token) -> int:
        """Let a job in that has its units; return whether it is served at once or waits."""
        self.observe()
        self.jobs += 1
        return self.welcome(token)

    def go_on(self) -> None:
        """Let a freed server take the next in line."""
        if self.line:
            self.serve(self.line.popleft())
        else:
            self.idle += 1


class SharedDevice(Device):
    """A device that serves everybody at once: processor sharing.

    Args:
        env: Where it is.
        servers: Number of servers, >= 1.
        capacity: Units of the buffer; inf if unlimited.
        cores: The servers.
    """

    def __init__(self, env: KeyedEnvironment, servers: int, capacity: float, cores: Cores) -> None:
        super().__init__(env, servers, capacity, cores)
        self.shared = cores

    def welcome(self, token: Token) -> int:
        self.serve(token)
        self.idle = self.shared.idle
        return STARTED

    def hold(self) -> int:
        """Let a served job stay; the others share what it used."""
        self.observe()
        self.idle = self.shared.idle
        return 0

    def go_on(self) -> None:
        self.idle = self.shared.idle


class PriorityDevice(Device):
    """A device that chooses whom to serve after all else at an instant: the highest class first.

    Args:
        env: Where it is.
        servers: Number of servers, >= 1.
        capacity: Units of the buffer, those of jobs in service included; inf if unlimited.
        index: Its number.
        classes: Rank of each chain's priority, 0 for the highest.
        note: Where a choice is written down.
        cores: The servers, where the jobs in service change pace.
    """

    def __init__(
        self,
        env: KeyedEnvironment,
        servers: int,
        capacity: float,
        *,
        index: int,
        classes: list[int],
        note: Note,
        cores: Cores | None = None,
    ) -> None:
        super().__init__(env, servers, capacity, cores)
        self.key, self.classes, self.note = choice_key(index), classes, note
        self.numbers = count()
        self.ranked: list[tuple[int, int, Token]] = []
        self.choosing = False

    def welcome(self, token: Token) -> int:
        heappush(self.ranked, (self.classes[token.chain], next(self.numbers), token))
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
        _, _, token = heappop(self.ranked)
        self.observe()
        self.idle -= 1
        self.serve(token)
        self.note(CHOSEN, token.chain, token.job, token.step, STARTED)
        self.let_choose()
