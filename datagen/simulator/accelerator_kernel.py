"""The arrays that the event loop works on at accelerators: lines, stacks of batches, what they did.

Samples wait, and run together, in chains of slots: each slot names the one behind it, as in the
waiting lines of other devices. A stack holds the batches that were begun and not finished, the one
in hand on top.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import inlined
from datagen.simulator.batching import NO_ACCELERATOR, Batching
from datagen.simulator.index_kernel import unsigned
from datagen.simulator.network import Network
from datagen.simulator.state_kernel import NONE, State, chain_of

__all__ = ["Accelerators", "deadline_of", "is_accelerator", "merge_top", "push_batch", "take_first"]

Ints = NDArray[np.int64]


class Accelerators(NamedTuple):
    """What changes at accelerators.

    Args:
        batching: How they form batches.
        running: Whether a batch is running [D].
        in_hand: Whether the top of the stack has just finished a segment [D].
        alarmed: Whether an alarm is ahead [D].
        tickets: Samples that have come to any accelerator so far [1].
        ticket: Which of these is in a slot [N].
        line_size: Waiting samples of each line [L].
        line_head: Slot of the first, or NONE [L].
        line_tail: Slot of the last, or NONE [L].
        depth: Batches on the stack [D].
        head: Slot of the first sample of each batch on the stack [D, depth].
        tail: Slot of the last one [D, depth].
        size: Its samples [D, depth].
        width: The size that it pays for [D, depth].
        segment: The segment of its line that it runs, or is about to [D, depth].
        line: Its line [D, depth].
        batches: Batches begun in the window by segment and size less one [G, B].
        preemptions: Batches suspended in the window [D].
    """

    batching: Batching
    running: NDArray[np.bool_]
    in_hand: NDArray[np.bool_]
    alarmed: NDArray[np.bool_]
    tickets: Ints
    ticket: Ints
    line_size: Ints
    line_head: Ints
    line_tail: Ints
    depth: Ints
    head: Ints
    tail: Ints
    size: Ints
    width: Ints
    segment: Ints
    line: Ints
    batches: Ints
    preemptions: Ints


@inlined
def is_accelerator(device: int, accelerators: Accelerators) -> bool:
    """Return whether a device forms batches."""
    return accelerators.batching.policy[device] != NO_ACCELERATOR  # type: ignore[no-any-return]


@inlined
def deadline_of(slot: int, network: Network, state: State) -> float:
    """Return when a sample should have left the system; inf if it has no deadline."""
    latest = state.arrival[slot] + network.deadline[chain_of(state.identity[slot])]
    return np.inf if np.isnan(latest) else latest


@inlined
def take_first(line: int, count: int, state: State, accelerators: Accelerators) -> tuple[int, int]:
    """Take samples from the head of a line; return the first and the last of them."""
    head = accelerators.line_head[line]
    last = head
    for _ in range(count - 1):
        last = state.following[unsigned(last)]
    rest = state.following[unsigned(last)]
    accelerators.line_head[line] = rest
    if rest == NONE:
        accelerators.line_tail[line] = NONE
    accelerators.line_size[line] -= count
    state.following[unsigned(last)] = NONE
    return head, last


@inlined
def push_batch(
    device: int, line: int, count: int, state: State, accelerators: Accelerators
) -> None:
    """Let samples of a line be a batch about to run the first segment."""
    head, last = take_first(line, count, state, accelerators)
    top = unsigned(accelerators.depth[device])
    accelerators.depth[device] += 1
    accelerators.head[device, top] = head
    accelerators.tail[device, top] = last
    accelerators.size[device, top] = count
    accelerators.width[device, top] = count
    accelerators.segment[device, top] = 0
    accelerators.line[device, top] = line


@inlined
def merge_top(device: int, state: State, accelerators: Accelerators) -> bool:
    """Join the batch in hand to the one below if they have come as far; return whether."""
    if accelerators.depth[device] < 2:
        return False
    top = unsigned(accelerators.depth[device] - 1)
    below = top - unsigned(1)
    if accelerators.line[device, top] != accelerators.line[device, below]:
        return False
    if accelerators.segment[device, top] != accelerators.segment[device, below]:
        return False
    state.following[unsigned(accelerators.tail[device, below])] = accelerators.head[device, top]
    accelerators.tail[device, below] = accelerators.tail[device, top]
    accelerators.size[device, below] += accelerators.size[device, top]
    accelerators.width[device, below] = accelerators.size[device, below]
    accelerators.depth[device] -= 1
    return True
