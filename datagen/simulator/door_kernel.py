"""Doors: where jobs wait for room at their next device, in the order in which they came to wait."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import compiled, inlined
from datagen.simulator.contention_kernel import (
    NOTHING,
    PRESENCE,
    SERVER,
    UNITS,
    Contenders,
)
from datagen.simulator.heap_kernel import pop, push
from datagen.simulator.index_kernel import signed, unsigned
from datagen.simulator.keys import ENTER, PHASE_SHIFT
from datagen.simulator.network import Network
from datagen.simulator.state_kernel import NONE, Extras, State

__all__ = [
    "begin_contention",
    "hold_back",
    "keeps_waiting",
    "made_room",
    "mark_waiting",
    "source_device",
    "wait_outside",
]


@inlined
def begin_contention(contenders: Contenders | None) -> None:
    """Empty all doors."""
    if contenders is not None:
        contenders.door_head[:] = NONE
        contenders.door_tail[:] = NONE
        contenders.called[:] = False
        contenders.tickets[0] = 0
        contenders.held_servers[:] = 0
        contenders.held_units[:] = 0.0
        contenders.deadlock[0] = np.inf
        contenders.running[:] = 0


@inlined
def mark_waiting(
    kind: NDArray[np.int64],
    free: int,
    present: int,
    sent: int,
    state: State,
    contenders: Contenders | None,
) -> None:
    """Say of those at doors, and of records of branches, whether they have a place anywhere.

    Args:
        kind: What is said of each slot [N].
        free: Word for those that have none.
        present: Word for those that are present at the device of their step.
        sent: Word for those that have nothing but units there.
        state: What changes.
        contenders: The doors, or None.
    """
    if contenders is not None:
        for number in range(kind.size):
            if contenders.running[unsigned(number)] > 0:
                kind[unsigned(number)] = free
        for number in range(contenders.door_head.size):
            slot = contenders.door_head[unsigned(number)]
            while slot != NONE:
                own = unsigned(slot)
                keeps = contenders.keeps[own]
                kind[own] = free if keeps == NOTHING else present if keeps & PRESENCE else sent
                slot = state.following[own]


@inlined
def source_device(slot: int, network: Network, state: State) -> int:
    """Return the device that a job at a door comes from, as an index; it keeps something there."""
    return unsigned(network.step_device[unsigned(state.row[slot])])


@inlined
def door_demand(slot: int, network: Network, state: State, contenders: Contenders) -> float:
    """Return the units that a job at a door waits for."""
    row = unsigned(state.row[slot])
    if contenders.keeps[slot] != NOTHING:  # otherwise it has set off already
        row += unsigned(1)
    return network.step_demand[row]  # type: ignore[no-any-return]


@inlined
def made_room(
    device: int, now: float, network: Network, state: State, contenders: Contenders | None
) -> None:
    """Call the first at a door in, if there is room for it now."""
    if contenders is not None:
        head = contenders.door_head[device]
        if head != NONE and not contenders.called[device]:
            slot = unsigned(head)
            demand = door_demand(slot, network, state, contenders)
            if state.used[device] + demand <= network.capacity[device]:
                contenders.called[device] = True
                push(state.heap, now, (ENTER << PHASE_SHIFT) | contenders.ticket[slot], head)


@inlined
def _join_door(
    slot: int,
    target: int,
    keeps: int,
    now: float,
    network: Network,
    state: State,
    contenders: Contenders,
) -> None:
    """Let a job wait at a door, from where it is called in this very instant if there is room."""
    contenders.keeps[slot] = keeps
    contenders.ticket[slot] = contenders.tickets[0]
    contenders.tickets[0] += 1
    state.following[slot] = NONE
    if contenders.door_head[target] == NONE:
        contenders.door_head[target] = slot
    else:
        state.following[unsigned(contenders.door_tail[target])] = slot
    contenders.door_tail[target] = slot
    if door_demand(slot, network, state, contenders) > network.capacity[target]:
        contenders.deadlock[0] = now  # it waits for room that there never is
        return
    made_room(target, now, network, state, contenders)
    if keeps == NOTHING:
        return
    source = source_device(slot, network, state)
    if keeps & SERVER:
        contenders.held_servers[source] += 1
    contenders.held_units[source] += network.step_demand[unsigned(state.row[slot])]
    # Only one whose own device is waited for can close a circle.
    if contenders.door_head[source] != NONE and is_deadlocked(network, state, contenders):
        contenders.deadlock[0] = now


@compiled
def is_deadlocked(network: Network, state: State, contenders: Contenders) -> bool:
    """Return whether some jobs at doors can never enter, whatever else happens.

    All of them are taken for stuck at first. One is let go where there would be room once all that
    are not stuck had left; what it keeps is free then, which may let others go. A device whose
    servers all are kept by stuck jobs serves nobody, so that all units in use there are stuck,
    those of whoever is let in included.

    Args:
        network: The network.
        state: What changes.
        contenders: The doors.

    Returns:
        Whether some job is left over.
    """
    devices = state.idle.size
    for number in range(devices):
        device = unsigned(number)
        contenders.stuck_servers[device] = contenders.held_servers[device]
        contenders.stuck_units[device] = contenders.held_units[device]
        contenders.in_use[device] = state.used[device]
        contenders.cursor[device] = contenders.door_head[device]
    goes_on = True
    while goes_on:
        goes_on = False
        for number in range(devices):
            device = unsigned(number)
            while contenders.cursor[device] != NONE:
                slot = unsigned(contenders.cursor[device])
                taken = contenders.stuck_units[device]
                if contenders.stuck_servers[device] == network.servers[device]:
                    taken = contenders.in_use[device]
                demand = door_demand(slot, network, state, contenders)
                if taken + demand > network.capacity[device]:
                    break
                contenders.in_use[device] += demand
                if contenders.keeps[slot] != NOTHING:
                    source = source_device(slot, network, state)
                    row = unsigned(state.row[slot])
                    contenders.stuck_units[source] -= network.step_demand[row]
                    if contenders.keeps[slot] & SERVER:
                        contenders.stuck_servers[source] -= 1
                contenders.cursor[device] = state.following[slot]
                goes_on = True
    left = False
    for number in range(devices):
        left |= contenders.cursor[unsigned(number)] != NONE
    return left


@inlined
def hold_back(
    slot: int,
    keeps: int,
    now: float,
    network: Network,
    state: State,
    extras: Extras,
    contenders: Contenders | None,
) -> bool:
    """Let a served job wait where it is for room at another device; return whether it does."""
    if contenders is not None:
        row = unsigned(state.row[slot])
        if not contenders.blocks[0] or state.row[slot] == state.last_row[slot]:
            return False
        target = unsigned(network.step_device[row + unsigned(1)])
        sent = extras.features.step_delay[row] > 0.0
        if sent or signed(target) == network.step_device[row]:
            return False
        _join_door(slot, target, keeps | UNITS | PRESENCE, now, network, state, contenders)
        return True
    return False


@inlined
def wait_outside(
    slot: int,
    target: int,
    now: float,
    network: Network,
    state: State,
    contenders: Contenders | None,
) -> bool:
    """Let a job that has come with nothing kept wait at the door, if need be; return whether."""
    if contenders is not None:
        if not contenders.blocks[0]:
            return False
        demand = network.step_demand[unsigned(state.row[slot])]
        fits = state.used[target] + demand <= network.capacity[target]
        if fits and contenders.door_head[target] == NONE:
            return False
        _join_door(slot, target, NOTHING, now, network, state, contenders)
        return True
    return False


@inlined
def keeps_waiting(
    slot: int, now: float, network: Network, state: State, contenders: Contenders | None
) -> bool:
    """Let a job that has been sent keep its units until it enters; return whether it has to."""
    if contenders is not None:
        if not contenders.blocks[0]:
            return False
        pop(state.heap)
        target = unsigned(network.step_device[unsigned(state.row[slot]) + unsigned(1)])
        _join_door(slot, target, UNITS, now, network, state, contenders)
        return True
    return False
