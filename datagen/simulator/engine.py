"""What an engine is: plays one network over one window and counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.simulator.network import Network
from datagen.simulator.randomness import ChainDraws
from datagen.simulator.tally import RunLength, Tally

__all__ = ["BatchCounts", "Engine", "Run"]


class BatchCounts(NamedTuple):
    """What accelerators did in the window.

    Args:
        sizes: Batches begun, by segment and by size less one [G, B].
        preemptions: Batches suspended, by device [D].
    """

    sizes: NDArray[np.int64]
    preemptions: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One replication played.

    Args:
        tally: What was counted.
        events: External arrivals and finished services.
        truncated: Whether some cohort job had not left one horizon after the end.
        log: Event log, or None where none was asked for.
        route_completed: Completed cohort jobs by route [R], or None where each chain has one.
        batches: What accelerators did, or None where there is none.
        deadlock: When jobs began to wait for each other in a circle [s], and the run ended; None
            where they did not.
    """

    tally: Tally
    events: int
    truncated: bool
    log: NDArray[np.void] | None
    route_completed: NDArray[np.int64] | None = None
    batches: BatchCounts | None = None
    deadlock: float | None = None

    def without_histogram(self) -> Run:
        """Return the run without its histogram, which takes more room than all the rest."""
        none = np.empty((len(self.tally.histogram), 0), dtype=np.int64)
        return replace(self, tally=self.tally._replace(histogram=none))


class Engine(ABC):
    """Plays networks; every engine gives the same event log for the same draws."""

    name: ClassVar[str]

    @abstractmethod
    def run(
        self, network: Network, sources: list[ChainDraws], length: RunLength, *, log: bool = False
    ) -> Run:
        """Play one replication.

        Args:
            network: The network.
            sources: Draws of each chain, fresh.
            length: The window.
            log: Whether to keep the event log.

        Returns:
            What happened.
        """
