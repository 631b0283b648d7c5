"""What becomes of a job after a service: its visit counts, it completes, or is on its way on."""

from __future__ import annotations

from typing import Any

import numpy as np

from datagen.compiled import inlined
from datagen.simulator.heap_kernel import push
from datagen.simulator.index_kernel import signed, unsigned
from datagen.simulator.join_kernel import joined
from datagen.simulator.keys import ADMIT, PHASE_SHIFT
from datagen.simulator.network import Network
from datagen.simulator.state_kernel import (
    NONE,
    SENDING,
    Extras,
    State,
    chain_of,
    clip,
    finish_key,
    release,
    step_of,
)
from datagen.simulator.tally import BIN_SHIFT, FIRST_BIN, HISTOGRAM_BINS, RunLength, Tally

__all__ = [
    "admit_key",
    "complete",
    "count_visit",
    "latency_bin",
    "move_on",
    "start_transmission",
]


@inlined
def admit_key(identity: int) -> int:
    """Return the heap key of an arrival at a device."""
    return (ADMIT << PHASE_SHIFT) | identity


@inlined
def latency_bin(latency: float) -> int:
    """Return the bin of a latency, as :func:`datagen.simulator.tally.latency_bin` does."""
    index: Any = (np.float64(latency).view(np.int64) >> BIN_SHIFT) - FIRST_BIN
    return min(max(index, 0), HISTOGRAM_BINS - 1)  # type: ignore[no-any-return]


@inlined
def count_visit(
    slot: int,
    identity: int,
    device: int,
    demand: float,
    now: float,
    run: RunLength,
    state: State,
    tally: Tally,
) -> None:
    """Count a job's stay at a device, which ends with its service."""
    row = unsigned(state.row[slot])
    present = clip(now, run) - clip(state.entered[slot], run)
    tally.jobs[device] += present
    tally.units[device] += present * demand
    sojourn = now - state.entered[slot]
    state.sojourn[slot, step_of(identity)] = sojourn
    if state.batch[slot] >= 0:
        tally.step_served[row] += 1
        tally.step_sojourn[row] += sojourn


@inlined
def complete(
    slot: int,
    identity: int,
    now: float,
    network: Network,
    state: State,
    tally: Tally,
    extras: Extras | None,
) -> None:
    """Count a job that has passed its last step, or the last of its branches."""
    if extras is not None:
        whole = joined(slot, state, extras.contenders)
        if whole == NONE:
            return
        slot = unsigned(whole)
        identity = state.identity[slot]
    if state.batch[slot] >= 0:
        chain, batch = chain_of(identity), unsigned(state.batch[slot])
        latency = now - state.arrival[slot]
        tally.completed[chain, batch] += 1
        tally.latency[chain, batch] += latency
        tally.histogram[chain, unsigned(latency_bin(latency))] += 1
        if latency <= network.deadline[chain]:
            tally.on_time[chain] += 1
        if extras is not None:
            extras.completed[unsigned(extras.route[slot])] += 1
        position = step_of(identity)
        first = unsigned(state.row[slot]) - position
        for k in range(position + unsigned(1)):
            tally.step_sojourn_completed[first + k] += state.sojourn[slot, k]
    release(slot, state)


@inlined
def move_on(slot: int, identity: int, time: float, state: State) -> int:
    """Let a job be on its way to its next step; return the key of its arrival there."""
    state.identity[slot] = identity + 1
    state.row[slot] += 1
    state.entered[slot] = time  # in case the run ends before: it is nowhere until then
    return admit_key(identity + 1)


@inlined
def start_transmission(slot: int, identity: int, now: float, delay: float, state: State) -> None:
    """Let a served job be sent; until then it keeps its units where it is."""
    state.entered[slot] = now
    push(state.heap, now + delay, finish_key(identity), signed(slot) + SENDING)
