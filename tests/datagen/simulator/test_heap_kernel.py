"""The compiled heap against Python's."""

from __future__ import annotations

import heapq

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from datagen.simulator.heap_kernel import Heap, pop, push, replace_top

OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["push", "push", "pop", "replace"]), st.integers(0, 6)), max_size=120
)
"""What to do, and the time of the event: few times, so that keys decide."""


def empty(capacity: int) -> Heap:
    return Heap(
        time=np.empty(capacity),
        key=np.empty(capacity, dtype=np.int64),
        slot=np.empty(capacity, dtype=np.int64),
        size=np.zeros(1, dtype=np.int64),
    )


@given(OPERATIONS, st.randoms(use_true_random=False))
def test_events_come_in_the_order_of_heapq(operations: list, random) -> None:  # type: ignore[no-untyped-def, type-arg]
    heap, reference = empty(len(operations) + 1), []
    keys = random.sample(range(1 << 62), len(operations))
    for slot, ((operation, time), key) in enumerate(zip(operations, keys, strict=True)):
        event = (time * 0.25, key, slot)
        if operation == "push" or not reference:
            push(heap, *event)
            heapq.heappush(reference, event)
        elif operation == "pop":
            pop(heap)
            heapq.heappop(reference)
        else:
            replace_top(heap, *event)
            heapq.heapreplace(reference, event)
        assert heap.size[0] == len(reference)
        if reference:
            assert (heap.time[0], heap.key[0], heap.slot[0]) == reference[0]
    while reference:
        assert (heap.time[0], heap.key[0], heap.slot[0]) == heapq.heappop(reference)
        pop(heap)
    assert heap.size[0] == 0


def test_a_later_event_may_take_the_place_of_the_only_one() -> None:
    heap = empty(1)
    push(heap, 1.0, 5, 0)
    replace_top(heap, 2.0, 3, 7)
    assert (heap.size[0], heap.time[0], heap.key[0], heap.slot[0]) == (1, 2.0, 3, 7)
