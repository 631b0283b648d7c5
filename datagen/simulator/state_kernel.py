"""The arrays that the event loop works on: drawn jobs, the state of the network, the event log.

Jobs in the system live in *slots*; a slot belongs to one job from its admission at the first device
until it completes or is lost. Its *identity* is one integer, (chain, job, step): an event key
without its phase.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import inlined
from datagen.simulator.contention_kernel import Contenders
from datagen.simulator.heap_kernel import Heap
from datagen.simulator.index_kernel import unsigned
from datagen.simulator.keys import CHAIN_SHIFT, FINISH, JOB_SHIFT, MAX_JOBS, MAX_STEPS, PHASE_SHIFT
from datagen.simulator.network import Features
from datagen.simulator.tally import RunLength

__all__ = [
    "NONE",
    "SENDING",
    "Draws",
    "Extras",
    "Log",
    "State",
    "chain_of",
    "clip",
    "finish_key",
    "identity_of",
    "release",
    "step_of",
    "take_slot",
    "write",
]

NONE = -1
"""No slot: the end of a waiting line or of the list of free slots."""

SENDING = 1 << 40
"""Added to the slot of a heap event that ends a transmission instead of a service."""


class Draws(NamedTuple):
    """Drawn jobs that have not all arrived yet; job ``base[c] + i`` of chain c is in column i.

    Args:
        arrival: Arrival times [s] [C, N].
        service: Service times [s] [S, N]; [S, 1] where no chain's jobs differ.
        base: Job in column 0 [C].
        column_mask: All bits where the jobs of a chain differ; none where all are served alike: as
            column 0 says [C].
    """

    arrival: NDArray[np.float64]
    service: NDArray[np.float64]
    base: NDArray[np.int64]
    column_mask: NDArray[np.int64]


class Log(NamedTuple):
    """Event log; empty arrays switch it off.

    Args:
        time: When [s] [N].
        record: Kind, chain, job, step, outcome [N, 5].
        size: Number of records [1].
    """

    time: NDArray[np.float64]
    record: NDArray[np.int64]
    size: NDArray[np.int64]


class State(NamedTuple):
    """Everything that changes while a network is played.

    Args:
        heap: Pending events.
        next_job: Next job of each chain to arrive [C].
        queue_head: Slot of the first waiting job, or NONE; the lines of all devices for the first
            class, then those for the next; without priorities, all wait in the first [classes * D].
        queue_tail: Slot of the last waiting job, or NONE [classes * D].
        idle: Servers that are free [D].
        used: Buffer units in use [D].
        identity: Chain, job and current step of the job in each slot [N].
        row: Its current step among the steps of the network [N].
        last_row: The last step of its route among those [N].
        batch: Its batch, -1 outside of the cohort [N].
        arrival: When it arrived [s] [N].
        entered: When it came to its current device [s] [N].
        following: Slot behind it in the waiting line, or the next free slot [N].
        service: Its service times [s] [N, longest route].
        sojourn: Its times at the steps passed so far [s] [N, longest route].
        free: First free slot [1].
        pending: Cohort jobs that are in the system [1].
        events: External arrivals and finished services so far [1].
    """

    heap: Heap
    next_job: NDArray[np.int64]
    queue_head: NDArray[np.int64]
    queue_tail: NDArray[np.int64]
    idle: NDArray[np.int64]
    used: NDArray[np.float64]
    identity: NDArray[np.int64]
    row: NDArray[np.int64]
    last_row: NDArray[np.int64]
    batch: NDArray[np.int64]
    arrival: NDArray[np.float64]
    entered: NDArray[np.float64]
    following: NDArray[np.int64]
    service: NDArray[np.float64]
    sojourn: NDArray[np.float64]
    free: NDArray[np.int64]
    pending: NDArray[np.int64]
    events: NDArray[np.int64]


class Extras(NamedTuple):
    """Arrays for the features of a network.

    Where a network has none, the loop gets None instead, and numba leaves out every branch behind
    ``if extras is not None`` when it compiles: plain networks pay nothing for what they lack.

    Args:
        features: What is given.
        drawn_route: Route of each drawn job, counted from its chain's first [C, columns].
        route: Route of the job in each slot [N].
        completed: Completed cohort jobs by route [R].
        waiting: Jobs in line at devices with priorities and at accelerators [D].
        choosing: Whether such a device is about to choose [D].
        contenders: Doors and branches, or None where the network has none.
    """

    features: Features
    drawn_route: NDArray[np.int64]
    route: NDArray[np.int64]
    completed: NDArray[np.int64]
    waiting: NDArray[np.int64]
    choosing: NDArray[np.bool_]
    contenders: Contenders | None


@inlined
def clip(time: float, run: RunLength) -> float:
    """Return the time of the window that is nearest [s]."""
    return min(max(time, run.warmup), run.horizon)


@inlined
def identity_of(chain: int, job: int) -> int:
    """Return the identity of a job at its first step."""
    return (chain << CHAIN_SHIFT) | (job << JOB_SHIFT)


@inlined
def chain_of(identity: int) -> int:
    """Return the chain of a job, as an index."""
    return unsigned(identity >> CHAIN_SHIFT)


@inlined
def step_of(identity: int) -> int:
    """Return the current step of a job on its path, as an index."""
    return unsigned(identity & (MAX_STEPS - 1))


@inlined
def finish_key(identity: int) -> int:
    """Return the heap key of the end of a service."""
    return (FINISH << PHASE_SHIFT) | identity


@inlined
def take_slot(
    identity: int, first_row: int, last_row: int, batch: int, now: float, state: State
) -> int:
    """Give a job that enters the system a slot; the caller has made sure that one is free."""
    slot = unsigned(state.free[0])
    state.free[0] = state.following[slot]
    state.identity[slot] = identity
    state.row[slot] = first_row
    state.last_row[slot] = last_row
    state.batch[slot] = batch
    state.arrival[slot] = now
    if batch >= 0:
        state.pending[0] += 1
    return slot


@inlined
def release(slot: int, state: State) -> None:
    """Give a slot back once its job has left the system."""
    state.following[slot] = state.free[0]
    state.free[0] = slot
    if state.batch[slot] >= 0:
        state.pending[0] -= 1


@inlined
def write(log: Log, time: float, kind: int, identity: int, outcome: int) -> None:
    """Write an event into the log; the caller has made sure of room."""
    index = unsigned(log.size[0])
    log.time[index] = time
    record = log.record[index]
    record[0] = kind
    record[1] = identity >> CHAIN_SHIFT
    record[2] = (identity >> JOB_SHIFT) & (MAX_JOBS - 1)
    record[3] = identity & (MAX_STEPS - 1)
    record[4] = outcome
    log.size[0] += 1
