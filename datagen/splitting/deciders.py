"""Who decides how a task is split, what comes of it, and what that is worth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from datagen.splitting.applications import APPLICATIONS, Application, Split, Task
from datagen.splitting.bandit import ContextualBandit, Ticket

__all__ = ["CONTEXTS", "SPLITS", "Always", "AtRandom", "ByBandit", "Decider", "Finished", "reward"]

SPLITS: tuple[Split, ...] = get_args(Split)

CONTEXTS = ("tight", "loose")
"""Whether the deadline is below or at least the expected layer-wise latency."""

FLOOR = 0.9
"""Accuracy that earns nothing: only the last ten points count, ten times."""

FORGETTING = 0.1
"""Weight of the newest latency in the moving average."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A task that is done.

    Args:
        task: The task.
        split: How it was split.
        response: Time from its arrival to its last answer [s].
        accuracy: Share of right answers.
    """

    task: Task
    split: Split
    response: float
    accuracy: float

    @property
    def in_time(self) -> bool:
        """Whether it met its deadline."""
        return self.response <= self.task.deadline


def reward(finished: Finished) -> float:
    """Return what a finished task is worth: half for being in time, half for accuracy above 0.9.

    Args:
        finished: The task.

    Returns:
        Reward in [0, 1].
    """
    return 0.5 * finished.in_time + 0.5 * max(0.0, finished.accuracy - FLOOR) / (1.0 - FLOOR)


class Decider(ABC):
    """Decides how tasks are split."""

    @abstractmethod
    def decide(self, task: Task) -> Split:
        """Decide.

        Args:
            task: A task that has come.

        Returns:
            How to split it.
        """

    def learn(self, finished: Finished) -> None:
        """Learn from a task that is done; nothing, as a rule.

        Args:
            finished: The task.
        """
        del finished


class Always(Decider):
    """The same split for every task.

    Args:
        split: Which one.
    """

    def __init__(self, split: Split) -> None:
        self.split: Split = split

    def decide(self, task: Task) -> Split:
        return self.split


class AtRandom(Decider):
    """A fair coin.

    Args:
        rng: Random numbers.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def decide(self, task: Task) -> Split:
        return SPLITS[self._rng.integers(len(SPLITS))]


class ByBandit(Decider):
    """A bandit whose context compares the deadline with the latency of layer-wise splits.

    That latency is a moving average for each application. A task keeps the context in which it was
    decided about: the average may have moved on when its reward comes.

    Args:
        bandit: Has the contexts of :data:`CONTEXTS` and the arms of :data:`SPLITS`.
        applications: What tasks run.
    """

    def __init__(
        self, bandit: ContextualBandit, applications: Sequence[Application] = APPLICATIONS
    ) -> None:
        self.bandit = bandit
        self.latency = {a.name: a.latency for a in applications}
        """Expected layer-wise latency of each application [s]."""
        self._tickets: dict[int, Ticket] = {}

    def context(self, task: Task) -> str:
        """Return the present context of a task.

        Args:
            task: The task.

        Returns:
            A name of :data:`CONTEXTS`.
        """
        return CONTEXTS[task.deadline >= self.latency[task.application.name]]

    def decide(self, task: Task) -> Split:
        ticket = self.bandit.choose(self.context(task))
        self._tickets[task.index] = ticket
        return SPLITS[SPLITS.index(ticket.arm)]

    def learn(self, finished: Finished) -> None:
        name = finished.task.application.name
        if finished.split == "layer":
            self.latency[name] += FORGETTING * (finished.response - self.latency[name])
        self.bandit.learn(self._tickets.pop(finished.task.index), reward(finished))
