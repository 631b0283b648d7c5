"""The compiled event loop: plays drawn arrival and service times on a network of finite queues.

The loop draws nothing and allocates nothing. When it runs out of draws, slots or log space it
returns a status before touching the event in question; the caller supplies what is missing and
calls again. Jobs in the system live in *slots*; a slot belongs to one job from its admission at the
first device until it completes or is lost.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import compiled, inlined
from datagen.simulator.event_log import (
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
from datagen.simulator.heap_kernel import Heap, pop, push, replace_top
from datagen.simulator.keys import ADMIT, CHAIN_SHIFT, CHOOSE, FINISH, JOB_SHIFT, PHASE_SHIFT
from datagen.simulator.network import Features, Network
from datagen.simulator.tally import (
    BATCHES,
    BIN_SHIFT,
    FIRST_BIN,
    HISTOGRAM_BINS,
    RunLength,
    Tally,
)

__all__ = [
    "ARRIVED",
    "CHOSEN",
    "DONE",
    "FINISHED",
    "LEFT",
    "LOST",
    "MOVED",
    "NEED_DRAWS",
    "NEED_LOG",
    "NEED_SLOTS",
    "QUEUED",
    "SENDING",
    "SENT",
    "STARTED",
    "TRUNCATED",
    "Draws",
    "Extras",
    "Log",
    "State",
    "play",
]

DONE, TRUNCATED, NEED_DRAWS, NEED_SLOTS, NEED_LOG = 0, 1, 2, 3, 4
"""Why the loop returned."""

NONE = -1
"""No slot: the end of a waiting line or of the list of free slots."""

SENDING = 1 << 40
"""Added to the slot of a heap event that ends a transmission instead of a service."""

LOG_ROOM = 2
"""Most records that one event writes: a finished service and the arrival it leads to."""


class Draws(NamedTuple):
    """Drawn jobs that have not all arrived yet; job ``base[c] + i`` of chain c is in column i.

    Args:
        arrival: Arrival times [s] [C, N].
        service: Service times [s] [S, N].
        base: Job in column 0 [C].
    """

    arrival: NDArray[np.float64]
    service: NDArray[np.float64]
    base: NDArray[np.int64]


class Log(NamedTuple):
    """Event log; empty arrays switch it off.

    Args:
        time: When [s] [N].
        record: Kind, chain, job, step, outcome [N, 5].
        size: Number of records [1].
    """

    time: NDArray[np.float64]
    record: NDArray[np.int64]
    size: NDArray[np.int64]


class State(NamedTuple):
    """Everything that changes while a network is played.

    Args:
        heap: Pending events.
        next_job: Next job of each chain to arrive [C].
        queue_head: Slot of the first waiting job, or NONE; the lines of all devices for the first
            class, then those for the next; without priorities, all wait in the first [classes * D].
        queue_tail: Slot of the last waiting job, or NONE [classes * D].
        idle: Servers that are free [D].
        used: Buffer units in use [D].
        chain: Chain of the job in each slot [N].
        job: Its number [N].
        step: Its current step, 0-based in its chain [N].
        batch: Its batch, -1 outside of the cohort [N].
        arrival: When it arrived [s] [N].
        entered: When it came to its current device [s] [N].
        following: Slot behind it in the waiting line, or the next free slot [N].
        service: Its service times [s] [N, longest chain].
        sojourn: Its times at the steps passed so far [s] [N, longest chain].
        free: First free slot [1].
        pending: Cohort jobs that are in the system [1].
        events: External arrivals and finished services so far [1].
    """

    heap: Heap
    next_job: NDArray[np.int64]
    queue_head: NDArray[np.int64]
    queue_tail: NDArray[np.int64]
    idle: NDArray[np.int64]
    used: NDArray[np.float64]
    chain: NDArray[np.int64]
    job: NDArray[np.int64]
    step: NDArray[np.int64]
    batch: NDArray[np.int64]
    arrival: NDArray[np.float64]
    entered: NDArray[np.float64]
    following: NDArray[np.int64]
    service: NDArray[np.float64]
    sojourn: NDArray[np.float64]
    free: NDArray[np.int64]
    pending: NDArray[np.int64]
    events: NDArray[np.int64]


class Extras(NamedTuple):
    """Arrays for the features of a network.

    Where a network has none, the loop gets None instead, and numba leaves out every branch behind
    ``if extras is not None`` when it compiles: plain networks pay nothing for what they lack.

    Args:
        features: What is given.
        drawn_route: Route of each drawn job, counted from its chain's first [C, columns].
        route: Route of the job in each slot [N].
        completed: Completed cohort jobs by route [R].
        waiting: Jobs in line at devices with priorities [D].
        choosing: Whether such a device is about to choose [D].
    """

    features: Features
    drawn_route: NDArray[np.int64]
    route: NDArray[np.int64]
    completed: NDArray[np.int64]
    waiting: NDArray[np.int64]
    choosing: NDArray[np.bool_]


@inlined
def _key(phase: int, chain: int, job: int, step: int) -> int:
    return (phase << PHASE_SHIFT) | (chain << CHAIN_SHIFT) | (job << JOB_SHIFT) | step


@inlined
def _clip(time: float, run: RunLength) -> float:
    return min(max(time, run.warmup), run.horizon)


@inlined
def _batch_of(arrival: float, run: RunLength) -> int:
    if not run.warmup < arrival <= run.horizon:
        return -1
    return min(int((arrival - run.warmup) * run.batches_per_second), BATCHES - 1)


@inlined
def _latency_bin(latency: float) -> int:
    index: Any = (np.float64(latency).view(np.int64) >> BIN_SHIFT) - FIRST_BIN
    return min(max(index, 0), HISTOGRAM_BINS - 1)  # type: ignore[no-any-return]


@inlined
def _write(log: Log, time: float, kind: int, chain: int, job: int, step: int, outcome: int) -> None:
    index = log.size[0]
    log.time[index] = time
    record = log.record[index]
    record[0] = kind
    record[1] = chain
    record[2] = job
    record[3] = step
    record[4] = outcome
    log.size[0] = index + 1


@inlined
def _start_service(
    slot: int, device: int, now: float, run: RunLength, state: State, tally: Tally
) -> float:
    """Count a service from its start, and return when it ends."""
    end: float = now + state.service[slot, state.step[slot]]
    tally.busy[device] += _clip(end, run) - _clip(now, run)
    return end


@inlined
def _finish_key(slot: int, state: State) -> int:
    return _key(FINISH, state.chain[slot], state.job[slot], state.step[slot])


@inlined
def _join_line(slot: int, line: int, state: State) -> None:
    state.following[slot] = NONE
    if state.queue_head[line] == NONE:
        state.queue_head[line] = slot
    else:
        state.following[state.queue_tail[line]] = slot
    state.queue_tail[line] = slot


@inlined
def _let_choose(device: int, now: float, state: State, extras: Extras) -> None:
    """Let a device with priorities choose at the end of this instant, if it can."""
    if state.idle[device] > 0 and extras.waiting[device] > 0 and not extras.choosing[device]:
        extras.choosing[device] = True
        slot = -1 - state.next_job.size - device
        push(state.heap, now, (CHOOSE << PHASE_SHIFT) | device, slot)


@inlined
def _choose(
    device: int,
    now: float,
    run: RunLength,
    state: State,
    tally: Tally,
    log: Log,
    extras: Extras,
) -> None:
    """Let a free server take the first waiting job of the highest class."""
    pop(state.heap)
    line = device
    while state.queue_head[line] == NONE:
        line += state.idle.size
    slot = state.queue_head[line]
    state.queue_head[line] = state.following[slot]
    extras.waiting[device] -= 1
    state.idle[device] -= 1
    extras.choosing[device] = False
    end = _start_service(slot, device, now, run, state, tally)
    push(state.heap, end, _finish_key(slot, state), slot)
    _let_choose(device, now, state, extras)
    if log.time.size > 0:
        _write(log, now, CHOSEN, state.chain[slot], state.job[slot], state.step[slot], STARTED)


@inlined
def _enter(
    slot: int,
    device: int,
    demand: float,
    now: float,
    run: RunLength,
    state: State,
    tally: Tally,
    extras: Extras | None,
) -> int:
    """Let an admitted job take its units, and a server or a place in the line."""
    state.used[device] += demand
    state.entered[slot] = now
    if extras is not None and extras.features.prioritized[device]:
        rank = extras.features.chain_class[state.chain[slot]]
        _join_line(slot, rank * state.idle.size + device, state)
        extras.waiting[device] += 1
        _let_choose(device, now, state, extras)
        return QUEUED
    if state.idle[device] > 0:
        state.idle[device] -= 1
        end = _start_service(slot, device, now, run, state, tally)
        push(state.heap, end, _finish_key(slot, state), slot)
        return STARTED
    _join_line(slot, device, state)
    return QUEUED


@inlined
def _release(slot: int, state: State) -> None:
    """Give a slot back once its job has left the system."""
    state.following[slot] = state.free[0]
    state.free[0] = slot
    if state.batch[slot] >= 0:
        state.pending[0] -= 1


@inlined
def _arrive_from_outside(
    chain: int,
    now: float,
    network: Network,
    run: RunLength,
    draws: Draws,
    state: State,
    tally: Tally,
    log: Log,
    extras: Extras | None,
) -> None:
    """Play an external arrival; the caller has made sure of a slot and of the next arrival time."""
    job = state.next_job[chain]
    column = job - draws.base[chain]
    state.next_job[chain] = job + 1
    replace_top(
        state.heap, draws.arrival[chain, column + 1], _key(ADMIT, chain, job + 1, 0), -1 - chain
    )
    state.events[0] += 1
    step = network.chain_start[chain]
    steps = network.chain_start[chain + 1] - step
    route = 0
    if extras is not None:
        route = extras.features.chain_route[chain] + extras.drawn_route[chain, column]
        step = extras.features.route_first[route]
        steps = extras.features.route_steps[route]
    device = network.step_device[step]
    demand = network.step_demand[step]
    batch = _batch_of(now, run)
    outcome = LOST
    if state.used[device] + demand <= network.capacity[device]:
        slot = state.free[0]
        state.free[0] = state.following[slot]
        state.chain[slot] = chain
        state.job[slot] = job
        state.step[slot] = 0
        state.batch[slot] = batch
        state.arrival[slot] = now
        if extras is not None:
            extras.route[slot] = route
        for k in range(steps):
            state.service[slot, k] = draws.service[step + k, column]
        if batch >= 0:
            state.pending[0] += 1
        outcome = _enter(slot, device, demand, now, run, state, tally, extras)
    if batch >= 0:
        tally.offered[chain, batch] += 1
        tally.step_offered[step] += 1
        if outcome == LOST:
            tally.lost[chain, batch] += 1
            tally.step_lost[step] += 1
    if log.time.size > 0:
        _write(log, now, ARRIVED, chain, job, 0, outcome)


@inlined
def _arrive_from_device(
    slot: int,
    now: float,
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    log: Log,
    extras: Extras | None,
) -> None:
    """Play the arrival of a job that comes from its previous step."""
    chain = state.chain[slot]
    batch = state.batch[slot]
    step = network.chain_start[chain] + state.step[slot]
    if extras is not None:
        step = extras.features.route_first[extras.route[slot]] + state.step[slot]
    device = network.step_device[step]
    demand = network.step_demand[step]
    if batch >= 0:
        tally.step_offered[step] += 1
    if log.time.size > 0:
        job, position = state.job[slot], state.step[slot]
    else:
        job, position = 0, 0
    if state.used[device] + demand <= network.capacity[device]:
        outcome = _enter(slot, device, demand, now, run, state, tally, extras)
    else:
        outcome = LOST
        if batch >= 0:
            tally.lost[chain, batch] += 1
            tally.step_lost[step] += 1
        _release(slot, state)
    if log.time.size > 0:
        _write(log, now, ARRIVED, chain, job, position, outcome)


@inlined
def _next_in_line(
    device: int, now: float, run: RunLength, state: State, tally: Tally, extras: Extras | None
) -> None:
    """Let a freed server take the first waiting job, in place of the event just played."""
    if extras is not None and extras.features.prioritized[device]:
        state.idle[device] += 1
        pop(state.heap)
        _let_choose(device, now, state, extras)
        return
    slot = state.queue_head[device]
    if slot == NONE:
        state.idle[device] += 1
        pop(state.heap)
        return
    state.queue_head[device] = state.following[slot]
    end = _start_service(slot, device, now, run, state, tally)
    replace_top(state.heap, end, _finish_key(slot, state), slot)


@inlined
def _complete(
    slot: int, now: float, network: Network, state: State, tally: Tally, extras: Extras | None
) -> None:
    """Count a job that has passed its last step."""
    batch = state.batch[slot]
    if batch >= 0:
        chain = state.chain[slot]
        latency = now - state.arrival[slot]
        tally.completed[chain, batch] += 1
        tally.latency[chain, batch] += latency
        tally.histogram[chain, _latency_bin(latency)] += 1
        if latency <= network.deadline[chain]:
            tally.on_time[chain] += 1
        first = network.chain_start[chain]
        if extras is not None:
            first = extras.features.route_first[extras.route[slot]]
            extras.completed[extras.route[slot]] += 1
        for k in range(state.step[slot] + 1):
            tally.step_sojourn_completed[first + k] += state.sojourn[slot, k]
    _release(slot, state)


@inlined
def _send(slot: int, delivery: float, held: bool, now: float, state: State) -> None:
    """Let a served job travel to its next device."""
    if held:
        state.entered[slot] = now
        push(state.heap, delivery, _finish_key(slot, state), slot + SENDING)
        return
    state.step[slot] += 1
    state.entered[slot] = delivery  # in case the run ends before: it is nowhere until then
    key = _key(ADMIT, state.chain[slot], state.job[slot], state.step[slot])
    push(state.heap, delivery, key, slot)


@inlined
def _sent(
    slot: int,
    now: float,
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    log: Log,
    extras: Extras,
) -> None:
    """Play the end of a transmission: units become free, the job is delivered."""
    chain, job, position = state.chain[slot], state.job[slot], state.step[slot]
    step = extras.features.route_first[extras.route[slot]] + position
    device, demand = network.step_device[step], network.step_demand[step]
    state.used[device] -= demand
    tally.units[device] += (_clip(now, run) - _clip(state.entered[slot], run)) * demand
    if log.time.size > 0:
        _write(log, now, SENT, chain, job, position, MOVED)
    state.step[slot] = position + 1
    state.entered[slot] = now
    replace_top(state.heap, now, _key(ADMIT, chain, job, position + 1), slot)


@inlined
def _finish(
    slot: int,
    now: float,
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    log: Log,
    extras: Extras | None,
) -> None:
    """Play the end of a service: the server goes on, the job moves or completes."""
    chain = state.chain[slot]
    job = state.job[slot]
    position = state.step[slot]
    step = network.chain_start[chain] + position
    if extras is not None:
        step = extras.features.route_first[extras.route[slot]] + position
    device = network.step_device[step]
    demand = network.step_demand[step]
    state.events[0] += 1
    _next_in_line(device, now, run, state, tally, extras)
    last = step + 1 == network.chain_start[chain + 1]
    held = False
    if extras is not None:
        last = position + 1 == extras.features.route_steps[extras.route[slot]]
        held = extras.features.step_held[step] and not last
    if not held:
        state.used[device] -= demand
    present = _clip(now, run) - _clip(state.entered[slot], run)
    tally.jobs[device] += present
    tally.units[device] += present * demand
    sojourn = now - state.entered[slot]
    state.sojourn[slot, position] = sojourn
    if state.batch[slot] >= 0:
        tally.step_served[step] += 1
        tally.step_sojourn[step] += sojourn
    if log.time.size > 0:
        _write(log, now, FINISHED, chain, job, position, LEFT if last else MOVED)
    if last:
        _complete(slot, now, network, state, tally, extras)
        return
    if extras is not None and extras.features.step_delay[step] > 0:
        _send(slot, now + extras.features.step_delay[step], held, now, state)
        return
    state.step[slot] = position + 1
    state.entered[slot] = now  # in case the run ends before it arrives: it is nowhere until then
    key = _key(ADMIT, chain, job, position + 1)
    heap = state.heap
    if now < heap.time[0] or (now == heap.time[0] and key < heap.key[0]):
        # It would be the very next event: play it without the detour through the heap.
        _arrive_from_device(slot, now, network, run, state, tally, log, extras)
    else:
        push(heap, now, key, slot)


@compiled
def play(
    network: Network,
    run: RunLength,
    draws: Draws,
    state: State,
    tally: Tally,
    log: Log,
    extras: Extras | None,
) -> tuple[int, int]:
    """Play events until the cohort has left or something is missing.

    Args:
        network: The network.
        run: Its window.
        draws: Drawn jobs.
        state: What changes; it holds the first arrival of each chain at the start.
        tally: Sums, added to.
        log: Event log.
        extras: Arrays for the features of the network, or None where it has none.

    Returns:
        A status, and the chain that needs draws (0 otherwise).
    """
    heap = state.heap
    logging = log.time.size > 0
    columns = draws.arrival.shape[1]
    while True:
        now = heap.time[0]
        if now > run.horizon:
            if state.pending[0] == 0:
                return DONE, 0
            if now > run.limit:
                return TRUNCATED, 0
        if logging and log.size[0] + LOG_ROOM > log.time.size:
            return NEED_LOG, 0
        slot = heap.slot[0]
        if slot < 0:
            chain = -1 - slot
            if extras is not None and chain >= network.deadline.size:
                _choose(chain - network.deadline.size, now, run, state, tally, log, extras)
                continue
            if state.next_job[chain] - draws.base[chain] + 1 >= columns:
                return NEED_DRAWS, chain
            if state.free[0] == NONE:
                return NEED_SLOTS, 0
            _arrive_from_outside(chain, now, network, run, draws, state, tally, log, extras)
        elif extras is not None and slot >= SENDING:
            _sent(slot - SENDING, now, network, run, state, tally, log, extras)
        elif heap.key[0] >> PHASE_SHIFT == FINISH:
            _finish(slot, now, network, run, state, tally, log, extras)
        else:
            pop(heap)
            _arrive_from_device(slot, now, network, run, state, tally, log, extras)
