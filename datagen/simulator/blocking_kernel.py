"""How a job that waited at a door enters, and gives back what it kept meanwhile."""

from __future__ import annotations

import numpy as np

from datagen.compiled import inlined
from datagen.simulator.accelerator_kernel import Accelerators
from datagen.simulator.contention_kernel import (
    NOTHING,
    PRESENCE,
    SERVER,
    Contenders,
)
from datagen.simulator.device_kernel import enter, next_in_line
from datagen.simulator.door_kernel import made_room, source_device
from datagen.simulator.event_log import ARRIVED
from datagen.simulator.heap_kernel import pop
from datagen.simulator.index_kernel import unsigned
from datagen.simulator.leave_kernel import count_visit, move_on
from datagen.simulator.network import Network
from datagen.simulator.sharing_kernel import Sharers, shares
from datagen.simulator.state_kernel import Extras, Log, State, clip, write
from datagen.simulator.tally import RunLength, Tally

__all__ = ["is_stuck", "let_in"]


@inlined
def is_stuck(contenders: Contenders | None) -> bool:
    """Return whether a deadlock has come about."""
    if contenders is not None:
        return contenders.deadlock[0] < np.inf  # type: ignore[no-any-return]
    return False


@inlined
def let_in(
    slot: int,
    now: float,
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    log: Log,
    extras: Extras,
    batched: Accelerators | None,
    contenders: Contenders | None,
    shared: Sharers | None,
) -> None:
    """Play the entry of the first at a door."""
    if contenders is not None:
        keeps = contenders.keeps[slot]
        source = source_device(slot, network, state)
        if keeps & SERVER:
            contenders.held_servers[source] -= 1
            if shared is not None and shares(source, shared):
                pop(state.heap)
            next_in_line(source, now, network, run, state, tally, extras, shared)
        else:
            pop(state.heap)
        if keeps != NOTHING:
            _give_back(slot, source, keeps, now, network, run, state, tally, contenders)
            move_on(slot, state.identity[slot], now, state)
            made_room(source, now, network, state, contenders)
        row = unsigned(state.row[slot])
        device, demand = unsigned(network.step_device[row]), network.step_demand[row]
        contenders.door_head[device] = state.following[slot]
        contenders.called[device] = False
        if state.batch[slot] >= 0:
            tally.step_offered[row] += 1
        identity = state.identity[slot]
        outcome = enter(
            slot, identity, device, demand, now, network, run, state, tally, extras, batched, shared
        )
        made_room(device, now, network, state, contenders)
        if log.time.size > 0:
            write(log, now, ARRIVED, identity, outcome)


@inlined
def _give_back(
    slot: int,
    source: int,
    keeps: int,
    now: float,
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    contenders: Contenders,
) -> None:
    """Let a job leave the device where it waited."""
    demand = network.step_demand[unsigned(state.row[slot])]
    contenders.held_units[source] -= demand
    state.used[source] -= demand
    if keeps & PRESENCE:
        count_visit(slot, state.identity[slot], source, demand, now, run, state, tally)
    else:  # it has been sent, and only its units were still here
        tally.units[source] += (clip(now, run) - clip(state.entered[slot], run)) * demand
