"""The upper-confidence-bound bandit, for rewards that come late or never.

References:
    Auer, Cesa-Bianchi and Fischer, Finite-time analysis of the multiarmed bandit problem, Machine
    Learning 47, 2002: the regret grows with the logarithm of the number of pulls.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require

__all__ = ["Ucb"]

Floats = NDArray[np.float64]


class Ucb:
    """Chooses the arm of largest mean reward plus ``exploration * sqrt(ln T / N)``.

    N counts the rewards of an arm and T those of all, so that pulls on their way do not distort the
    bounds. Until every arm has been pulled, those that have not are, in order; a pull whose reward
    never comes may be called off, and its arm is then tried again.

    Args:
        arms: Number of arms, >= 1.
        exploration: Weight of the bound, > 0; UCB1 has sqrt(2) for rewards in [0, 1].

    Raises:
        InvalidInputError: If an argument is out of range.
    """

    def __init__(self, arms: int, exploration: float) -> None:
        require(arms >= 1, "arms", "be >= 1", arms)
        require(exploration > 0, "exploration", "be > 0", exploration)
        self._exploration = exploration
        self._pulls: list[int] = [0] * arms
        self._untried = list(range(arms))[::-1]
        self._rewards: Floats = np.zeros(arms)
        self._counts: Floats = np.zeros(arms)

    @property
    def means(self) -> Floats:
        """Mean reward of each arm; 0 of one without any."""
        return self._rewards / np.maximum(self._counts, 1.0)

    @property
    def counts(self) -> Floats:
        """Rewards of each arm."""
        return self._counts

    def pull(self) -> int:
        """Return the arm to pull now."""
        if self._untried:
            arm = self._untried.pop()
        else:
            # An arm that is still waiting for its first reward is left alone: its bound is open.
            known = np.maximum(self._counts, 1.0)
            bound = self._exploration * np.sqrt(math.log(max(self._counts.sum(), 1.0)) / known)
            score = np.where(self._counts > 0, self.means + bound, -np.inf)
            arm = int(score.argmax())
        self._pulls[arm] += 1
        return arm

    def reward(self, arm: int, value: float) -> None:
        """Learn the reward of a pull.

        Args:
            arm: The arm.
            value: Its reward.
        """
        self._rewards[arm] += value
        self._counts[arm] += 1.0

    def call_off(self, arm: int) -> None:
        """Learn that a pull will have no reward.

        Args:
            arm: The arm.
        """
        self._pulls[arm] -= 1
        if self._pulls[arm] == 0:
            self._untried.append(arm)
