"""How a run begins: an empty network, and the first arrival of each chain ahead."""

from __future__ import annotations

from datagen.compiled import compiled
from datagen.simulator.accelerator_kernel import Accelerators
from datagen.simulator.door_kernel import begin_contention
from datagen.simulator.heap_kernel import push
from datagen.simulator.index_kernel import unsigned
from datagen.simulator.keys import ADMIT, PHASE_SHIFT
from datagen.simulator.network import Network
from datagen.simulator.sharing_kernel import Sharers, begin_sharing
from datagen.simulator.state_kernel import NONE, Draws, Extras, State, identity_of

__all__ = ["begin"]


@compiled
def begin(
    network: Network,
    draws: Draws,
    state: State,
    extras: Extras | None,
    batched: Accelerators | None,
    shared: Sharers | None,
) -> None:
    """Empty the network and let the first job of each chain be on its way.

    Whatever an earlier run left in the arrays is overwritten or never read, so runs of one network
    share them.

    Args:
        network: The network.
        draws: Drawn jobs, from the first one on.
        state: What changes; its heap is empty.
        extras: Arrays for the features of the network, or None where it has none.
        batched: Arrays for its accelerators, or None where it has none.
        shared: Arrays for its devices whose jobs change pace, or None where it has none.
    """
    state.next_job[:] = 0
    state.queue_head[:] = NONE
    state.queue_tail[:] = NONE
    for device in range(state.idle.size):
        state.idle[unsigned(device)] = network.servers[unsigned(device)]
    state.used[:] = 0.0
    slots = state.following.size
    for slot in range(slots):
        state.following[unsigned(slot)] = slot + 1
    state.following[unsigned(slots - 1)] = NONE
    state.free[0] = 0
    state.pending[0] = 0
    state.events[0] = 0
    if extras is not None:
        extras.waiting[:] = 0
        extras.choosing[:] = False
        begin_contention(extras.contenders)
    if batched is not None:
        batched.running[:] = False
        batched.alarmed[:] = False
        batched.tickets[0] = 0
        batched.line_size[:] = 0
        batched.line_head[:] = NONE
        batched.line_tail[:] = NONE
        batched.depth[:] = 0
    if shared is not None:
        begin_sharing(state, shared)
    for number in range(draws.base.size):
        chain = unsigned(number)
        time = draws.arrival[chain, unsigned(-draws.base[chain])]
        push(state.heap, time, (ADMIT << PHASE_SHIFT) | identity_of(number, 0), -1 - number)
