"""What happens at a device: jobs enter, wait in line, are served in turn or by priority."""

from __future__ import annotations

from datagen.compiled import inlined
from datagen.simulator.accelerator_kernel import Accelerators, is_accelerator
from datagen.simulator.batch_kernel import await_batch
from datagen.simulator.event_log import CHOSEN, QUEUED, STARTED
from datagen.simulator.heap_kernel import pop, push, replace_top
from datagen.simulator.index_kernel import signed, unsigned
from datagen.simulator.keys import CHOOSE, PHASE_SHIFT
from datagen.simulator.network import Network
from datagen.simulator.sharing_kernel import Sharers, join_shared, shares
from datagen.simulator.state_kernel import (
    NONE,
    Extras,
    Log,
    State,
    chain_of,
    clip,
    finish_key,
    step_of,
    write,
)
from datagen.simulator.tally import RunLength, Tally

__all__ = ["choose", "enter", "next_in_line"]


@inlined
def start_service(
    slot: int, identity: int, device: int, now: float, run: RunLength, state: State, tally: Tally
) -> float:
    """Count a service from its start, and return when it ends."""
    end: float = now + state.service[slot, step_of(identity)]
    tally.busy[device] += clip(end, run) - clip(now, run)
    return end


@inlined
def begin_service(
    slot: int,
    identity: int,
    device: int,
    now: float,
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    shared: Sharers | None,
) -> None:
    """Let a service begin and its end be ahead."""
    if shared is not None and shares(device, shared):
        join_shared(slot, identity, device, now, network, run, state, tally, shared)
        return
    end = start_service(slot, identity, device, now, run, state, tally)
    push(state.heap, end, finish_key(identity), signed(slot))


@inlined
def join_line(slot: int, line: int, state: State) -> None:
    """Let a job wait behind the others."""
    state.following[slot] = NONE
    if state.queue_head[line] == NONE:
        state.queue_head[line] = slot
    else:
        state.following[unsigned(state.queue_tail[line])] = slot
    state.queue_tail[line] = slot


@inlined
def let_choose(device: int, now: float, state: State, extras: Extras) -> None:
    """Let a device with priorities choose at the end of this instant, if it can."""
    if state.idle[device] > 0 and extras.waiting[device] > 0 and not extras.choosing[device]:
        extras.choosing[device] = True
        number = signed(device)
        push(state.heap, now, (CHOOSE << PHASE_SHIFT) | number, -1 - state.next_job.size - number)


@inlined
def choose(
    device: int,
    now: float,
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    log: Log,
    extras: Extras,
    shared: Sharers | None,
) -> None:
    """Let a free server take the first waiting job of the highest class."""
    pop(state.heap)
    line = device
    while state.queue_head[line] == NONE:
        line += unsigned(state.idle.size)
    slot = unsigned(state.queue_head[line])
    state.queue_head[line] = state.following[slot]
    extras.waiting[device] -= 1
    state.idle[device] -= 1
    extras.choosing[device] = False
    identity = state.identity[slot]
    begin_service(slot, identity, device, now, network, run, state, tally, shared)
    let_choose(device, now, state, extras)
    if log.time.size > 0:
        write(log, now, CHOSEN, identity, STARTED)


@inlined
def enter(
    slot: int,
    identity: int,
    device: int,
    demand: float,
    now: float,
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    extras: Extras | None,
    batched: Accelerators | None,
    shared: Sharers | None,
) -> int:
    """Let an admitted job take its units, and a server or a place in the line."""
    state.used[device] += demand
    state.entered[slot] = now
    if batched is not None and extras is not None and is_accelerator(device, batched):
        await_batch(slot, device, now, network, state, extras, batched)
        return QUEUED
    if extras is not None and extras.features.prioritized[device]:
        rank = extras.features.chain_class[chain_of(identity)]
        join_line(slot, unsigned(rank * state.idle.size) + device, state)
        extras.waiting[device] += 1
        let_choose(device, now, state, extras)
        return QUEUED
    if state.idle[device] > 0:
        state.idle[device] -= 1
        begin_service(slot, identity, device, now, network, run, state, tally, shared)
        return STARTED
    join_line(slot, device, state)
    return QUEUED


@inlined
def next_in_line(
    device: int,
    now: float,
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    extras: Extras | None,
    shared: Sharers | None,
) -> None:
    """Let a freed server take the first waiting job, in place of the event just played.

    Where jobs change pace the heap of events is left alone: what ended there was not in it.
    """
    if shared is not None and shares(device, shared):
        _next_to_share(device, now, network, run, state, tally, extras, shared)
        return
    if extras is not None and extras.features.prioritized[device]:
        state.idle[device] += 1
        pop(state.heap)
        let_choose(device, now, state, extras)
        return
    head = state.queue_head[device]
    if head == NONE:
        state.idle[device] += 1
        pop(state.heap)
        return
    slot = unsigned(head)
    state.queue_head[device] = state.following[slot]
    identity = state.identity[slot]
    end = start_service(slot, identity, device, now, run, state, tally)
    replace_top(state.heap, end, finish_key(identity), head)


@inlined
def _next_to_share(
    device: int,
    now: float,
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    extras: Extras | None,
    shared: Sharers,
) -> None:
    """Let a freed server of a device whose jobs change pace take the first waiting job."""
    head = state.queue_head[device]
    if extras is not None and extras.features.prioritized[device]:
        state.idle[device] += 1
        let_choose(device, now, state, extras)
    elif head != NONE:
        slot = unsigned(head)
        state.queue_head[device] = state.following[slot]
        identity = state.identity[slot]
        join_shared(slot, identity, device, now, network, run, state, tally, shared)
    else:
        state.idle[device] += 1
