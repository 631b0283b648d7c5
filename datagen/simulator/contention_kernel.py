"""The arrays that the event loop works on where jobs block each other or run in branches."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["NOTHING", "PRESENCE", "SERVER", "UNITS", "Contenders"]

NOTHING, SERVER, UNITS, PRESENCE = 0, 1, 2, 4
"""What a job at a door keeps at the device that it comes from, as bits: its server, its units, and
its being counted as present there."""

Ints = NDArray[np.int64]


class Contenders(NamedTuple):
    """What changes where jobs block each other or run in branches.

    A *door* is the line of those who wait to enter a device. A job that runs in branches has a slot
    for each, and one of its own, its *record*.

    Args:
        blocks: Whether jobs wait at doors [1].
        parallel: Whether the jobs of a chain run in branches [C].
        door_head: Slot of the first at each door, or NONE [D].
        door_tail: Slot of the last [D].
        called: Whether the first has been called in, in this instant [D].
        tickets: Jobs that have come to any door so far [1].
        ticket: Which of these is in a slot [N].
        keeps: What it keeps, see ``SERVER`` [N].
        held_servers: Servers of each device that jobs at doors keep [D].
        held_units: Units of each device that they keep [D].
        stuck_servers: Room for the search of a deadlock [D].
        stuck_units: Likewise [D].
        in_use: Likewise [D].
        cursor: Likewise [D].
        deadlock: When jobs began to wait for each other in a circle, inf before [s] [1].
        record: Slot of the record of the job whose branch is in a slot [N].
        running: In the slot of a record, branches that are not over; 0 in others [N].
        failed: In the slot of a record, whether a branch has been lost [N].
    """

    blocks: NDArray[np.bool_]
    parallel: NDArray[np.bool_]
    door_head: Ints
    door_tail: Ints
    called: NDArray[np.bool_]
    tickets: Ints
    ticket: Ints
    keeps: Ints
    held_servers: Ints
    held_units: NDArray[np.float64]
    stuck_servers: Ints
    stuck_units: NDArray[np.float64]
    in_use: NDArray[np.float64]
    cursor: Ints
    deadlock: NDArray[np.float64]
    record: Ints
    running: Ints
    failed: NDArray[np.bool_]
