"""Queue-aware thresholds of every device of a chain, by arrival rate and by the price of a loss.

A loss target couples devices: jobs lost behind are as lost as jobs lost here. A price of a lost job
takes them apart. At each device the best thresholds for every backlog follow from the exact queue
(:meth:`datagen.analytic.ExitQueue.priced`), given its arrival rate and what it is worth to pass a
job on. That worth is the marginal one: what one more job per second would add to all that the next
devices get right, less the price of what they would lose on its account. It depends on the rate
that is passed on, which depends on the worth, so that both are found by damped iteration; devices
are taken from the last of a path to the first.

Exact for one device with Poisson arrivals; behind another device arrivals are taken for Poisson,
and jobs of all paths for alike until they part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datagen.analytic import ExitQueue
from datagen.errors import require
from datagen.exits import ExitTrace
from datagen.exits.counts import samples_in
from datagen.policies.exit_policy import Decision, Scene
from surrogate.policies.belief import believed, calibration_curves
from surrogate.policies.stage_actions import StageActions, shares_passed, stage_actions

__all__ = ["PRICES", "PostTable", "PriceTables", "tables_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRICES: tuple[float, ...] = (0.0, *np.logspace(-1.5, 2.0, 15).tolist())
"""Accuracy that a lost job costs beyond being wrong: from nothing to a hundred right answers."""

LOADS = tuple(np.logspace(-1.5, 0.9, 40).tolist())
"""Rates that tables are made for, times the longest service: 0.03 to 8, in steps of 15 %."""

ROUNDS = 6
"""Rounds of the iteration between a device and the next ones; each halves the error."""


@dataclass(frozen=True, kw_only=True)
class PostTable:
    """What to do at one device.

    Args:
        vectors: Threshold vectors to choose from [A].
        rates: Arrival rates at the device [1/s], increasing [R].
        actions: Vector to take by rate, price and jobs present, the one to decide about included,
            less one [R, P, K].
        passed: Share of the arriving jobs that is passed on, predicted [R, P].
        loss: Share of the arriving jobs that is lost here or behind, predicted [R, P].
        accuracy: Share of the arriving jobs that is answered rightly here or behind [R, P].
    """

    vectors: StageActions = field(repr=False)
    rates: Floats
    actions: Ints = field(repr=False)
    passed: Floats = field(repr=False)
    loss: Floats = field(repr=False)
    accuracy: Floats = field(repr=False)

    def row(self, rate: float) -> int:
        """Return the row of the rate nearest on a logarithmic scale to a rate [1/s], > 0."""
        return int(np.abs(np.log(self.rates / rate)).argmin())


@dataclass(frozen=True, kw_only=True)
class PriceTables:
    """Tables of a chain: by context, and for all contexts together.

    Args:
        scene: What they were made for.
        prices: Prices of a lost job [P].
        everywhere: Table of each post, all calibration samples counted alike.
        contexts: The same in each context, none where calibration has no contexts [K].
        following: Post -> the next posts and their shares of the jobs passed on.
    """

    scene: Scene = field(repr=False)
    prices: tuple[float, ...]
    everywhere: dict[int, PostTable] = field(repr=False)
    contexts: tuple[dict[int, PostTable], ...] = field(repr=False)
    following: dict[int, dict[int, float]]

    def predicted_loss(self, rate: float) -> Floats:
        """Return the loss ratio of all jobs by the price [P].

        Args:
            rate: Arrival rate of the chain [1/s], > 0.

        Returns:
            Loss ratios, all paths together.
        """
        firsts = {self.scene.posts[number] for number in self.scene.path_start[:-1]}
        rates = {post: self.scene.stages[post].rate for post in firsts}
        total = sum(rates.values())
        found = np.zeros(len(self.prices))
        for post, own in rates.items():
            table = self.everywhere[post]
            found += own / total * table.loss[table.row(rate * own / total)]
        return found


def tables_of(scene: Scene, *, seed: int = 0) -> PriceTables:
    """Make the tables of a chain.

    Args:
        scene: What is known in advance; buffers are finite.
        seed: Seed of the jobs that are counted over behind the first devices, >= 0.

    Returns:
        The tables.

    Raises:
        InvalidInputError: If a buffer is unlimited.
    """
    for stage in scene.stages:
        limited = bool(np.isfinite(stage.capacity))
        require(limited, "capacity", "be finite for queue-aware thresholds", stage.capacity)
    following = _following(scene)
    calibration, rng = scene.calibration, np.random.default_rng([seed])
    curves = calibration_curves(calibration)
    everywhere = _tables(scene, following, calibration, believed(calibration, curves), rng)
    contexts = []
    for number in range(calibration.contexts):
        part = samples_in(calibration, number)
        own = believed(part, calibration_curves(part, curves))
        # The same vectors in all contexts: the samples of one are too few to find any.
        vectors = {post: table.vectors.decisions for post, table in everywhere.items()}
        contexts.append(_tables(scene, following, part, own, rng, vectors))
    return PriceTables(
        scene=scene,
        prices=PRICES,
        everywhere=everywhere,
        contexts=tuple(contexts),
        following=following,
    )


def _following(scene: Scene) -> dict[int, dict[int, float]]:
    """Return the next posts of each post and their shares, the last posts of paths first."""
    following: dict[int, dict[int, float]] = {post: {} for post in reversed(scene.posts)}
    for first, stop in zip(scene.path_start[:-1], scene.path_start[1:], strict=True):
        for stage in range(first, stop - 1):
            behind = scene.posts[stage + 1]
            following[scene.posts[stage]][behind] = scene.stages[behind].rate
    for shares in following.values():
        total = sum(shares.values())
        shares.update({post: rate / total for post, rate in shares.items()})
    return following


def _tables(
    scene: Scene,
    following: dict[int, dict[int, float]],
    calibration: ExitTrace,
    belief: Floats,
    rng: np.random.Generator,
    vectors: Mapping[int, Sequence[Decision]] | None = None,
) -> dict[int, PostTable]:
    """Return the table of every post where jobs hold these samples."""
    coming = {post: np.zeros(calibration.samples) for post in following}
    for number in scene.path_start[:-1]:
        coming[scene.posts[number]] = np.ones(calibration.samples)
    actions: dict[int, StageActions] = {}
    for post in sorted(following):  # from the first to the last of each path
        actions[post] = stage_actions(
            scene.stages[post],
            calibration,
            belief,
            coming[post],
            rng,
            decisions=None if vectors is None else vectors[post],
        )
        for behind in following[post]:
            coming[behind] = coming[behind] + shares_passed(actions[post], calibration.samples)
    tables: dict[int, PostTable] = {}
    for post in sorted(following, reverse=True):
        tables[post] = _post_table(actions[post], following[post], tables)
    return tables


def _post_table(
    actions: StageActions, following: dict[int, float], tables: dict[int, PostTable]
) -> PostTable:
    """Return the table of one post, those of the next ones being known."""
    stage = actions.stage
    rates = np.array(LOADS) * stage.servers / float(stage.times.max())
    shape = (len(rates), len(PRICES))
    chosen = np.zeros((*shape, int(stage.capacity)), dtype=np.int64)
    passed, loss, accuracy = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    mix = actions.mix
    behind = _Behind(following, tables)
    for r, rate in enumerate(rates.tolist()):
        queue = ExitQueue(rate, actions.counts(rate), np.zeros(len(actions.decisions)))
        for p, price in enumerate(PRICES):
            share = float(passed[r, p - 1] if p else passed[r - 1, 0])
            for _ in range(ROUNDS if following else 1):
                values = actions.values(behind.marginal(rate * share, p))
                found = queue.valued(np.clip(values, 0.0, 1.0)).priced(price)
                served = 1.0 - found.loss_ratio
                going = served * float(found.mix @ mix[:, -1])
                share = 0.5 * (share + going) if following else 0.0
            chosen[r, p] = found.policy.argmax(axis=1)
            passed[r, p] = share
            loss[r, p] = found.loss_ratio + share * behind.loss(rate * share, p)
            here = served * float(found.mix @ actions.values(0.0))
            accuracy[r, p] = here + share * behind.accuracy(rate * share, p)
    return PostTable(
        vectors=actions,
        rates=rates,
        actions=chosen,
        passed=passed,
        loss=loss,
        accuracy=accuracy,
    )


class _Behind:
    """What becomes of jobs that are passed on, by the rate at which they are.

    Args:
        following: The next posts and their shares.
        tables: Tables of these.
    """

    def __init__(self, following: dict[int, float], tables: dict[int, PostTable]) -> None:
        self._parts = [(share, tables[post]) for post, share in following.items()]
        prices = np.array(PRICES)
        self._marginal = []
        for _, table in self._parts:
            gained = table.rates[:, None] * (table.accuracy - prices * table.loss)
            self._marginal.append(np.gradient(gained, table.rates, axis=0))

    def marginal(self, rate: float, price: int) -> float:
        """Return what one more job passed on is worth, at a rate [1/s] and a price's number."""
        return self._mean(rate, price, self._marginal)

    def loss(self, rate: float, price: int) -> float:
        """Return the share of the jobs passed on that is lost."""
        return self._mean(rate, price, [table.loss for _, table in self._parts])

    def accuracy(self, rate: float, price: int) -> float:
        """Return the share of the jobs passed on that is answered rightly."""
        return self._mean(rate, price, [table.accuracy for _, table in self._parts])

    def _mean(self, rate: float, price: int, values: list[Floats]) -> float:
        return sum(
            share * float(np.interp(rate * share, table.rates, own[:, price]))
            for (share, table), own in zip(self._parts, values, strict=True)
        )
