"""The event log: what happened when, in the same words for both engines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ARRIVED",
    "ASKED",
    "CHOSEN",
    "FINISHED",
    "LEFT",
    "LOG_DTYPE",
    "LOST",
    "MOVED",
    "QUEUED",
    "SENT",
    "STARTED",
    "event_log",
]

ARRIVED, FINISHED, CHOSEN, SENT, ASKED = 0, 1, 2, 3, 4
"""Kinds of logged event: arrival at a device, end of a service, a start that a device chose, end of
a transmission that kept units or a link, a question for room at the next device before a transfer.

A job that waited at the door of a device arrives there when it enters."""

LOST, STARTED, QUEUED, MOVED, LEFT = 0, 1, 2, 3, 4
"""Outcomes: of an arrival the first three, of a finished service the last two, of a question LOST
or MOVED."""

LOG_DTYPE = np.dtype([
    ("time", np.float64),
    ("kind", np.int64),
    ("chain", np.int64),
    ("job", np.int64),
    ("step", np.int64),
    ("outcome", np.int64),
])
"""One logged event; chain, job and step are 0-based, and a time is in seconds."""


def event_log(time: NDArray[np.float64], record: NDArray[np.int64]) -> NDArray[np.void]:
    """Return events as a structured array.

    Args:
        time: When [s] [N].
        record: Kind, chain, job, step, outcome [N, 5].

    Returns:
        Array of :data:`LOG_DTYPE` [N].
    """
    log = np.empty(len(time), dtype=LOG_DTYPE)
    log["time"] = time
    for column, name in enumerate(("kind", "chain", "job", "step", "outcome")):
        log[name] = record[:, column]
    return log
