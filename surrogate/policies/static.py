"""Our static policy: the best thresholds that look at nothing but the sample.

The vectors are those of the tables, one at each device for all backlogs. At every price of a loss,
each device's best vector follows from exact queues at the rate that comes to it, those of the
devices before decided; the least price whose losses keep the target is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datagen.analytic import ExitQueue
from datagen.errors import require
from datagen.policies.exit_policy import Decision, ExitPolicy, Scene, Seen
from surrogate.policies.price_tables import PriceTables

__all__ = ["SAFETY", "StaticThresholds"]

Floats = NDArray[np.float64]

SAFETY = 0.95
"""Share of the loss target that is aimed at."""

LEAST_RATE = 1e-6
"""Rate at a device [1/s] below which nobody is said to come."""


@dataclass(frozen=True)
class _Choice:
    """The best vectors from a device on, by price.

    Args:
        accuracy: Share of the jobs that come to it answered rightly there or behind [P].
        loss: Share of them lost there or behind [P].
        vectors: Post -> number of its vector, by price [P].
    """

    accuracy: Floats
    loss: Floats
    vectors: list[dict[int, int]]


class StaticThresholds(ExitPolicy):
    """Fixed thresholds at every device, for the known arrival rate.

    Args:
        tables: Tables of the chain.
        loss_target: Largest loss ratio of the system, in (0, 1).

    Raises:
        InvalidInputError: If the target is out of range.
    """

    def __init__(self, tables: PriceTables, loss_target: float) -> None:
        require(0 < loss_target < 1, "loss_target", "lie in (0, 1)", loss_target)
        self.tables, self.loss_target = tables, loss_target

    def begin(self, scene: Scene, rng: np.random.Generator) -> None:
        self._scene, everywhere = scene, self.tables.everywhere
        rates = {scene.posts[n]: scene.stages[n].rate for n in scene.path_start[:-1]}
        total = sum(rates.values())
        parts = [(rate / total, self._best(post, rate)) for post, rate in rates.items()]
        loss = sum(share * choice.loss for share, choice in parts)
        kept = np.flatnonzero(np.asarray(loss) <= SAFETY * self.loss_target)
        price = int(kept[0]) if len(kept) else int(np.argmin(loss))
        chosen = {
            post: number for _, choice in parts for post, number in choice.vectors[price].items()
        }
        self._decisions = {
            post: everywhere[post].vectors.decisions[number] for post, number in chosen.items()
        }

    def decide(self, seen: Seen) -> Decision:
        return self._decisions[self._scene.posts[seen.stage]]

    def _best(self, post: int, rate: float) -> _Choice:
        """Return the best vectors from a device on, jobs coming to it at a rate [1/s]."""
        actions = self.tables.everywhere[post].vectors
        following, prices = self.tables.following[post], np.array(self.tables.prices)
        values, passing = actions.values(0.0), actions.mix[:, -1]
        count = len(values)
        queue = ExitQueue(
            max(rate, LEAST_RATE), actions.counts(max(rate, LEAST_RATE)), np.zeros(count)
        )
        accuracy, loss = np.zeros((count, len(prices))), np.zeros((count, len(prices)))
        behind: list[list[_Choice]] = []
        for number in range(count):
            served = 1.0 - queue.measures(np.eye(count)[number]).loss_ratio
            accuracy[number], loss[number] = served * values[number], 1.0 - served
            going, own = served * float(passing[number]), []
            for other, share in following.items():
                own.append(self._best(other, rate * going * share))
                accuracy[number] += going * share * own[-1].accuracy
                loss[number] += going * share * own[-1].loss
            behind.append(own)
        best = (accuracy - prices * loss).argmax(axis=0)
        vectors = []
        for price, number in enumerate(best.tolist()):
            chosen = {post: number}
            for choice in behind[number]:
                chosen |= choice.vectors[price]
            vectors.append(chosen)
        columns = np.arange(len(prices))
        return _Choice(accuracy[best, columns], loss[best, columns], vectors)
