"""Servers of the readable engine that serve at a speed which depends on how many jobs there are.

Jobs in service are kept in the order of the virtual times at which they end
(:mod:`datagen.simulator.sharing`). One event is ahead, the end of the first of them; whenever a job
comes or goes, that event is taken back and another put in its place.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count

from simpy.events import Event

from datagen.simulator.sharing import Sharing
from datagen.simulator.simpy_events import KeyedEnvironment

__all__ = ["Cores"]


class Cores:
    """The servers of a device whose jobs change pace.

    Args:
        env: Where they are.
        index: Number of the device.
        servers: How many they are.
        sharing: How fast they are.
    """

    def __init__(self, env: KeyedEnvironment, index: int, servers: int, sharing: Sharing) -> None:
        self.env, self.servers = env, servers
        self.table = sharing.pace[index].tolist()
        self.together = float(sharing.together[index])
        # Virtual end of the service, its key among events of one time, and what it fires.
        self.served: list[tuple[float, int, Event]] = []
        self.virtual, self.since = 0.0, 0.0
        self.ahead = Event(env)
        self.turns = count()

    @property
    def idle(self) -> int:
        """Servers that nobody uses."""
        return max(self.servers - len(self.served), 0)

    def pace(self) -> float:
        """Return the relative speed of each job in service; there is at least one."""
        present = len(self.served)
        return float(
            self.table[present - 1] if present <= self.servers else self.together / present
        )

    def pass_time(self) -> None:
        """Let virtual time go on to this moment."""
        now = self.env.now
        if self.served:
            self.virtual += (now - self.since) * self.pace()
        self.since = now

    def begin(self, finished: Event, key: int, service: float) -> None:
        """Let a service begin.

        Args:
            finished: Its end, to be fired.
            key: Place of the end among the events of that time.
            service: How long it takes at full speed [s].
        """
        self.pass_time()
        heappush(self.served, (self.virtual + service, key, finished))
        self.look_ahead()

    def look_ahead(self) -> None:
        """Put the next end of a service ahead, in place of the one before."""
        if self.ahead.callbacks:
            self.ahead.callbacks.clear()
        if self.served:
            end, key, _ = self.served[0]
            due = self.env.now + max(end - self.virtual, 0.0) / self.pace()
            self.ahead = Event(self.env)
            self.ahead.callbacks.append(self.end_first)
            # Taken back and put where it was, it meets what was taken back there: turns tell them.
            self.env.fire(self.ahead, due, key, next(self.turns))

    def end_first(self, _: Event) -> None:
        """Let the service that is due end."""
        self.pass_time()
        end, _key, finished = heappop(self.served)
        # Exactly so, not as far as roundings got: who ends at the same virtual time ends now too.
        self.virtual = end if self.served else 0.0
        self.look_ahead()
        self.env.tell(finished)
