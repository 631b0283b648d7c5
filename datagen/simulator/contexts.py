"""Which context each job of a chain meets: drawn in job order, whatever is asked for at once."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from datagen.errors import NotSupportedError
from datagen.exits import Contexts, ContextSchedule, ContextSwitching

__all__ = ["ContextPath", "context_path"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BLOCK = 256
"""Contexts drawn at a time; part of what a seed means."""


class ContextPath(ABC):
    """The contexts of one chain in one run, from its first job on."""

    @abstractmethod
    def next(self, arrivals: Floats) -> Ints:
        """Return the contexts of the next jobs.

        Args:
            arrivals: When they arrive [s], non-decreasing over all calls [N].

        Returns:
            0-based contexts [N].
        """


class _Scheduled(ContextPath):
    def __init__(self, process: ContextSchedule) -> None:
        self.times, self.contexts = np.array(process.times), np.array(process.contexts)

    def next(self, arrivals: Floats) -> Ints:
        # A job at the very start of a context is in it.
        begun = np.searchsorted(self.times, arrivals, side="right") - 1
        return np.asarray(self.contexts[begun], dtype=np.int64)


class _Switching(ContextPath):
    """Ends of contexts on a clock that shows seconds or jobs."""

    def __init__(self, process: ContextSwitching, rng: np.random.Generator) -> None:
        self.rng = rng
        self.by_jobs = process.by == "jobs"
        self.holding = np.array(process.holding)
        if self.by_jobs:
            with np.errstate(divide="ignore"):  # a context that always holds for one job
                # Exponential over this, rounded up, is geometric with the mean that is given.
                self.holding = -1.0 / np.log1p(-1.0 / self.holding)
        shares = np.cumsum(process.shares(len(self.holding)))
        first = np.searchsorted(shares, rng.random() * shares[-1], side="right")
        self.context = int(first)
        self.jobs = 0
        self.last = 0.0
        self.ends, self.held = np.empty(0), np.empty(0, dtype=np.int64)

    def next(self, arrivals: Floats) -> Ints:
        clock = arrivals
        if self.by_jobs:
            clock = np.arange(self.jobs, self.jobs + len(arrivals), dtype=np.float64)
            self.jobs += len(arrivals)
        blocks = [(self.ends, self.held)]
        while self.last <= clock[-1]:
            blocks.append(self._block())
        ends, held = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        place = np.searchsorted(ends, clock, side="right")
        # The next jobs come later: what has ended before the last of these is done with.
        self.ends, self.held = ends[place[-1] :], held[place[-1] :]
        return np.asarray(held[place], dtype=np.int64)

    def _block(self) -> tuple[Floats, Ints]:
        """Return when the next contexts end, and which they are."""
        unit, uniforms = self.rng.standard_exponential(_BLOCK), self.rng.random(_BLOCK)
        contexts = len(self.holding)
        # Any of the other contexts follows: 1 to contexts - 1 places further on.
        further = np.minimum(1 + (uniforms * (contexts - 1)).astype(np.int64), contexts - 1)
        reached = (self.context + np.cumsum(further)) % contexts
        held = np.concatenate(([self.context], reached[:-1]))
        self.context = int(reached[-1])
        whiles = unit * self.holding[held]
        if self.by_jobs:
            whiles = np.maximum(np.ceil(whiles), 1.0)
        ends = np.cumsum(np.concatenate(([self.last], whiles)))[1:]
        self.last = float(ends[-1])
        return ends, held


def context_path(process: Contexts, rng: np.random.Generator) -> ContextPath:
    """Return the contexts that the jobs of a chain meet.

    Args:
        process: How contexts change.
        rng: The chain's stream of kind ``difficulty``.

    Returns:
        The contexts, from the first job on.

    Raises:
        NotSupportedError: If the process is none of :data:`datagen.exits.CONTEXTS`.
    """
    if isinstance(process, ContextSchedule):
        return _Scheduled(process)
    if isinstance(process, ContextSwitching):
        return _Switching(process, rng)
    raise NotSupportedError("simulate", f"contexts={process.name}")
