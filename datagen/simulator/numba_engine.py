"""The fast engine: feeds the compiled event loop with draws, slots and log space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.simulator.accelerator_kernel import Accelerators
from datagen.simulator.contention_kernel import Contenders
from datagen.simulator.engine import BatchCounts, Engine, Replications, Run
from datagen.simulator.event_log import event_log
from datagen.simulator.heap_kernel import Heap
from datagen.simulator.kernel import DEADLOCK, NEED_DRAWS, NEED_LOG, NEED_SLOTS, TRUNCATED, play
from datagen.simulator.network import Network
from datagen.simulator.randomness import ChainDraws, Chunk
from datagen.simulator.sharing import no_sharing
from datagen.simulator.sharing_kernel import Sharers
from datagen.simulator.state_kernel import Draws, Extras, Log, State
from datagen.simulator.tally import RunLength, Tally, histogram_of

__all__ = ["NumbaEngine"]

_CHUNK = 8192
"""Jobs drawn at a time and chain: drawing is vectorised, and memory stays small."""
_SMALLEST_CHUNK = 64
_SPARE_DEVIATIONS = 3.0
"""Standard deviations of a Poisson count that a chunk has beyond the jobs that are expected."""
_FIRST_SLOTS = 256
_FIRST_LOG = 1 << 14

_SLOT_INTEGERS = ("identity", "row", "last_row", "batch")
"""Integers of the state that are kept per slot."""


class NumbaEngine(Engine):
    """Plays the compiled loop; consecutive runs of one network share its arrays."""

    name = "numba"

    def __init__(self) -> None:
        self._last: tuple[Network, Network, State] | None = None

    def run(
        self, network: Network, sources: list[ChainDraws], length: RunLength, *, log: bool = False
    ) -> Run:
        feed, tally = _Feed(network, sources, length), Tally.zeros(network, histogram_of(network))
        return self._played(feed, tally, log=log)

    def replicate(
        self, network: Network, replications: Sequence[list[ChainDraws]], length: RunLength
    ) -> Replications:
        # All that is done in Python comes before the first loop: each loop empties the processor's
        # caches of it.
        feeds = [_Feed(network, sources, length) for sources in replications]
        histogram = histogram_of(network)
        tallies = [Tally.zeros(network, histogram) for _ in feeds]
        runs = [self._played(feed, tally) for feed, tally in zip(feeds, tallies, strict=True)]
        return Replications([run.without_histogram() for run in runs], histogram)

    def _played(self, feed: _Feed, tally: Tally, *, log: bool = False) -> Run:
        """Play one replication, adding to a tally."""
        network, length = feed.network, feed.length
        plain, state = self._prepared(network)
        state.heap.size[0] = 0  # the loop takes an empty heap for the beginning
        extras = _extras(network, feed)
        batched = _accelerators(network)
        shared = _sharers(network)
        records = _empty_log(_FIRST_LOG) if log else _NO_LOG
        while True:
            status, chain = play(
                plain, length, feed.draws, state, tally, records, extras, batched, shared
            )
            if status == NEED_DRAWS:
                feed.refill(chain, int(state.next_job[chain]))
            elif status == NEED_SLOTS:
                state = _with_more_slots(state)
                if extras is not None:
                    extras = _with_more_places(extras)
                if batched is not None:
                    batched = batched._replace(ticket=_doubled(batched.ticket))
                if shared is not None:
                    grown: dict[str, Any] = {
                        name: _doubled(getattr(shared, name)) for name in _SHARERS_PER_SLOT
                    }
                    shared = shared._replace(**grown)
            elif status == NEED_LOG:
                records = _with_more_room(records)
            else:
                break
        size = int(records.size[0])
        return Run(
            tally=tally,
            events=int(state.events[0]),
            truncated=status == TRUNCATED,
            deadlock=_deadlock(extras) if status == DEADLOCK else None,
            log=event_log(records.time[:size], records.record[:size]) if log else None,
            route_completed=None if extras is None else extras.completed,
            batches=None if batched is None else BatchCounts(batched.batches, batched.preemptions),
        )

    def _prepared(self, network: Network) -> tuple[Network, State]:
        """Return a network without what else it has, and its state."""
        if self._last is None or self._last[0] is not network:
            none: dict[str, Any] = dict.fromkeys(("features", "batching", "sharing", "contention"))
            plain = network._replace(**none)
            self._last = network, plain, _state(network)
        return self._last[1:]


class _Feed:
    """The drawn jobs the kernel reads, refilled chain by chain.

    The jobs of a chain are in the last columns, as many as its window is expected to need: what is
    drawn beyond that is drawn for nothing.
    """

    def __init__(self, network: Network, sources: list[ChainDraws], length: RunLength) -> None:
        self.network = network
        self.sources = sources
        self.length = length
        wanted = [self._expected(chain, 0.0) for chain in range(network.chains)]
        columns = min(max(wanted), _CHUNK)
        arrival = np.empty((network.chains, columns))
        begins = [columns - min(count, columns) for count in wanted]
        firsts = [
            source.chunk_in(room[begin:])
            for source, room, begin in zip(sources, arrival, begins, strict=True)
        ]
        self.is_fixed = [chunk.is_fixed for chunk in firsts]
        self.draws = Draws(
            arrival=arrival,
            service=np.empty((network.steps, 1 if all(self.is_fixed) else columns)),
            base=-np.array(begins, dtype=np.int64),
            column_mask=np.array([0 if alike else -1 for alike in self.is_fixed]),
        )
        routed = network.features is not None
        self.route = np.zeros((network.chains, columns if routed else 0), dtype=np.int64)
        for chain, chunk in enumerate(firsts):
            if chunk.is_fixed:
                self.draws.service[self._steps(chain), 0] = chunk.service[:, 0]
            self._put(chain, chunk)

    def _expected(self, chain: int, time: float) -> int:
        """Return how many jobs will hardly be too few from a time to the end of the window."""
        mean = self.sources[chain].process.rate * max(self.length.horizon - time, 0.0)
        return int(min(mean + _SPARE_DEVIATIONS * math.sqrt(mean), _CHUNK)) + _SMALLEST_CHUNK

    def _steps(self, chain: int) -> slice:
        return slice(self.network.chain_start[chain], self.network.chain_start[chain + 1])

    def _put(self, chain: int, chunk: Chunk) -> None:
        """Put what jobs have drawn besides their arrivals, which are in the last columns."""
        first = self.draws.arrival.shape[1] - len(chunk.arrivals)
        if not chunk.is_fixed:
            self.draws.service[self._steps(chain), first:] = chunk.service
        if chunk.route is not None:
            self.route[chain, first:] = chunk.route

    def refill(self, chain: int, job: int) -> None:
        """Draw on, keeping the one job that has not arrived yet before the new ones."""
        draws, steps = self.draws, self._steps(chain)
        time = draws.arrival[chain, -1]
        count = min(self._expected(chain, time), draws.arrival.shape[1] - 1)
        kept = draws.arrival.shape[1] - count - 1
        draws.arrival[chain, kept] = time
        if not self.is_fixed[chain]:
            draws.service[steps, kept] = draws.service[steps, -1]
        if self.network.features is not None:
            self.route[chain, kept] = self.route[chain, -1]
        self._put(chain, self.sources[chain].chunk_in(draws.arrival[chain, kept + 1 :]))
        draws.base[chain] = job - kept


def _state(network: Network) -> State:
    """Return room for what changes; the loop itself fills it when a run begins."""
    slots, chains, devices = _FIRST_SLOTS, network.chains, network.devices
    # An event per job and chain, and of a device a choice and an alarm, at most.
    events = slots + chains + 2 * devices
    lines = network.classes * devices
    sizes = dict.fromkeys((*_SLOT_INTEGERS, "following"), slots)
    sizes |= {"queue_head": lines, "queue_tail": lines, "idle": devices, "next_job": chains}
    sizes |= dict.fromkeys(("free", "pending", "events"), 1)
    integers = {name: np.empty(size, dtype=np.int64) for name, size in sizes.items()}
    heap = Heap(
        time=np.empty(events),
        key=np.empty(events, dtype=np.int64),
        slot=np.empty(events, dtype=np.int64),
        size=np.zeros(1, dtype=np.int64),
    )
    return State(
        heap=heap,
        used=np.empty(devices),
        arrival=np.empty(slots),
        entered=np.empty(slots),
        service=np.empty((slots, network.longest)),
        sojourn=np.empty((slots, network.longest)),
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
        waiting=np.empty(network.devices, dtype=np.int64),
        choosing=np.empty(network.devices, dtype=bool),
        contenders=_contenders(network),
    )


def _contended(network: Network) -> bool:
    """Return whether the loop of all contention plays a network: one is compiled for all of it."""
    return network.sharing is not None or network.contention is not None


def _deadlock(extras: Extras | None) -> float:
    assert extras is not None
    assert extras.contenders is not None
    return float(extras.contenders.deadlock[0])


_CONTENDERS_PER_SLOT = ("ticket", "keeps", "record", "running", "failed")
"""Arrays of those who wait at doors or run in branches that are kept per slot."""


def _contenders(network: Network) -> Contenders | None:
    if not _contended(network):
        return None
    contention, devices = network.contention, network.devices
    flags = {"called": devices, "failed": _FIRST_SLOTS}
    sizes = dict.fromkeys(
        ("door_head", "door_tail", "held_servers", "stuck_servers", "cursor"), devices
    )
    sizes |= {"tickets": 1} | dict.fromkeys(("ticket", "keeps", "record", "running"), _FIRST_SLOTS)
    arrays: dict[str, Any] = {name: np.zeros(size, dtype=bool) for name, size in flags.items()}
    arrays |= {name: np.zeros(size, dtype=np.int64) for name, size in sizes.items()}
    return Contenders(
        blocks=np.array([contention is not None and contention.blocks]),
        parallel=np.zeros(network.chains, bool) if contention is None else contention.parallel,
        held_units=np.zeros(devices),
        stuck_units=np.zeros(devices),
        in_use=np.zeros(devices),
        deadlock=np.zeros(1),
        **arrays,
    )


def _with_more_places(extras: Extras) -> Extras:
    """Return the same extras for twice the slots."""
    contenders = extras.contenders
    if contenders is not None:
        grown = {name: _doubled(getattr(contenders, name)) for name in _CONTENDERS_PER_SLOT}
        contenders = contenders._replace(**grown)
    return extras._replace(route=_doubled(extras.route), contenders=contenders)


def _accelerators(network: Network) -> Accelerators | None:
    batching = network.batching
    if batching is None:
        return None
    devices, lines = network.devices, len(batching.line_device)
    segments, largest = batching.seconds.shape
    flags = {name: np.zeros(devices, dtype=bool) for name in ("running", "in_hand", "alarmed")}
    sizes: dict[str, Any] = dict.fromkeys(("line_size", "line_head", "line_tail"), lines)
    # Lazy batches of one sample each may lie on the stack, and as many as fit the largest batch.
    sizes |= dict.fromkeys(
        ("head", "tail", "size", "width", "segment", "line"), (devices, largest + 1)
    )
    sizes |= {"tickets": 1, "ticket": _FIRST_SLOTS, "depth": devices, "preemptions": devices}
    sizes |= {"batches": (segments, largest)}
    integers = {name: np.zeros(size, dtype=np.int64) for name, size in sizes.items()}
    return Accelerators(batching=batching, **flags, **integers)


_SHARERS_PER_SLOT = ("left", "right", "tag")
"""Arrays of the devices that share that are kept per slot."""


def _sharers(network: Network) -> Sharers | None:
    if not _contended(network):
        return None
    sharing = network.sharing
    if sharing is None:
        sharing = no_sharing(network.servers)
    devices = network.devices
    sizes = dict.fromkeys(("present", "root"), devices)
    sizes |= {"soonest": 1, "left": _FIRST_SLOTS, "right": _FIRST_SLOTS}
    integers: dict[str, Any] = {n: np.zeros(size, dtype=np.int64) for n, size in sizes.items()}
    times: dict[str, Any] = {n: np.zeros(devices) for n in ("virtual", "since", "due")}
    return Sharers(sharing=sharing, tag=np.zeros(_FIRST_SLOTS), **integers, **times)


def _doubled(values: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([values, np.zeros_like(values)])


def _with_more_slots(state: State) -> State:
    """Return the same state with twice the slots; old ones that are free come after the new."""
    before = len(state.row)
    per_slot = (*_SLOT_INTEGERS, "arrival", "entered", "service", "sojourn")
    grown: dict[str, Any] = {name: _doubled(getattr(state, name)) for name in per_slot}
    new = np.append(np.arange(before + 1, 2 * before), state.free)
    old = state.heap
    heap = Heap(_doubled(old.time), _doubled(old.key), _doubled(old.slot), old.size)
    free = np.array([before])
    following = np.concatenate([state.following, new])
    return state._replace(heap=heap, free=free, following=following, **grown)


def _empty_log(room: int) -> Log:
    size = np.zeros(1, dtype=np.int64)
    return Log(time=np.empty(room), record=np.empty((room, 5), dtype=np.int64), size=size)


_NO_LOG = _empty_log(0)


def _with_more_room(log: Log) -> Log:
    return Log(time=_doubled(log.time), record=_doubled(log.record), size=log.size)
