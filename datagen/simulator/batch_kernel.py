"""What happens at an accelerator: samples come, batches start, run a segment, and shrink."""

from __future__ import annotations

from datagen.compiled import inlined
from datagen.npu.batching import DEADLINE_FIRST
from datagen.simulator.accelerator_kernel import (
    Accelerators,
    deadline_of,
    merge_top,
    push_batch,
)
from datagen.simulator.contention_kernel import NOTHING
from datagen.simulator.door_kernel import hold_back, made_room
from datagen.simulator.event_log import CHOSEN, FINISHED, LEFT, MOVED, STARTED
from datagen.simulator.heap_kernel import pop, push
from datagen.simulator.index_kernel import signed, unsigned
from datagen.simulator.keys import CHOOSE, PHASE_SHIFT, TIMER
from datagen.simulator.leave_kernel import complete, count_visit, move_on, start_transmission
from datagen.simulator.network import Network
from datagen.simulator.policy_kernel import alarm_time, newcomers, ready_line
from datagen.simulator.state_kernel import (
    NONE,
    Extras,
    Log,
    State,
    clip,
    finish_key,
    write,
)
from datagen.simulator.tally import RunLength, Tally

__all__ = ["await_batch", "choose_batch", "end_segment", "look_again"]


@inlined
def _event_of(kind: int, device: int, state: State) -> int:
    """Return the heap slot of an event of an accelerator: 0 a choice, 1 an end, 2 an alarm."""
    return -1 - state.next_job.size - kind * state.idle.size - signed(device)


@inlined
def _let_choose(
    device: int, now: float, state: State, extras: Extras, batched: Accelerators
) -> None:
    """Let an accelerator that is not running look at what there is at the end of this instant."""
    if batched.running[device] or extras.choosing[device]:
        return
    if batched.depth[device] > 0 or extras.waiting[device] > 0:
        extras.choosing[device] = True
        key = (CHOOSE << PHASE_SHIFT) | signed(device)
        push(state.heap, now, key, _event_of(0, device, state))


@inlined
def await_batch(
    slot: int,
    device: int,
    now: float,
    network: Network,
    state: State,
    extras: Extras,
    batched: Accelerators,
) -> None:
    """Let an admitted sample wait in its line."""
    line = unsigned(batched.batching.step_line[unsigned(state.row[slot])])
    batched.ticket[slot] = batched.tickets[0]
    batched.tickets[0] += 1
    batched.line_size[line] += 1
    extras.waiting[device] += 1
    before, behind = batched.line_tail[line], NONE
    if batched.batching.policy[device] == DEADLINE_FIRST:
        deadline = deadline_of(slot, network, state)
        before, behind = NONE, batched.line_head[line]
        while behind != NONE and deadline_of(unsigned(behind), network, state) <= deadline:
            before, behind = behind, state.following[unsigned(behind)]
    state.following[slot] = behind
    if before == NONE:
        batched.line_head[line] = slot
    else:
        state.following[unsigned(before)] = slot
    if behind == NONE:
        batched.line_tail[line] = slot
    _let_choose(device, now, state, extras, batched)


@inlined
def look_again(
    device: int, now: float, state: State, extras: Extras, batched: Accelerators
) -> None:
    """Play an alarm."""
    pop(state.heap)
    batched.alarmed[device] = False
    _let_choose(device, now, state, extras, batched)


@inlined
def choose_batch(
    device: int,
    now: float,
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    log: Log,
    extras: Extras,
    batched: Accelerators,
) -> None:
    """Let an accelerator go on with a batch, begin one, or wait."""
    pop(state.heap)
    extras.choosing[device] = False
    if batched.depth[device] > 0:
        fresh = not merge_top(device, state, batched) and batched.in_hand[device]
        count = newcomers(device, now, network, state, batched) if fresh else 0
        if count > 0:
            top = unsigned(batched.depth[device] - 1)
            push_batch(device, unsigned(batched.line[device, top]), count, state, batched)
            extras.waiting[device] -= count
            if run.warmup < now <= run.horizon:
                batched.preemptions[device] += 1
        _start(device, now, run, state, tally, log, batched)
        return
    line = ready_line(device, now, network, state, batched)
    if line != NONE:
        count = min(batched.line_size[unsigned(line)], batched.batching.max_batch[device])
        push_batch(device, unsigned(line), count, state, batched)
        extras.waiting[device] -= count
        _start(device, now, run, state, tally, log, batched)
        return
    alarm = alarm_time(device, state, batched)
    if alarm <= run.limit and not batched.alarmed[device]:
        batched.alarmed[device] = True
        push(
            state.heap, alarm, (TIMER << PHASE_SHIFT) | signed(device), _event_of(2, device, state)
        )


