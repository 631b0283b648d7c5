"""The compiled event loop: plays drawn arrival and service times on a network of finite queues.

The loop draws nothing and allocates nothing. When it runs out of draws, slots or log space it
returns a status before touching the event in question; the caller supplies what is missing and
calls again.
"""

from __future__ import annotations

from datagen.compiled import compiled, inlined
from datagen.simulator.accelerator_kernel import Accelerators, is_accelerator
from datagen.simulator.batch_kernel import choose_batch, end_segment, look_again
from datagen.simulator.begin_kernel import begin
from datagen.simulator.blocking_kernel import is_stuck, let_in
from datagen.simulator.branch_kernel import has_slots, most_branches, start_branches
from datagen.simulator.contention_kernel import NOTHING, SERVER
from datagen.simulator.device_kernel import choose, enter, next_in_line
from datagen.simulator.door_kernel import hold_back, keeps_waiting, made_room, wait_outside
from datagen.simulator.event_log import ARRIVED, FINISHED, LEFT, LOST, MOVED, SENT
from datagen.simulator.heap_kernel import pop, push, replace_top
from datagen.simulator.index_kernel import signed, unsigned
from datagen.simulator.keys import ENTER, FINISH, PHASE_SHIFT
from datagen.simulator.leave_kernel import admit_key, complete, move_on
from datagen.simulator.network import Network
from datagen.simulator.remaining_kernel import count_remaining
from datagen.simulator.sharing_kernel import (
    Sharers,
    count_shared,
    due_before,
    end_first,
    shares,
)
from datagen.simulator.state_kernel import (
    NONE,
    SENDING,
    Draws,
    Extras,
    Log,
    State,
    chain_of,
    clip,
    finish_key,
    identity_of,
    release,
    step_of,
    take_slot,
    write,
)
from datagen.simulator.tally import (
    BATCHES,
    RunLength,
    Tally,
)

__all__ = [
    "DEADLOCK",
    "DONE",
    "NEED_DRAWS",
    "NEED_LOG",
    "NEED_SLOTS",
    "TRUNCATED",
    "play",
]

DONE, TRUNCATED, NEED_DRAWS, NEED_SLOTS, NEED_LOG, DEADLOCK = 0, 1, 2, 3, 4, 5
"""Why the loop returned."""

LOG_ROOM = 2
"""Most records that one event writes: a finished service and the arrival it leads to."""

_IDENTITY = (1 << PHASE_SHIFT) - 1
"""The bits of a key below its phase."""


