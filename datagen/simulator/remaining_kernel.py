"""What jobs that are still present when a run ends have taken up."""

from __future__ import annotations

from datagen.compiled import compiled
from datagen.simulator.door_kernel import mark_waiting
from datagen.simulator.index_kernel import unsigned
from datagen.simulator.network import Network
from datagen.simulator.state_kernel import NONE, SENDING, Extras, State
from datagen.simulator.tally import RunLength, Tally

__all__ = ["count_remaining"]

_FREE, _PRESENT, _SENT = 0, 1, 2


@compiled
def count_remaining(
    network: Network, run: RunLength, state: State, tally: Tally, extras: Extras | None
) -> None:
    """Add the job-seconds of jobs still present: they count up to the end of the window.

    A job that is being sent is no longer present, but still has its units. The slots' batches are
    overwritten, since nothing is played afterwards.

    Args:
        network: The network.
        run: Its window.
        state: Where the run ended.
        tally: Sums, added to.
        extras: Arrays for the features of the network, or None where it has none.
    """
    kind = state.batch
    kind[:] = _PRESENT
    slot = state.free[0]
    while slot != NONE:
        kind[unsigned(slot)] = _FREE
        slot = state.following[unsigned(slot)]
    for event in range(state.heap.size[0]):
        slot = state.heap.slot[unsigned(event)]
        if slot >= SENDING:
            kind[unsigned(slot - SENDING)] = _SENT
    if extras is not None:
        mark_waiting(kind, _FREE, _PRESENT, _SENT, state, extras.contenders)
    for index in range(len(kind)):
        own = unsigned(index)
        if kind[own] != _FREE:
            row = unsigned(state.row[own])
            device = unsigned(network.step_device[row])
            entered = min(max(state.entered[own], run.warmup), run.horizon)
            seconds = run.horizon - entered
            if kind[own] == _PRESENT:
                tally.jobs[device] += seconds
            tally.units[device] += seconds * network.step_demand[row]
