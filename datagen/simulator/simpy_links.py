"""Links of the readable engine that send one transfer after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from simpy.events import Event

from datagen.simulator.simpy_events import KeyedEnvironment, Life

__all__ = ["QueueingLink"]


class QueueingLink:
    """A single server whose line is first come, first served.

    Args:
        env: Where it is.
    """

    def __init__(self, env: KeyedEnvironment) -> None:
        self.env = env
        self.busy = False
        self.line: deque[tuple[float, int, Event, Callable[[], None] | None]] = deque()

    def send(self, seconds: float, key: int, starts: Callable[[], None] | None) -> Life:
        """Wait for the link, and until it has sent.

        Args:
            seconds: Time of the transfer [s].
            key: Place of its end among the events of that time.
            starts: Called when the transfer starts, or None.

        Yields:
            The end of the transfer.
        """
        sent = Event(self.env)
        self.line.append((seconds, key, sent, starts))
        if not self.busy:
            self._next()
        yield sent
        self.busy = False
        if self.line:
            self._next()

    def _next(self) -> None:
        seconds, key, sent, starts = self.line.popleft()
        self.busy = True
        if starts is not None:
            starts()
        self.env.fire(sent, self.env.now + seconds, key)