@inlined
def _start(
    device: int,
    now: float,
    run: RunLength,
    state: State,
    tally: Tally,
    log: Log,
    batched: Accelerators,
) -> None:
    """Let the batch on top of the stack run its segment."""
    batching = batched.batching
    top = unsigned(batched.depth[device] - 1)
    size = batched.size[device, top]
    if batching.compacts[device]:
        batched.width[device, top] = size
    line = unsigned(batched.line[device, top])
    row = unsigned(batching.line_start[line] + batched.segment[device, top])
    end = now + batching.seconds[row, unsigned(batched.width[device, top] - 1)]
    tally.busy[device] += clip(end, run) - clip(now, run)
    batched.running[device] = True
    if run.warmup < now <= run.horizon:
        batched.batches[row, unsigned(size - 1)] += 1
    slot = batched.head[device, top]
    key = finish_key(state.identity[unsigned(slot)])
    push(state.heap, end, key, _event_of(1, device, state))
    if log.time.size > 0:
        while slot != NONE:
            write(log, now, CHOSEN, state.identity[unsigned(slot)], STARTED)
            slot = state.following[unsigned(slot)]


@inlined
def end_segment(
    device: int,
    now: float,
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    log: Log,
    extras: Extras,
    batched: Accelerators,
) -> None:
    """Play the end of a segment: some samples leave, the others are the batch in hand."""
    pop(state.heap)
    batched.running[device] = False
    top = unsigned(batched.depth[device] - 1)
    slot = batched.head[device, top]
    first, last_kept, kept = NONE, NONE, 0
    while slot != NONE:
        own = unsigned(slot)
        behind = state.following[own]
        if _finish_sample(own, device, now, network, run, state, tally, log, extras, batched):
            state.following[own] = NONE
            if first == NONE:
                first = slot
            else:
                state.following[unsigned(last_kept)] = slot
            last_kept = slot
            kept += 1
        slot = behind
    batched.head[device, top] = first
    batched.tail[device, top] = last_kept
    batched.size[device, top] = kept
    batched.segment[device, top] += 1
    batched.in_hand[device] = kept > 0
    if kept == 0:
        batched.depth[device] -= 1
    _let_choose(device, now, state, extras, batched)


@inlined
def _finish_sample(
    slot: int,
    device: int,
    now: float,
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    log: Log,
    extras: Extras,
    batched: Accelerators,
) -> bool:
    """Let a sample leave the accelerator, or return that it stays for the next segment."""
    identity = state.identity[slot]
    row = unsigned(state.row[slot])
    demand = network.step_demand[row]
    state.events[0] += 1
    if not batched.batching.step_stays[row] and hold_back(
        slot, NOTHING, now, network, state, extras, extras.contenders
    ):
        if log.time.size > 0:
            write(log, now, FINISHED, identity, MOVED)
        return False
    count_visit(slot, identity, device, demand, now, run, state, tally)
    last = state.row[slot] == state.last_row[slot]
    if log.time.size > 0:
        write(log, now, FINISHED, identity, LEFT if last else MOVED)
    if last:
        state.used[device] -= demand
        made_room(device, now, network, state, extras.contenders)
        complete(slot, identity, now, network, state, tally, extras)
        return False
    if batched.batching.step_stays[row]:
        move_on(slot, identity, now, state)
        if state.batch[slot] >= 0:
            tally.step_offered[row + unsigned(1)] += 1
        return True
    delay = extras.features.step_delay[row]
    if extras.features.step_held[row]:
        start_transmission(slot, identity, now, delay, state)
        return False
    state.used[device] -= demand
    made_room(device, now, network, state, extras.contenders)
    push(state.heap, now + delay, move_on(slot, identity, now + delay, state), signed(slot))
    return False
