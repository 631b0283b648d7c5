"""Links between devices as tables, and what they say of the way from one step to the next."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Problem

__all__ = ["LinkTables", "no_transfers"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Columns = dict[str, NDArray[np.generic]]


def no_transfers(steps: int) -> Columns:
    """Return the columns of steps from which nothing takes time to send.

    Args:
        steps: Number of steps S.

    Returns:
        Delay [s], release, link and question of each step [S], as a batch has them.
    """
    return {
        "step_delay": np.zeros(steps),
        "step_release": np.zeros(steps, dtype=np.int8),
        "step_link": np.full(steps, -1, dtype=np.int32),
        "step_asks": np.zeros(steps, dtype=np.int8),
    }


class LinkTables(NamedTuple):
    """The links between devices, by sender and receiver.

    Args:
        latency: Delay before the first byte [s] [D, D].
        bandwidth: Bytes per second, inf where there is no link [D, D].
        release: Whether the sender's units are free when a transfer starts [D, D].
        queue: Number of the link where transfers queue for it, -1 elsewhere [D, D].
        asks: Whether room ahead is asked for first [D, D].
    """

    latency: Floats
    bandwidth: Floats
    release: NDArray[np.int8]
    queue: NDArray[np.int32]
    asks: NDArray[np.int8]

    @classmethod
    def of(cls, problem: Problem) -> LinkTables:
        """Lay out the links of a problem.

        Args:
            problem: What is given.

        Returns:
            The tables.
        """
        index = problem.device_index()
        shape = (len(index), len(index))
        latency, bandwidth = np.zeros(shape), np.full(shape, np.inf)
        release, asks = np.zeros((2, *shape), dtype=np.int8)
        queue = np.full(shape, -1, dtype=np.int32)
        for number, link in enumerate(problem.links):
            ends = (index[link.source], index[link.target])
            latency[ends], bandwidth[ends] = link.latency, link.bandwidth
            release[ends] = link.release == "start"
            asks[ends] = link.admission == "before_transfer"
            if link.queueing:
                queue[ends] = number
        return cls(latency, bandwidth, release, queue, asks)

    def transfers(
        self,
        steps: int,
        sender: Ints,
        source: NDArray[np.int32],
        target: NDArray[np.int32],
        sent: Floats,
    ) -> Columns:
        """Return what it takes to get from each step to the next of its path.

        Args:
            steps: Number of steps S.
            sender: Steps that are followed by another, to which they send [N].
            source: Their devices [N].
            target: The devices of the steps that follow [N].
            sent: What is sent [bytes] [N].

        Returns:
            Columns as :func:`no_transfers` gives them; what takes no time to send uses no link.
        """
        columns, ends = no_transfers(steps), (source, target)
        seconds = self.latency[ends] + sent / self.bandwidth[ends]
        columns["step_delay"][sender] = seconds
        columns["step_release"][sender] = self.release[ends]
        columns["step_link"][sender] = np.where(seconds > 0, self.queue[ends], -1)
        columns["step_asks"][sender] = self.asks[ends] * (seconds > 0)
        return columns
