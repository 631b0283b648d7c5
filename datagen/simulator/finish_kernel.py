"""What happens at the end of a service or a transmission: room is made, and the job goes on."""

from __future__ import annotations

from datagen.compiled import inlined
from datagen.simulator.accelerator_kernel import Accelerators
from datagen.simulator.arrival_kernel import arrive_from_device
from datagen.simulator.contention_kernel import NOTHING, SERVER
from datagen.simulator.device_kernel import next_in_line
from datagen.simulator.door_kernel import hold_back, keeps_waiting, made_room
from datagen.simulator.event_log import FINISHED, LEFT, MOVED, SENT
from datagen.simulator.heap_kernel import pop, push, replace_top
from datagen.simulator.index_kernel import signed, unsigned
from datagen.simulator.keys import PHASE_SHIFT
from datagen.simulator.leave_kernel import complete, count_visit, move_on, start_transmission
from datagen.simulator.network import Network
from datagen.simulator.sharing_kernel import Sharers, due_before, end_first, shares
from datagen.simulator.state_kernel import Extras, Log, State, clip, write
from datagen.simulator.tally import RunLength, Tally

__all__ = ["end_service", "end_transmission"]

_IDENTITY = (1 << PHASE_SHIFT) - 1
"""The bits of a key below its phase."""


@inlined
def end_transmission(
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
def end_service(
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
    count_visit(slot, identity, device, demand, now, run, state, tally)
    if log.time.size > 0:
        write(log, now, FINISHED, identity, LEFT if last else MOVED)
    if last:
        complete(slot, identity, now, network, state, tally, extras)
        return
    if held:
        start_transmission(slot, identity, now, delay, state)
        return
    delivery = now + delay
    key = move_on(slot, identity, delivery, state)
    if delay == 0.0 and _comes_next(now, key, state, shared):
        # It would be the very next event: play it without the detour through the heap.
        arrive_from_device(slot, now, network, run, state, tally, log, extras, batched, shared)
    else:
        push(heap, delivery, key, signed(slot))


@inlined
def _comes_next(now: float, key: int, state: State, shared: Sharers | None) -> bool:
    """Return whether an event of this moment would be played before any other."""
    if shared is not None and due_before(now, key, state, shared):
        return False
    first = state.heap.time[0]
    return now < first or (now == first and key < state.heap.key[0])  # type: ignore[no-any-return]
