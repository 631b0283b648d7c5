"""How jobs of the readable engine get from one device to the next where that is contended.

Elsewhere a job leaves at once, travels, and asks for room when it arrives: the job itself says so
in :mod:`datagen.simulator.simpy_engine`. Here it may have to wait for room, or for a link.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import NamedTuple

from simpy.events import Event

from datagen.simulator.contention import Contention
from datagen.simulator.event_log import ASKED, FINISHED, LOST, MOVED, SENT
from datagen.simulator.simpy_devices import Device, Note
from datagen.simulator.simpy_doors import Doors
from datagen.simulator.simpy_events import KeyedEnvironment, Life
from datagen.simulator.simpy_links import QueueingLink
from datagen.simulator.simpy_sums import Step

__all__ = ["Arrival", "Hops", "Stay", "Visit"]


class Arrival(Enum):
    """How a job stands before its next device."""

    ASKS = "asks for room"
    RESERVED = "has its units there already"
    REFUSED = "did not get them"


Way = Generator[Event, None, Arrival]
"""A job between two devices: the events that it waits for, and how it arrives."""


class Visit(NamedTuple):
    """A job at one of its steps.

    Args:
        chain: Its chain.
        job: Its number.
        step: Its step.
        finish_key: Place of the end of its service among the events of that time.
        admit_key: Place of its arrival at the next device.
    """

    chain: int
    job: int
    step: int
    finish_key: int
    admit_key: int


@dataclass(eq=False, slots=True)
class Stay:
    """The time of a job at a step, which ends when the job is no longer present there.

    Args:
        step: The step.
        entered: When it began [s].
        counts: 1 for a job of the cohort, 0 for others.
        sojourns: Times of the job at the steps before [s]; added to.
    """

    step: Step
    entered: float
    counts: int
    sojourns: list[float]

    def end(self, now: float) -> None:
        """Count the time that has passed."""
        self.sojourns.append(now - self.entered)
        self.step.served += self.counts
        self.step.sojourn += self.counts * self.sojourns[-1]


class Hops:
    """What is between the devices of a network.

    Args:
        env: Where it is.
        contention: What jobs wait for.
        devices: The devices.
        note: Where what happens on the way is written down.
    """

    def __init__(
        self, env: KeyedEnvironment, contention: Contention, devices: list[Device], note: Note
    ) -> None:
        self.env, self.note = env, note
        self.doors = Doors(env, devices) if contention.blocks else None
        self.links = {number: QueueingLink(env) for number in contention.step_link.tolist()}

    def go(self, visit: Visit, stay: Stay, ahead: Step) -> Way:
        """Take a job that has been served to its next device.

        Args:
            visit: The job.
            stay: Its time where it has been served; ended here.
            ahead: Its next step.

        Returns:
            How it stands there.

        Yields:
            Events that it waits for.
        """
        step, doors = stay.step, self.doors
        self.note(FINISHED, visit.chain, visit.job, visit.step, MOVED)
        if doors is not None and ahead.device is not step.device and (step.asks or not step.delay):
            yield from self._hold_back(doors, stay, ahead)
            if step.asks:
                ahead.device.reserve(ahead.demand)
                return (yield from self._send(visit, step, ahead, Arrival.RESERVED))
            step.device.free(step.demand)
            return Arrival.ASKS
        step.device.finish(0.0 if step.delay else step.demand)
        stay.end(self.env.now)
        if step.asks:
            yield self.env.at(self.env.now, visit.admit_key)
            has_room = ahead.device.has_room(ahead.demand)
            outcome = MOVED if has_room else LOST
            self.note(ASKED, visit.chain, visit.job, visit.step + 1, outcome)
            if not has_room:
                step.device.free(step.demand)
                return Arrival.REFUSED
            ahead.device.reserve(ahead.demand)
            return (yield from self._send(visit, step, ahead, Arrival.RESERVED))
        return (yield from self._send(visit, step, ahead, Arrival.ASKS))

    def _hold_back(self, doors: Doors, stay: Stay, ahead: Step) -> Life:
        """Let a job wait where it is, with its server and units, until there is room ahead."""
        step = stay.step
        servers = step.device.hold()
        yield doors.wait(
            ahead.device, ahead.demand, step.device, servers=servers, units=step.demand
        )
        step.device.let_go(servers)
        stay.end(self.env.now)

    def _send(self, visit: Visit, step: Step, ahead: Step, how: Arrival) -> Way:
        """Send a job that still has its units, if it takes time to send it; they are free then."""
        delivery, keeps = self.env.now + step.delay, step.kept > 0.0
        if step.link is not None:
            free = None if keeps else partial(step.device.free, step.demand)
            yield from self.links[step.link].send(step.delay, visit.finish_key, free)
            delivery = self.env.now
        elif keeps:
            yield self.env.at(delivery, visit.finish_key)
        elif step.delay:
            step.device.free(step.demand)
        if keeps or step.link is not None:
            self.note(SENT, visit.chain, visit.job, visit.step, MOVED)
        doors = self.doors if how is Arrival.ASKS else None
        if keeps:
            if doors is not None:
                yield doors.wait(
                    ahead.device, ahead.demand, step.device, servers=0, units=step.demand
                )
            step.device.free(step.demand)
            if doors is not None:
                return how
        yield self.env.at(delivery, visit.admit_key)
        if doors is not None and not doors.is_open(ahead.device, ahead.demand):
            yield doors.wait(ahead.device, ahead.demand, step.device, servers=0, units=0.0)
        return how
