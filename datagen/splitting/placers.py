"""Where the pieces run that are ready to start."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

__all__ = ["LeastLoaded", "Placer", "RandomHosts"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Placer(ABC):
    """Places pieces on hosts."""

    @abstractmethod
    def place(self, seconds: Floats, backlog: Floats) -> Ints:
        """Place the pieces of one task that are ready at once.

        Args:
            seconds: Expected time of each piece on each host [s] [F, H], > 0.
            backlog: Expected time until each host has done what it has [s] [H], >= 0.

        Returns:
            Index of the host of each piece [F].
        """


class LeastLoaded(Placer):
    """One piece after the other where it is expected to be done first."""

    def place(self, seconds: Floats, backlog: Floats) -> Ints:
        done = backlog.copy()
        hosts = np.empty(len(seconds), dtype=np.int64)
        for piece, own in enumerate(seconds):
            hosts[piece] = np.argmin(done + own)
            done[hosts[piece]] += own[hosts[piece]]
        return hosts


class RandomHosts(Placer):
    """Any host for any piece.

    Args:
        rng: Random numbers.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def place(self, seconds: Floats, backlog: Floats) -> Ints:
        return self._rng.integers(len(backlog), size=len(seconds))
