"""What an exit is worth to a policy: its profiled accuracy, or the confidence it shows online."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.policies.exit_policy import Outcome, Scene

__all__ = ["Confidence", "ProfiledAccuracy", "Worth"]

Floats = NDArray[np.float64]

WINDOW = 20
"""Weight of the past in the running mean of confidences: CEED's."""


class Worth(ABC):
    """The worth of every exit, which may change while jobs are served."""

    @abstractmethod
    def begin(self, scene: Scene) -> None:
        """Start from what was profiled.

        Args:
            scene: What is known in advance.
        """

    @property
    @abstractmethod
    def values(self) -> Floats:
        """Worth of each exit, in [0, 1] [E]."""

    def learn(self, outcome: Outcome) -> None:  # noqa: B027
        """Learn from a job that has left.

        Args:
            outcome: How it fared.
        """


class ProfiledAccuracy(Worth):
    """The accuracy measured in advance; it never changes."""

    def begin(self, scene: Scene) -> None:
        self._values = scene.accuracy

    @property
    def values(self) -> Floats:
        return self._values


class Confidence(Worth):
    """A running mean of the confidences that are seen; it starts with the profiled ones.

    Args:
        window: Weight of the past, >= 1: a new confidence counts for 1 / window.

    Raises:
        InvalidInputError: If the window is below one.
    """

    def __init__(self, window: float = WINDOW) -> None:
        require(window >= 1, "window", "be >= 1", window)
        self.window = window

    def begin(self, scene: Scene) -> None:
        self._values = scene.confidence.copy()

    @property
    def values(self) -> Floats:
        return self._values

    def learn(self, outcome: Outcome) -> None:
        for exit_, confidence in outcome.asked:
            self._values[exit_] += (confidence - self._values[exit_]) / self.window
