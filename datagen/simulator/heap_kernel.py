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

__all__ = ["Heap", "pop", "push", "replace_top"]


class Heap(NamedTuple):
    """Pending events.

    Args:
        time: When [s] [capacity].
        key: Order among equal times [capacity].
        slot: Slot of the job; ``-1 - chain`` for the next external arrival of a chain, and
            ``-1 - chains - device`` for a device that chooses; raised by a constant of the loop for
            a job that is being sent [capacity].
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
    index = heap.size[0]
    heap.size[0] = index + 1
    while index > 0:
        parent = (index - 1) >> 1
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
    size = heap.size[0]
    index = 0
    child = 1
    while child < size:
        right = child + 1
        if right < size and (
            times[right] < times[child]
            or (times[right] == times[child] and keys[right] < keys[child])
        ):
            child = right
        below = times[child]
        if time < below or (time == below and key < keys[child]):
            break
        times[index] = below
        keys[index] = keys[child]
        slots[index] = slots[child]
        index = child
        child = 2 * index + 1
    times[index] = time
    keys[index] = key
    slots[index] = slot


@inlined
def pop(heap: Heap) -> None:
    """Remove the earliest event."""
    last = heap.size[0] - 1
    heap.size[0] = last
    if last > 0:
        replace_top(heap, heap.time[last], heap.key[last], heap.slot[last])
