"""How jobs arrive at devices, from outside or from the step before: they enter, or are lost."""

from __future__ import annotations

from datagen.compiled import inlined
from datagen.simulator.accelerator_kernel import Accelerators
from datagen.simulator.branch_kernel import start_branches
from datagen.simulator.device_kernel import enter
from datagen.simulator.door_kernel import wait_outside
from datagen.simulator.event_log import ARRIVED, LOST
from datagen.simulator.heap_kernel import replace_top
from datagen.simulator.index_kernel import signed, unsigned
from datagen.simulator.leave_kernel import admit_key
from datagen.simulator.network import Network
from datagen.simulator.sharing_kernel import Sharers
from datagen.simulator.state_kernel import (
    Draws,
    Extras,
    Log,
    State,
    chain_of,
    identity_of,
    release,
    take_slot,
    write,
)
from datagen.simulator.tally import BATCHES, RunLength, Tally

__all__ = ["arrive_from_device", "arrive_from_outside", "batch_of"]


@inlined
def batch_of(arrival: float, run: RunLength) -> int:
    """Return the batch of a job by its arrival, as ``RunLength.batch_of`` does; -1 for none."""
    if not run.warmup < arrival <= run.horizon:
        return -1
    return min(int((arrival - run.warmup) * run.batches_per_second), BATCHES - 1)


@inlined
def arrive_from_outside(
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
    batch = batch_of(now, run)
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
def arrive_from_device(
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
