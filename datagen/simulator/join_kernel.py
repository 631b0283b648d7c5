"""Where the branches of a parallel job meet again: the last one to end completes the job."""

from __future__ import annotations

from datagen.compiled import inlined
from datagen.simulator.contention_kernel import Contenders
from datagen.simulator.index_kernel import signed, unsigned
from datagen.simulator.state_kernel import NONE, State, chain_of, release, step_of

__all__ = ["joined"]


@inlined
def joined(slot: int, state: State, contenders: Contenders | None) -> int:
    """Let a job end its last step; return the slot of what is completed by that, or NONE.

    The last branch of a job completes its record, unless one has been lost; other jobs complete
    themselves.
    """
    if contenders is not None:
        if not contenders.parallel[chain_of(state.identity[slot])]:
            return signed(slot)
        record = unsigned(contenders.record[slot])
        position = step_of(state.identity[slot])
        state.sojourn[record, position] = state.sojourn[slot, position]
        release(slot, state)
        contenders.running[record] -= 1
        if contenders.running[record] > 0:
            return NONE
        if contenders.failed[record]:
            release(record, state)
            return NONE
        return signed(record)
    return signed(slot)
