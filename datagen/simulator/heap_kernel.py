"""Binary heap of events on flat arrays, ordered by (time, key).

An event is a time, a key (:mod:`datagen.simulator.keys`) and the slot of its job. The most frequent
pattern of a queueing network, an event that is followed by another from the same source, is one
:func:`replace_top` instead of a pop and a push.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import inlined
from datagen.simulator.index_kernel import unsigned

__all__ = ["Heap", "pop", "push", "replace_top"]


class Heap(NamedTuple):
    """Pending events.

    Args:
        time: When [s] [capacity].
        key: Order among equal times [capacity].
        slot: Slot of the job; ``-1 - chain`` for the next external arrival of a chain, and
            ``-1 - chains - device`` for a device that chooses, with as many devices more for the
            end of a batch, and twice as many for an alarm, of an accelerator; raised by a constant
            of the loop for a job that is being sent [capacity].
        size: Number of pending events [1].
    """

    time: NDArray[np.float64]
    key: NDArray[np.int64]
    slot: NDArray[np.int64]
    size: NDArray[np.int64]


@inlined
def push(heap: Heap, time: float, key: int, slot: int) -> None:
    """Add an event."""
    times, keys, slots = heap.time, heap.key, heap.slot
    index = unsigned(heap.size[0])
    heap.size[0] += 1
    while index > 0:
        parent = (index - unsigned(1)) >> unsigned(1)
        above = times[parent]
        if above < time or (above == time and keys[parent] < key):
            break
        times[index] = above
        keys[index] = keys[parent]
        slots[index] = slots[parent]
        index = parent
    times[index] = time
    keys[index] = key
    slots[index] = slot


@inlined
def replace_top(heap: Heap, time: float, key: int, slot: int) -> None:
    """Put an event in the place of the earliest one."""
    times, keys, slots = heap.time, heap.key, heap.slot
    size = unsigned(heap.size[0])
    index = unsigned(0)
    child = unsigned(1)
    while child < size:
        # The smaller child, without a branch: which one it is cannot be predicted. An only child is
        # compared with itself.
        right = min(child + unsigned(1), size - unsigned(1))
        left_time, right_time = times[child], times[right]
        tie = (right_time == left_time) & (keys[right] < keys[child])
        child += unsigned((right_time < left_time) | tie)
        below = times[child]
        if time < below or (time == below and key < keys[child]):
            break
        times[index] = below
        keys[index] = keys[child]
        slots[index] = slots[child]
        index = child
        child = unsigned(2) * index + unsigned(1)
    times[index] = time
    keys[index] = key
    slots[index] = slot


@inlined
def pop(heap: Heap) -> None:
    """Remove the earliest event."""
    heap.size[0] -= 1
    last = unsigned(heap.size[0])
    if last > 0:
        replace_top(heap, heap.time[last], heap.key[last], heap.slot[last])
