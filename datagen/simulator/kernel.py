"""The compiled event loop: plays drawn arrival and service times on a network of finite queues.

The loop draws nothing and allocates nothing. When it runs out of draws, slots or log space it
returns a status before touching the event in question; the caller supplies what is missing and
calls again.
"""

from __future__ import annotations

from datagen.compiled import compiled, inlined
from datagen.simulator.accelerator_kernel import Accelerators, is_accelerator
from datagen.simulator.arrival_kernel import arrive_from_device, arrive_from_outside
from datagen.simulator.batch_kernel import choose_batch, end_segment, look_again
from datagen.simulator.begin_kernel import begin
from datagen.simulator.blocking_kernel import is_stuck, let_in
from datagen.simulator.branch_kernel import has_slots, most_branches
from datagen.simulator.device_kernel import choose
from datagen.simulator.finish_kernel import end_service, end_transmission
from datagen.simulator.heap_kernel import pop
from datagen.simulator.index_kernel import unsigned
from datagen.simulator.keys import ENTER, FINISH, PHASE_SHIFT
from datagen.simulator.network import Network
from datagen.simulator.remaining_kernel import count_remaining
from datagen.simulator.sharing_kernel import Sharers, count_shared, due_before
from datagen.simulator.state_kernel import NONE, SENDING, Draws, Extras, Log, State
from datagen.simulator.tally import RunLength, Tally

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

READY = -1
"""No reason to return: nothing is missing for the event ahead."""

LOG_ROOM = 2
"""Most records that one event writes: a finished service and the arrival it leads to."""


@inlined
def _most_records(state: State, extras: Extras | None, batched: Accelerators | None) -> int:
    """Return how many records one event may write."""
    room = LOG_ROOM
    if batched is not None:
        room += batched.batches.shape[1]  # every sample of a batch writes
    if extras is not None:
        room += most_branches(state, extras.contenders)
    return room


@inlined
def _missing(chain: int, draws: Draws, state: State, extras: Extras | None) -> int:
    """Return what an external arrival needs first: draws, slots, or nothing (READY)."""
    if state.next_job[chain] - draws.base[chain] + 1 >= draws.arrival.shape[1]:
        return NEED_DRAWS
    if state.free[0] == NONE:
        return NEED_SLOTS
    if extras is not None and not has_slots(chain, state, extras.contenders):
        return NEED_SLOTS
    return READY


@inlined
def _play_own(
    number: int,
    now: float,
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    log: Log,
    extras: Extras,
    batched: Accelerators | None,
    shared: Sharers | None,
) -> None:
    """Play what a device with priorities or an accelerator does on its own."""
    if batched is None:
        choose(unsigned(number), now, network, run, state, tally, log, extras, shared)
        return
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


@inlined
def _play_job(
    slot: int,
    is_end: bool,
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
    """Play what happens to a job in the system; ``is_end`` if a service ends outside the heap."""
    phase = state.heap.key[0] >> PHASE_SHIFT
    if extras is not None and slot >= SENDING:
        own = unsigned(slot - SENDING)
        end_transmission(own, now, network, run, state, tally, log, extras)
        return
    own = unsigned(slot)
    if is_end or phase == FINISH:
        end_service(own, now, network, run, state, tally, log, extras, batched, shared)
    elif extras is not None and phase == ENTER:
        doors = extras.contenders
        let_in(own, now, network, run, state, tally, log, extras, batched, doors, shared)
    else:
        pop(state.heap)
        arrive_from_device(own, now, network, run, state, tally, log, extras, batched, shared)


@inlined
def _close(
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    extras: Extras | None,
    shared: Sharers | None,
) -> int:
    """Count what is still there when a run ends; return how it did."""
    status = DONE if state.pending[0] == 0 else TRUNCATED
    count_remaining(network, run, state, tally, extras)
    if shared is not None:
        count_shared(network, run, tally, shared)
    return status


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
    room = _most_records(state, extras, batched)
    if heap.size[0] == 0:
        begin(network, draws, state, extras, batched, shared)
    while True:
        if extras is not None and is_stuck(extras.contenders):
            return DEADLOCK, 0
        now, slot, is_end = heap.time[0], heap.slot[0], False
        if shared is not None and due_before(now, heap.key[0], state, shared):
            device = unsigned(shared.soonest[0])
            now, slot, is_end = shared.due[device], shared.root[device], True
        if now > run.horizon and (state.pending[0] == 0 or now > run.limit):
            return _close(network, run, state, tally, extras, shared), 0
        if logging and log.size[0] + room > log.time.size:
            return NEED_LOG, 0
        if slot >= 0:
            _play_job(slot, is_end, now, network, run, state, tally, log, extras, batched, shared)
            continue
        number = -1 - slot
        if extras is not None and number >= network.deadline.size:
            own = number - network.deadline.size
            _play_own(own, now, network, run, state, tally, log, extras, batched, shared)
            continue
        chain = unsigned(number)
        status = _missing(chain, draws, state, extras)
        if status != READY:
            return status, number if status == NEED_DRAWS else 0
        arrive_from_outside(
            chain, now, network, run, draws, state, tally, log, extras, batched, shared
        )