@inlined
def _batch_of(arrival: float, run: RunLength) -> int:
    if not run.warmup < arrival <= run.horizon:
        return -1
    return min(int((arrival - run.warmup) * run.batches_per_second), BATCHES - 1)


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
    batched: Accelerators | None,
    shared: Sharers | None,
) -> None:
    """Play an external arrival; the caller has made sure of a slot and of the next arrival time."""
    job = state.next_job[chain]
    column = unsigned(job - draws.base[chain])
    state.next_job[chain] = job + 1
    number = signed(chain)
    following = admit_key(identity_of(number, job + 1))
    replace_top(state.heap, draws.arrival[chain, column + unsigned(1)], following, -1 - number)
    state.events[0] += 1
    first = network.chain_start[chain]
    last = network.chain_start[chain + unsigned(1)] - 1
    route = unsigned(0)
    if extras is not None:
        route = unsigned(extras.features.chain_route[chain] + extras.drawn_route[chain, column])
        first = extras.features.route_first[route]
        last = first + extras.features.route_steps[route] - 1
    row = unsigned(first)
    device = unsigned(network.step_device[row])
    demand = network.step_demand[row]
    identity = identity_of(number, job)
    batch = _batch_of(now, run)
    if extras is not None and start_branches(
        chain,
        identity,
        route,
        column & unsigned(draws.column_mask[chain]),
        batch,
        now,
        network,
        run,
        draws,
        state,
        tally,
        log,
        extras,
        batched,
        extras.contenders,
        shared,
    ):
        return
    outcome = LOST
    if state.used[device] + demand <= network.capacity[device]:
        slot = take_slot(identity, first, last, batch, now, state)
        drawn = column & unsigned(draws.column_mask[chain])
        for k in range(unsigned(last - first + 1)):
            state.service[slot, k] = draws.service[row + k, drawn]
        if extras is not None:
            extras.route[slot] = route
        outcome = enter(
            slot, identity, device, demand, now, network, run, state, tally, extras, batched, shared
        )
    if batch >= 0:
        in_batch = unsigned(batch)
        tally.offered[chain, in_batch] += 1
        tally.step_offered[row] += 1
        if outcome == LOST:
            tally.lost[chain, in_batch] += 1
            tally.step_lost[row] += 1
    if log.time.size > 0:
        write(log, now, ARRIVED, identity, outcome)


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
    batched: Accelerators | None,
    shared: Sharers | None,
) -> None:
    """Play the arrival of a job that comes from its previous step."""
    identity = state.identity[slot]
    row = unsigned(state.row[slot])
    device = unsigned(network.step_device[row])
    demand = network.step_demand[row]
    if extras is not None and wait_outside(slot, device, now, network, state, extras.contenders):
        return
    batch = state.batch[slot]
    if batch >= 0:
        tally.step_offered[row] += 1
    if state.used[device] + demand <= network.capacity[device]:
        outcome = enter(
            slot, identity, device, demand, now, network, run, state, tally, extras, batched, shared
        )
    else:
        outcome = LOST
        if batch >= 0:
            tally.lost[chain_of(identity), unsigned(batch)] += 1
            tally.step_lost[row] += 1
        release(slot, state)
    if log.time.size > 0:
        write(log, now, ARRIVED, identity, outcome)


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
    identity = state.identity[slot]
    row = unsigned(state.row[slot])
    device, demand = unsigned(network.step_device[row]), network.step_demand[row]
    if log.time.size > 0:
        write(log, now, SENT, identity, MOVED)
    if keeps_waiting(slot, now, network, state, extras.contenders):
        return
    state.used[device] -= demand
    tally.units[device] += (clip(now, run) - clip(state.entered[slot], run)) * demand
    replace_top(state.heap, now, move_on(slot, identity, now, state), signed(slot))


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
    batched: Accelerators | None,
    shared: Sharers | None,
) -> None:
    """Play the end of a service: the server goes on, the job moves or completes."""
    heap = state.heap
    identity = heap.key[0] & _IDENTITY
    if shared is not None:  # whose services end outside the heap
        identity = state.identity[slot]
    row = unsigned(state.row[slot])
    device = unsigned(network.step_device[row])
    demand = network.step_demand[row]
    state.events[0] += 1
    keeps, in_heap = SERVER, True
    if shared is not None and shares(device, shared):
        in_heap = False
        end_first(device, now, network, run, state, tally, shared)
        if shared.sharing.welcomes[device]:
            keeps = NOTHING  # there is no server of its own to keep
    if extras is not None and hold_back(
        slot, keeps, now, network, state, extras, extras.contenders
    ):
        if in_heap:
            pop(heap)
        if log.time.size > 0:
            write(log, now, FINISHED, identity, MOVED)
        return
    next_in_line(device, now, network, run, state, tally, extras, shared)
    last = state.row[slot] == state.last_row[slot]
    delay = 0.0
    held = False
    if extras is not None and not last:
        delay = extras.features.step_delay[row]
        held = extras.features.step_held[row]
    if not held:
        state.used[device] -= demand
        if extras is not None:
            made_room(device, now, network, state, extras.contenders)
    present = clip(now, run) - clip(state.entered[slot], run)
    tally.jobs[device] += present
    tally.units[device] += present * demand
    sojourn = now - state.entered[slot]
    state.sojourn[slot, step_of(identity)] = sojourn
    if state.batch[slot] >= 0:
        tally.step_served[row] += 1
        tally.step_sojourn[row] += sojourn
    if log.time.size > 0:
        write(log, now, FINISHED, identity, LEFT if last else MOVED)
    if last:
        complete(slot, identity, now, network, state, tally, extras)
        return
    if held:
        state.entered[slot] = now
        push(heap, now + delay, finish_key(identity), signed(slot) + SENDING)
        return
    delivery = now + delay
    key = move_on(slot, identity, delivery, state)
    if delay == 0.0 and _comes_next(now, key, state, shared):
        # It would be the very next event: play it without the detour through the heap.
        _arrive_from_device(slot, now, network, run, state, tally, log, extras, batched, shared)
    else:
        push(heap, delivery, key, signed(slot))


