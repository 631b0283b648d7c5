"""The fast engine: feeds the compiled event loop with draws, slots and log space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.simulator.engine import Engine, Run
from datagen.simulator.event_log import event_log
from datagen.simulator.heap_kernel import Heap
from datagen.simulator.kernel import NEED_DRAWS, NEED_LOG, NEED_SLOTS, TRUNCATED, play
from datagen.simulator.keys import ADMIT, event_key
from datagen.simulator.network import Features, Network
from datagen.simulator.randomness import ChainDraws
from datagen.simulator.remaining_kernel import count_remaining
from datagen.simulator.state_kernel import NONE, Draws, Extras, Log, State
from datagen.simulator.tally import RunLength, Tally

__all__ = ["NumbaEngine"]

_CHUNK = 4096
"""Jobs drawn at a time and chain: drawing is vectorised, and memory stays small."""
_SMALLEST_CHUNK = 64
_SPARE_DEVIATIONS = 3.0
"""Standard deviations of a Poisson count that a chunk has beyond the jobs that are expected."""
_FIRST_SLOTS = 256
_FIRST_LOG = 1 << 14

_SLOT_INTEGERS = ("identity", "row", "last_row", "batch")
"""Integers of the state that are kept per slot."""


class NumbaEngine(Engine):
    """Plays the compiled loop."""

    name = "numba"

    def run(
        self, network: Network, sources: list[ChainDraws], length: RunLength, *, log: bool = False
    ) -> Run:
        network = _writable(network)
        feed = _Feed(network, sources, length)
        state = _initial_state(network, feed.draws)
        tally = Tally.zeros(network)
        extras, plain = _extras(network, feed), network._replace(features=None)
        records = _empty_log(_FIRST_LOG if log else 0)
        while True:
            status, chain = play(plain, length, feed.draws, state, tally, records, extras)
            if status == NEED_DRAWS:
                feed.refill(chain, int(state.next_job[chain]))
            elif status == NEED_SLOTS:
                state = _with_more_slots(state)
                if extras is not None:
                    extras = extras._replace(route=_doubled(extras.route))
            elif status == NEED_LOG:
                records = _with_more_room(records)
            else:
                break
        count_remaining(plain, length, state, tally)
        size = int(records.size[0])
        return Run(
            tally=tally,
            events=int(state.events[0]),
            truncated=status == TRUNCATED,
            log=event_log(records.time[:size], records.record[:size]) if log else None,
            route_completed=None if extras is None else extras.completed,
        )


def _writable(network: Network) -> Network:
    """Return a network of arrays that may be written to.

    numba compiles a loop for each mix of writable and read-only arrays that it meets; packed
    networks have read-only ones, others not.
    """

    def copied(arrays: Network | Features) -> dict[str, Any]:
        named = arrays._asdict().items()
        return {name: np.array(own) for name, own in named if isinstance(own, np.ndarray)}

    features = network.features
    if features is not None:
        features = Features(**copied(features))
    return network._replace(**copied(network), features=features)


class _Feed:
    """The drawn jobs the kernel reads, refilled chain by chain.

    The jobs of a chain are in the last columns, as many as its window is expected to need: what is
    drawn beyond that is drawn for nothing.
    """

    def __init__(self, network: Network, sources: list[ChainDraws], length: RunLength) -> None:
        self.network = network
        self.sources = sources
        self.horizon = length.horizon
        wanted = [self._expected(chain, 0.0) for chain in range(network.chains)]
        columns = min(max(wanted), _CHUNK)
        self.draws = Draws(
            arrival=np.empty((network.chains, columns)),
            service=np.empty((network.steps, columns)),
            base=np.zeros(network.chains, dtype=np.int64),
        )
        self.route = np.zeros((network.chains, columns), dtype=np.int64)
        for chain in range(network.chains):
            self.draws.base[chain] = -self._fill(chain, 0.0, columns)

    def _expected(self, chain: int, time: float) -> int:
        """Return how many jobs will hardly be too few from a time to the end of the window."""
        mean = self.sources[chain].process.rate * max(self.horizon - time, 0.0)
        return int(min(mean + _SPARE_DEVIATIONS * np.sqrt(mean), _CHUNK)) + _SMALLEST_CHUNK

    def _steps(self, chain: int) -> slice:
        return slice(self.network.chain_start[chain], self.network.chain_start[chain + 1])

    def _fill(self, chain: int, time: float, room: int) -> int:
        """Draw the jobs after a time into the last columns, and return the first of these."""
        count = min(self._expected(chain, time), room)
        first = int(self.draws.arrival.shape[1]) - count
        chunk = self.sources[chain].next_chunk(count)
        self.draws.arrival[chain, first:] = chunk.arrivals
        if not chunk.is_fixed:
            self.draws.service[self._steps(chain), first:] = chunk.service
        elif time == 0.0:  # later jobs are served like the first ones
            self.draws.service[self._steps(chain)] = chunk.service[:, :1]
        if chunk.route is not None:
            self.route[chain, first:] = chunk.route
        return first

    def refill(self, chain: int, job: int) -> None:
        """Draw on, keeping the one job that has not arrived yet before the new ones."""
        draws, steps = self.draws, self._steps(chain)
        time, route = draws.arrival[chain, -1], self.route[chain, -1]
        service = draws.service[steps, -1].copy()
        kept = self._fill(chain, time, draws.arrival.shape[1] - 1) - 1
        draws.arrival[chain, kept], self.route[chain, kept] = time, route
        draws.service[steps, kept] = service
        draws.base[chain] = job - kept


def _initial_state(network: Network, draws: Draws) -> State:
    slots, chains = _FIRST_SLOTS, network.chains
    longest = network.longest
    events = slots + chains + network.devices  # an event per job, chain and device at most
    heap = Heap(
        time=np.empty(events),
        key=np.empty(events, dtype=np.int64),
        slot=np.empty(events, dtype=np.int64),
        size=np.array([chains]),
    )
    columns = -draws.base  # of the first job of each chain
    first = [
        (draws.arrival[c, columns[c]], event_key(ADMIT, c, 0, 0), -1 - c) for c in range(chains)
    ]
    for index, (time, key, slot) in enumerate(sorted(first)):  # a sorted array is a heap
        heap.time[index], heap.key[index], heap.slot[index] = time, key, slot
    integers = {name: np.zeros(slots, dtype=np.int64) for name in _SLOT_INTEGERS}
    return State(
        heap=heap,
        next_job=np.zeros(chains, dtype=np.int64),
        queue_head=np.full(network.classes * network.devices, NONE),
        queue_tail=np.full(network.classes * network.devices, NONE),
        idle=network.servers.copy(),
        used=np.zeros(network.devices),
        arrival=np.zeros(slots),
        entered=np.zeros(slots),
        following=np.append(np.arange(1, slots), NONE),
        service=np.zeros((slots, longest)),
        sojourn=np.zeros((slots, longest)),
        free=np.zeros(1, dtype=np.int64),
        pending=np.zeros(1, dtype=np.int64),
        events=np.zeros(1, dtype=np.int64),
        **integers,
    )


def _extras(network: Network, feed: _Feed) -> Extras | None:
    if network.features is None:
        return None
    return Extras(
        features=network.features,
        drawn_route=feed.route,
        route=np.zeros(_FIRST_SLOTS, dtype=np.int64),
        completed=np.zeros(network.routes, dtype=np.int64),
        waiting=np.zeros(network.devices, dtype=np.int64),
        choosing=np.zeros(network.devices, dtype=bool),
    )


def _doubled(values: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([values, np.zeros_like(values)])


def _with_more_slots(state: State) -> State:
    """Return the same state with twice the slots; none of the old ones is free."""
    before = len(state.row)
    per_slot = (*_SLOT_INTEGERS, "arrival", "entered", "service", "sojourn")
    grown: dict[str, Any] = {name: _doubled(getattr(state, name)) for name in per_slot}
    new = np.append(np.arange(before + 1, 2 * before), NONE)
    old = state.heap
    heap = Heap(_doubled(old.time), _doubled(old.key), _doubled(old.slot), old.size)
    free = np.array([before])
    following = np.concatenate([state.following, new])
    return state._replace(heap=heap, free=free, following=following, **grown)


def _empty_log(room: int) -> Log:
    size = np.zeros(1, dtype=np.int64)
    return Log(time=np.empty(room), record=np.empty((room, 5), dtype=np.int64), size=size)


def _with_more_room(log: Log) -> Log:
    return Log(time=_doubled(log.time), record=_doubled(log.record), size=log.size)
