"""How the branches of a parallel job start: all at once, each admitted on its own."""

from __future__ import annotations

from datagen.compiled import inlined
from datagen.simulator.accelerator_kernel import Accelerators
from datagen.simulator.contention_kernel import Contenders
from datagen.simulator.device_kernel import enter
from datagen.simulator.event_log import ARRIVED, LOST
from datagen.simulator.index_kernel import signed, unsigned
from datagen.simulator.network import Network
from datagen.simulator.sharing_kernel import Sharers
from datagen.simulator.state_kernel import (
    NONE,
    Draws,
    Extras,
    Log,
    State,
    take_slot,
    write,
)
from datagen.simulator.tally import RunLength, Tally

__all__ = ["has_slots", "most_branches", "start_branches"]


@inlined
def most_branches(state: State, contenders: Contenders | None) -> int:
    """Return how many branches a job may have at most; 0 where there are none."""
    if contenders is not None:
        return state.service.shape[1]  # type: ignore[no-any-return]
    return 0


@inlined
def has_slots(chain: int, state: State, contenders: Contenders | None) -> bool:
    """Return whether there are slots for the next job of a chain."""
    if contenders is not None and contenders.parallel[chain]:
        slot = state.free[0]
        for _ in range(state.service.shape[1]):  # one for its record, one for each branch
            if slot == NONE:
                return False
            slot = state.following[unsigned(slot)]
        return slot != NONE  # type: ignore[no-any-return]
    return state.free[0] != NONE  # type: ignore[no-any-return]


@inlined
def start_branches(
    chain: int,
    identity: int,
    route: int,
    column: int,
    batch: int,
    now: float,
    network: Network,
    run: RunLength,
    draws: Draws,
    state: State,
    tally: Tally,
    log: Log,
    extras: Extras,
    batched: Accelerators | None,
    contenders: Contenders | None,
    shared: Sharers | None,
) -> bool:
    """Let all branches of a job arrive, if its chain is parallel; return whether it is."""
    if contenders is not None:
        if not contenders.parallel[chain]:
            return False
        first = unsigned(extras.features.route_first[route])
        branches = extras.features.route_steps[route]
        whole = identity + branches - 1  # as if at its last step
        end = signed(first) + branches - 1
        record, admitted = unsigned(0), 0
        for number in range(branches):
            place = unsigned(number)
            row = first + place
            device, demand = unsigned(network.step_device[row]), network.step_demand[row]
            outcome = LOST
            if state.used[device] + demand <= network.capacity[device]:
                if admitted == 0:
                    record = take_slot(whole, end, end, batch, now, state)
                    extras.route[record] = route
                admitted += 1
                slot = take_slot(identity + number, signed(row), signed(row), batch, now, state)
                state.service[slot, place] = draws.service[row, column]
                contenders.record[slot] = record
                outcome = enter(
                    slot,
                    identity + number,
                    device,
                    demand,
                    now,
                    network,
                    run,
                    state,
                    tally,
                    extras,
                    batched,
                    shared,
                )
            if batch >= 0:
                tally.step_offered[row] += 1
                if outcome == LOST:
                    tally.step_lost[row] += 1
            if log.time.size > 0:
                write(log, now, ARRIVED, identity + number, outcome)
        if admitted > 0:
            contenders.running[record] = admitted
            contenders.failed[record] = admitted < branches
        if batch >= 0:
            tally.offered[chain, unsigned(batch)] += 1
            if admitted < branches:
                tally.lost[chain, unsigned(batch)] += 1
        return True
    return False