@inlined
def _comes_next(now: float, key: int, state: State, shared: Sharers | None) -> bool:
    """Return whether an event of this moment would be played before any other."""
    if shared is not None and due_before(now, key, state, shared):
        return False
    first = state.heap.time[0]
    return now < first or (now == first and key < state.heap.key[0])  # type: ignore[no-any-return]


@inlined
def _at_device(
    number: int,
    now: float,
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    log: Log,
    extras: Extras,
    batched: Accelerators,
    shared: Sharers | None,
) -> None:
    """Play what a device with priorities or an accelerator does on its own."""
    devices = state.idle.size
    device = unsigned(number % devices)
    if number >= 2 * devices:
        look_again(device, now, state, extras, batched)
    elif number >= devices:
        end_segment(device, now, network, run, state, tally, log, extras, batched)
    elif is_accelerator(device, batched):
        choose_batch(device, now, network, run, state, tally, log, extras, batched)
    else:
        choose(device, now, network, run, state, tally, log, extras, shared)


@compiled
def play(
    network: Network,
    run: RunLength,
    draws: Draws,
    state: State,
    tally: Tally,
    log: Log,
    extras: Extras | None,
    batched: Accelerators | None,
    shared: Sharers | None,
) -> tuple[int, int]:
    """Play events until the cohort has left or something is missing.

    A run begins with an empty heap; until it ends, there is an arrival ahead.

    Args:
        network: The network.
        run: Its window.
        draws: Drawn jobs.
        state: What changes.
        tally: Sums, added to.
        log: Event log.
        extras: Arrays for the features of the network, or None where it has none.
        batched: Arrays for its accelerators, or None where it has none.
        shared: Arrays for its devices whose jobs change pace, or None where it has none.

    Returns:
        A status, and the chain that needs draws (0 otherwise).
    """
    heap = state.heap
    logging = log.time.size > 0
    columns = draws.arrival.shape[1]
    room = LOG_ROOM
    if batched is not None:
        room += batched.batches.shape[1]  # every sample of a batch writes
    if extras is not None:
        room += most_branches(state, extras.contenders)
    if heap.size[0] == 0:
        begin(network, draws, state, extras, batched, shared)
    while True:
        if extras is not None and is_stuck(extras.contenders):
            return DEADLOCK, 0
        now = heap.time[0]
        sharer = NONE
        if shared is not None and due_before(now, heap.key[0], state, shared):
            sharer = shared.soonest[0]
            now = shared.due[unsigned(sharer)]
        if now > run.horizon and (state.pending[0] == 0 or now > run.limit):
            status = DONE if state.pending[0] == 0 else TRUNCATED
            count_remaining(network, run, state, tally, extras)
            if shared is not None:
                count_shared(network, run, tally, shared)
            return status, 0
        if logging and log.size[0] + room > log.time.size:
            return NEED_LOG, 0
        slot = heap.slot[0]
        if shared is not None and sharer != NONE:
            slot = shared.root[unsigned(sharer)]
        if slot < 0:
            chain = -1 - slot
            if extras is not None and chain >= network.deadline.size:
                number = chain - network.deadline.size
                if batched is not None:
                    _at_device(
                        number, now, network, run, state, tally, log, extras, batched, shared
                    )
                    continue
                choose(unsigned(number), now, network, run, state, tally, log, extras, shared)
                continue
            index = unsigned(chain)
            if state.next_job[index] - draws.base[index] + 1 >= columns:
                return NEED_DRAWS, chain
            if state.free[0] == NONE:
                return NEED_SLOTS, 0
            if extras is not None and not has_slots(index, state, extras.contenders):
                return NEED_SLOTS, 0
            _arrive_from_outside(
                index, now, network, run, draws, state, tally, log, extras, batched, shared
            )
        elif extras is not None and slot >= SENDING:
            _sent(unsigned(slot - SENDING), now, network, run, state, tally, log, extras)
        elif sharer != NONE or heap.key[0] >> PHASE_SHIFT == FINISH:
            _finish(unsigned(slot), now, network, run, state, tally, log, extras, batched, shared)
        elif extras is not None and heap.key[0] >> PHASE_SHIFT == ENTER:
            let_in(
                unsigned(slot),
                now,
                network,
                run,
                state,
                tally,
                log,
                extras,
                batched,
                extras.contenders,
                shared,
            )
        else:
            pop(heap)
            _arrive_from_device(
                unsigned(slot), now, network, run, state, tally, log, extras, batched, shared
            )
