"""Doors of the readable engine: where jobs wait for room at their next device.

Jobs enter in the order in which they came to wait, each in phase 1 of the instant that makes room.
Meanwhile they keep what they have where they come from.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import count

from simpy.events import Event

from datagen.simulator.keys import entry_key
from datagen.simulator.simpy_devices import Device
from datagen.simulator.simpy_events import KeyedEnvironment

__all__ = ["DeadlockFound", "Doors"]


class DeadlockFound(Exception):
    """Some jobs wait for each other in a circle; it ends a run and is never seen outside."""


@dataclass(eq=False, kw_only=True, slots=True)
class _Waiting:
    """A job at a door.

    Args:
        event: Its entry.
        ticket: Its place among all that came to any door.
        demand: Units that it waits for.
        source: Device that it comes from.
        servers: Servers that it keeps there.
        units: Units that it keeps there.
    """

    event: Event
    ticket: int
    demand: float
    source: Device
    servers: int
    units: float


class _Door:
    """The line of those who wait to enter one device."""

    def __init__(self, env: KeyedEnvironment, device: Device) -> None:
        self.env, self.device = env, device
        self.line: deque[_Waiting] = deque()
        self.called = False

    def made_room(self) -> None:
        """Call the first in, if there is room for it now."""
        if self.line and not self.called and self.device.has_room(self.line[0].demand):
            self.called = True
            first = self.line[0]
            self.env.fire(first.event, self.env.now, entry_key(first.ticket))

    def enters(self, _: Event) -> None:
        """Let the first go in; the next one may follow if there is room after that."""
        self.line.popleft()
        self.called = False


class Doors:
    """The doors of all devices.

    Args:
        env: Where they are.
        devices: The devices.
    """

    def __init__(self, env: KeyedEnvironment, devices: list[Device]) -> None:
        self.env, self.devices = env, devices
        self.tickets = count()
        self.doors = {id(device): _Door(env, device) for device in devices}
        for device in devices:
            device.made_room = self.doors[id(device)].made_room

    def is_open(self, device: Device, demand: float) -> bool:
        """Return whether a job that keeps nothing may pass at once.

        Args:
            device: Where it would enter.
            demand: Units that it takes.

        Returns:
            True if nobody waits and there is room.
        """
        return not self.doors[id(device)].line and device.has_room(demand)

    def wait(
        self, target: Device, demand: float, source: Device, *, servers: int, units: float
    ) -> Event:
        """Let a job wait at a door.

        Args:
            target: The device behind it.
            demand: Units that it takes there.
            source: Device that it comes from.
            servers: Servers that it keeps there.
            units: Units that it keeps there.

        Returns:
            Its entry; when that happens, there is room.

        Raises:
            DeadlockFound: If it closes a circle of jobs that wait for each other.
        """
        door = self.doors[id(target)]
        waiting = _Waiting(
            event=Event(self.env),
            ticket=next(self.tickets),
            demand=demand,
            source=source,
            servers=servers,
            units=units,
        )
        waiting.event.callbacks.append(door.enters)
        door.line.append(waiting)
        door.made_room()
        if self.is_deadlocked():
            raise DeadlockFound
        return waiting.event

    def is_deadlocked(self) -> bool:
        """Return whether some jobs can never enter, whatever else happens.

        All are taken for stuck; whoever would find room once all that are not stuck had left is let
        go, until nobody is.
        """
        stuck = {id(door.device): list(door.line) for door in self.doors.values()}
        in_use = {id(device): device.units for device in self.devices}
        goes_on = True
        while goes_on:
            goes_on = False
            for device in self.devices:
                line = stuck[id(device)]
                kept = [own for others in stuck.values() for own in others if own.source is device]
                taken = sum(own.units for own in kept)
                if sum(own.servers for own in kept) == device.servers:
                    taken = in_use[id(device)]  # nobody is served there any more
                if line and taken + line[0].demand <= device.capacity:
                    in_use[id(device)] += line.pop(0).demand
                    goes_on = True
        return any(stuck.values())
