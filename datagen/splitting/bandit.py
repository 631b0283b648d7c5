"""Contextual bandits: one arm is chosen in a context, its reward comes later, perhaps never.

A choice is a *ticket* that keeps its context: the reward is credited to where the choice was made,
whatever has changed since. Choices whose rewards are pending count as tries, so that an arm is not
tried over and over while nothing is known of it.

References:
    Auer, Cesa-Bianchi and Fischer, Finite-time analysis of the multiarmed bandit problem, Machine
    Learning 47, 2002 (UCB1).
    Maroti, RBED: reward based epsilon decay, arXiv:1910.13701, 2019.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require

__all__ = ["ContextualBandit", "EpsilonGreedy", "Ticket", "UpperConfidence"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ticket:
    """A choice that waits for its reward.

    Args:
        context: In which context it was made.
        arm: What was chosen.
    """

    context: str
    arm: str


class ContextualBandit(ABC):
    """Means of the rewards of every arm in every context, and a rule that chooses by them.

    Args:
        contexts: Names of the contexts, C >= 1.
        arms: Names of the arms, A >= 2; of equal ones the first is taken.
        rng: Random numbers.

    Raises:
        InvalidInputError: If there are too few contexts or arms.
    """

    def __init__(
        self, contexts: Sequence[str], arms: Sequence[str], rng: np.random.Generator
    ) -> None:
        require(len(contexts) >= 1, "contexts", "be at least one", contexts)
        require(len(arms) >= 2, "arms", "be at least two", arms)
        self.contexts, self.arms = tuple(contexts), tuple(arms)
        self._rng = rng
        shape = (len(contexts), len(arms))
        self.mean: Floats = np.zeros(shape)
        """Mean reward [C, A]; 0 where none has come."""
        self.rewarded = np.zeros(shape, dtype=np.int64)
        """Rewards that have come [C, A]."""
        self.pending = np.zeros(shape, dtype=np.int64)
        """Choices whose rewards have not come [C, A]."""

    def choose(self, context: str) -> Ticket:
        """Choose an arm.

        Args:
            context: The present context.

        Returns:
            The choice, to be handed back with its reward.
        """
        row = self.contexts.index(context)
        arm = self._arm(row)
        self.pending[row, arm] += 1
        return Ticket(context, self.arms[arm])

    def learn(self, ticket: Ticket, reward: float) -> None:
        """Take a reward.

        Args:
            ticket: The choice that it is for.
            reward: Finite; the rules are made for [0, 1].

        Raises:
            InvalidInputError: If no such choice is pending, or the reward is not finite.
        """
        require(bool(np.isfinite(reward)), "reward", "be finite", reward)
        cell = self._settle(ticket)
        self.rewarded[cell] += 1
        self.mean[cell] += (reward - self.mean[cell]) / self.rewarded[cell]
        self._rewarded(reward)

    def forget(self, ticket: Ticket) -> None:
        """Give up waiting for a reward.

        Args:
            ticket: The choice that it would be for.

        Raises:
            InvalidInputError: If no such choice is pending.
        """
        self._settle(ticket)

    def _settle(self, ticket: Ticket) -> tuple[int, int]:
        cell = self.contexts.index(ticket.context), self.arms.index(ticket.arm)
        require(bool(self.pending[cell] > 0), "ticket", "be pending", ticket)
        self.pending[cell] -= 1
        return cell

    @abstractmethod
    def _arm(self, row: int) -> int:
        """Return the arm to take in a context."""

    def _rewarded(self, reward: float) -> None:
        """Take note of a reward, beyond the means; most rules need no more."""
        del reward

    def state(self) -> dict[str, Any]:
        """Return what has been learnt, as JSON has it; pending choices are forgotten in it."""
        return {"mean": self.mean.tolist(), "rewarded": self.rewarded.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what was learnt.

        Args:
            state: What :meth:`state` gave.
        """
        self.mean = np.array(state["mean"], dtype=np.float64)
        self.rewarded = np.array(state["rewarded"], dtype=np.int64)
        self.pending[:] = 0


class UpperConfidence(ContextualBandit):
    """UCB1: the arm whose mean could still be the highest. Untried arms go first.

    Args:
        contexts: Names of the contexts.
        arms: Names of the arms.
        rng: Random numbers; this rule draws none.
        width: What the root of ln(tries in the context) / tries of the arm is multiplied by, >= 0;
            the root of 2 is UCB1 for rewards in [0, 1].

    Raises:
        InvalidInputError: If the width is negative.
    """

    def __init__(
        self,
        contexts: Sequence[str],
        arms: Sequence[str],
        rng: np.random.Generator,
        *,
        width: float = 2.0**0.5,
    ) -> None:
        super().__init__(contexts, arms, rng)
        require(0 <= width < float("inf"), "width", "be finite and >= 0", width)
        self.width = width

    def _arm(self, row: int) -> int:
        tries = self.rewarded[row] + self.pending[row]
        if tries.min() == 0:
            return int(np.argmin(tries))
        bonus = self.width * np.sqrt(np.log(tries.sum()) / tries)
        return int(np.argmax(self.mean[row] + bonus))


class EpsilonGreedy(ContextualBandit):
    """The best mean, or any arm with probability epsilon, which success lowers by and by.

    The defaults are those of SplitPlace's public code. With a growing bar, exploration goes on for
    ever once the bar is above all rewards; :meth:`settle` ends it. Untried arms go first.

    Args:
        contexts: Names of the contexts.
        arms: Names of the arms.
        rng: Random numbers.
        epsilon: Probability at first, in [0, 1].
        decay: Its factor after a reward that reaches the bar, in (0, 1].
        bar: What a reward has to reach at first.
        growth: Factor of the bar after that, >= 1; the bar stays at most 1.

    Raises:
        InvalidInputError: If a number is out of its range.
    """

    def __init__(
        self,
        contexts: Sequence[str],
        arms: Sequence[str],
        rng: np.random.Generator,
        *,
        epsilon: float = 0.95,
        decay: float = 0.98,
        bar: float = 0.45,
        growth: float = 1.05,
    ) -> None:
        super().__init__(contexts, arms, rng)
        require(0 <= epsilon <= 1, "epsilon", "lie in [0, 1]", epsilon)
        require(0 < decay <= 1, "decay", "lie in (0, 1]", decay)
        require(growth >= 1, "growth", "be >= 1", growth)
        self.epsilon, self.decay, self.bar, self.growth = epsilon, decay, bar, growth

    def settle(self) -> None:
        """Explore no more; means go on being learnt."""
        self.epsilon = 0.0

    def _arm(self, row: int) -> int:
        tries = self.rewarded[row] + self.pending[row]
        if tries.min() == 0:
            return int(np.argmin(tries))
        if self._rng.random() < self.epsilon:
            return int(self._rng.integers(len(self.arms)))
        return int(np.argmax(self.mean[row]))

    def _rewarded(self, reward: float) -> None:
        if reward >= self.bar:
            self.epsilon *= self.decay
            self.bar = min(1.0, self.growth * self.bar)

    def state(self) -> dict[str, Any]:
        return super().state() | {"epsilon": self.epsilon, "bar": self.bar}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.epsilon, self.bar = state["epsilon"], state["bar"]
