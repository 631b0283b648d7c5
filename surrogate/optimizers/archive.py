"""What a search has seen: its best distinct candidates and how they improved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from surrogate.optimizers.space import Placements

__all__ = ["Archive", "Improvement"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Improvement:
    """A moment at which a better candidate was found.

    Args:
        evaluations: Candidates evaluated so far.
        seconds: Time since the search began [s].
        value: Value of the new incumbent, as the evaluator predicts it.
    """

    evaluations: int
    seconds: float
    value: float


class Archive:
    """Keeps the best distinct placements.

    Args:
        size: How many are kept, >= 1.
        slots: Length of a placement.
    """

    def __init__(self, size: int, slots: int) -> None:
        self.size = size
        self.placements: Placements = np.empty((0, slots), dtype=np.int32)
        self.values: NDArray[np.float64] = np.empty(0)
        self.history: list[Improvement] = []

    @property
    def best(self) -> float:
        """Value of the incumbent; infinity before anything was seen."""
        return float(self.values[0]) if len(self.values) else float("inf")

    def add(
        self,
        placements: Placements,
        values: NDArray[np.float64],
        *,
        evaluations: int,
        seconds: float,
    ) -> None:
        """Take in evaluated placements.

        Args:
            placements: Device index per slot [B, F].
            values: Their values [B], without NaN.
            evaluations: Candidates evaluated so far, these included.
            seconds: Time since the search began [s].
        """
        before = self.best
        threshold = self.values[-1] if len(self.values) == self.size else np.inf
        good = np.flatnonzero(values < threshold if np.isfinite(threshold) else values <= threshold)
        if len(good) == 0:
            return
        good = good[np.argsort(values[good], kind="stable")]
        pool = np.concatenate([self.placements, placements[good]])
        pool_values = np.concatenate([self.values, values[good]])
        kept: dict[bytes, int] = {}
        for row in np.argsort(pool_values, kind="stable").tolist():
            kept.setdefault(pool[row].tobytes(), row)
            if len(kept) == self.size:
                break
        rows = list(kept.values())
        self.placements, self.values = pool[rows], pool_values[rows]
        if self.best < before:
            self.history.append(
                Improvement(evaluations=evaluations, seconds=seconds, value=self.best)
            )
