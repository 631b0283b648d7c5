"""SimPy with keys: events at absolute times, played in the order that the model defines.

SimPy orders simultaneous events by when they were scheduled. Here each has a key of
:mod:`datagen.simulator.keys` instead, so that their order does not depend on how the model is
written down.
"""

from __future__ import annotations

from collections.abc import Generator
from heapq import heappush

from simpy import Environment
from simpy.events import Event

from datagen.simulator.keys import CHOOSE, PHASE_SHIFT

__all__ = ["KeyedEnvironment", "Life"]

Life = Generator[Event, None, None]
"""What a process does: it yields the events that it waits for."""

_AFTER_ALL = (CHOOSE + 1) << PHASE_SHIFT
"""Key above that of any event of the model."""


class Process:
    """A process on its way from event to event."""

    __slots__ = ("life",)

    def __init__(self, life: Life) -> None:
        self.life = life

    def go_on(self, _: Event | None = None) -> None:
        """Let it do what comes next, up to the next event that it waits for."""
        event = next(self.life, None)
        if event is not None:
            event.callbacks.append(self.go_on)


class KeyedEnvironment(Environment):
    """An environment whose events have an absolute time and a place among those of that time."""

    def fire(self, event: Event, time: float, key: int, turn: int = 0) -> None:
        """Let an event happen.

        SimPy's own ``schedule`` takes a delay, and ``now + (time - now)`` is not always ``time``.

        Args:
            event: One that has not happened yet.
            time: When [s].
            key: Its place among the events of that time; no two of them share one.
            turn: Tells it from events of the same time and key that were taken back.
        """
        event._ok, event._value = True, None
        heappush(self._queue, (time, key, turn, event))  # type: ignore[misc]

    def at(self, time: float, key: int) -> Event:
        """Return a new event that happens at a time [s]."""
        event = Event(self)
        self.fire(event, time, key)
        return event

    def tell(self, event: Event) -> None:
        """Let an event happen within the one that is happening."""
        event._ok, event._value = True, None
        callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]
        for callback in callbacks:
            callback(event)

    def comes_next(self, time: float, key: int) -> bool:
        """Return whether an event would happen now, before any other."""
        return time == self._now and (time, key) < self._queue[0]

    def start(self, life: Life) -> None:
        """Start a process at once.

        SimPy's own ``process`` schedules an event to start it and another when it ends. Nobody
        waits for these, and they would be half of all events.
        """
        Process(life).go_on()

    def play_until(self, time: float) -> None:
        """Play all events up to a time [s], those of that instant included."""
        self.run(until=self.at(time, _AFTER_ALL))
