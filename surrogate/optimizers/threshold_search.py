"""Searches for thresholds and routing: gradient ascent from several starts, and evolution."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import differential_evolution
from torch import Tensor

from datagen.evaluation import Evaluator
from surrogate.evaluator import LEAST_STEPS
from surrogate.loss_predictor import LossPredictor, SystemPrediction
from surrogate.optimizers.threshold_frontier import frontier
from surrogate.optimizers.threshold_space import ThresholdSpace, on_simplex
from surrogate.optimizers.watch import SEARCH, Steps, Watch, unwatched
from surrogate.parallel import in_threads

__all__ = [
    "Evolution",
    "GradientAscent",
    "Judge",
    "Pool",
    "ThresholdSearch",
    "asking",
    "predicting",
    "system_accuracy",
]

Floats = NDArray[np.float64]
Judge = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""Tells accuracy over offered jobs [B] and system loss ratio [B] of levels [B, T] and routing
[B, P]."""

PENALTY = 0.2
"""Accuracy that a loss of e times the target costs: several times what such a loss could gain."""

LEAST_LOSS = 1e-9
"""Losses below are not told apart."""


class Pool:
    """Everything a search has visited.

    Args:
        space: What is searched.
    """

    def __init__(self, space: ThresholdSpace) -> None:
        self.space = space
        self._levels: list[Floats] = []
        self._routing: list[Floats] = []
        self._accuracy: list[Floats] = []
        self._loss: list[Floats] = []

    def add(self, levels: Floats, routing: Floats, accuracy: Floats, loss: Floats) -> None:
        """Remember candidates.

        Args:
            levels: Levels of thresholds [B, T].
            routing: Path probabilities [B, P].
            accuracy: Accuracy over offered jobs [B]; NaN counts as 0.
            loss: Loss ratio [B]; NaN counts as 1.
        """
        self._levels.append(np.array(levels, dtype=np.float64))
        self._routing.append(np.array(routing, dtype=np.float64))
        self._accuracy.append(np.nan_to_num(np.asarray(accuracy, dtype=np.float64)))
        self._loss.append(np.nan_to_num(np.asarray(loss, dtype=np.float64), nan=1.0))

    def __len__(self) -> int:
        return sum(map(len, self._loss))

    def arrays(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Return levels, routing, accuracy and loss ratio of everything visited."""
        columns = (self._levels, self._routing, self._accuracy, self._loss)
        levels, routing, accuracy, loss = map(np.concatenate, columns)
        return levels, routing, accuracy, loss


def penalised(accuracy: Tensor, loss: Tensor, target: float) -> Tensor:
    """Return the accuracy less a penalty for losses beyond the target [B]."""
    over = (loss.clamp_min(LEAST_LOSS) / target).log().clamp_min(0.0)
    return accuracy - PENALTY * over


class ThresholdSearch(ABC):
    """Visits candidates until it has converged or its time is up."""

    @abstractmethod
    def run(
        self,
        space: ThresholdSpace,
        loss_target: float,
        seconds: float,
        rng: np.random.Generator,
        watch: Watch = unwatched,
    ) -> Pool:
        """Search.

        Args:
            space: What is searched.
            loss_target: Largest system loss ratio, in (0, 1).
            seconds: Time it may take [s].
            rng: The only source of randomness.
            watch: Told how far the search is.

        Returns:
            What was visited.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientAscent(ThresholdSearch):
    """Projected gradient ascent through exit model and chain network, from several starts.

    A short evolution on the same predictor finds the starts: which exits are worth having is a
    question of combinations, which gradients answer badly. At a loss target, the best candidates
    lie where the penalty begins, and a climb mostly steps over that edge: what it found was rarely
    better than where it began, and half as many more generations of the evolution, for less time
    than the climb, always were.

    Args:
        predictor: Loss and accuracy with gradients.
        starts: Candidates that climb side by side, >= 1.
        steps: Steps of each, >= 1.
        rate: Length of the first step, as a share of the range of levels; it falls to a tenth.
        generations: Generations of the evolution, >= 1.
    """

    predictor: LossPredictor
    starts: int = 6
    steps: int = 12
    rate: float = 0.02
    generations: int = 24

    def run(
        self,
        space: ThresholdSpace,
        loss_target: float,
        seconds: float,
        rng: np.random.Generator,
        watch: Watch = unwatched,
    ) -> Pool:
        end = time.perf_counter() + seconds
        rounds = self.generations + self.steps  # take about as long, each of them
        evolution = Evolution(judge=predicting(self.predictor), generations=self.generations)
        first = self.generations / rounds
        pool = evolution.run(
            space, loss_target, seconds, rng, lambda stage, share: watch(stage, first * share)
        )
        levels, routing, accuracy, loss = pool.arrays()
        value = penalised(torch.tensor(accuracy), torch.tensor(loss), loss_target)
        best = np.argsort(-_plain(value), kind="stable")[: self.starts]
        climbing = torch.tensor(levels[best], dtype=torch.float32, requires_grad=True)
        shares = torch.tensor(routing[best], dtype=torch.float32, requires_grad=True)
        optimizer = torch.optim.Adam([climbing, shares], lr=self.rate, betas=(0.8, 0.95))
        for step in range(self.steps):
            if time.perf_counter() > end:
                break
            for group in optimizer.param_groups:
                group["lr"] = self.rate * 0.1 ** (step / self.steps)
            optimizer.zero_grad()
            found = self.predictor(climbing, shares)
            _remember(pool, climbing, shares, found)
            gain = penalised(found.accuracy_offered, found.loss_ratio, loss_target)
            torch.autograd.backward(gain.sum())
            for values in (climbing, shares):
                assert values.grad is not None
                values.grad.nan_to_num_(0.0)
            optimizer.step()
            with torch.no_grad():
                climbing.clamp_(0.0, 1.0)
                projected = on_simplex(_plain(shares), space.paths)
                shares.copy_(torch.from_numpy(projected))
            watch(SEARCH, (self.generations + step + 1) / rounds)
        with torch.no_grad():
            _remember(pool, climbing, shares, self.predictor(climbing, shares))
        return pool


ROUTINGS = 3
"""Random routings that every point of the frontier is tried with, where there are several paths;
the base's own comes on top."""

EASED = (1.0, 0.7, 0.4)
"""Factors on the levels of the frontier: a price on all work does not know that one device of
several is the bottleneck, which wants jobs to leave before it."""


def start_points(space: ThresholdSpace, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return points of the frontier with several routings each.

    Args:
        space: What is searched.
        rng: Random numbers.

    Returns:
        Levels [B, T] and routing [B, P].
    """
    points = np.concatenate(
        [frontier(model, _works(space, name)) for name, model in space.exits.items()], axis=1
    )
    routings = [space.start_routing]
    if max(space.paths) > 1:
        points = np.concatenate([factor * points for factor in EASED])
        for _ in range(ROUTINGS):
            routings.append(np.concatenate([rng.dirichlet(np.ones(n)) for n in space.paths]))
    levels = np.tile(points, (len(routings), 1))
    return levels, np.repeat(np.array(routings), len(points), axis=0)


def _works(space: ThresholdSpace, chain: str) -> Floats:
    """Return the mean work of a job by its exit, in any unit, over the paths of a chain [E]."""
    tables = space.tables
    number = next(n for n, c in enumerate(space.base.problem.chains) if c.name == chain)
    of_chain = np.array([c == number for c, _ in tables.slots])
    device = tables.base_placement()[of_chain]
    mean = tables.moments[0][of_chain][np.arange(len(device)), device]
    fragments = space.base.problem.chains[number].fragments
    works = np.cumsum(mean.reshape(-1, len(fragments)).mean(axis=0))
    exits = [n for n, fragment in enumerate(fragments) if fragment.exit is not None]
    return np.asarray(works[[*exits, len(fragments) - 1]])


def _remember(pool: Pool, levels: Tensor, routing: Tensor, found: SystemPrediction) -> None:
    accuracy, loss = _plain(found.accuracy_offered), _plain(found.loss_ratio)
    pool.add(_plain(levels), _plain(routing), accuracy, loss)


def _plain(values: Tensor) -> Floats:
    return np.asarray(values.detach().double().numpy(), dtype=np.float64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evolution(ThresholdSearch):
    """Differential evolution, which needs no gradients and so can ask anybody.

    Args:
        judge: Whom it asks; see :func:`predicting` and :func:`asking`.
        population: Candidates per generation, >= 5.
        generations: Number of generations, >= 1.
    """

    judge: Judge
    population: int = 48
    generations: int = 60

    def run(
        self,
        space: ThresholdSpace,
        loss_target: float,
        seconds: float,
        rng: np.random.Generator,
        watch: Watch = unwatched,
    ) -> Pool:
        began = time.perf_counter()
        steps = Steps(SEARCH, watch)
        pool = Pool(space)
        columns = space.thresholds

        def cost(values: Floats, /) -> Floats:
            levels, shares = values.T[:, :columns], on_simplex(values.T[:, columns:], space.paths)
            accuracy, loss = self.judge(levels, shares)
            pool.add(levels, shares, accuracy, loss)
            return -_plain(penalised(torch.tensor(accuracy), torch.tensor(loss), loss_target))

        def is_late(intermediate_result: object) -> bool:  # SciPy looks at the argument's name
            spent = (time.perf_counter() - began) / seconds
            steps.add(1.0 / self.generations)
            steps.reach(spent)
            return spent > 1.0

        first = np.concatenate(start_points(space, rng), axis=1)
        values = cost(first.T)
        rows = np.argsort(values, kind="stable")[: self.population // 2]
        others = rng.permutation(len(first))[: self.population - len(rows)]
        search: Any = differential_evolution
        search(
            cost,
            bounds=[(0.0, 1.0)] * first.shape[1],
            init=np.concatenate([first[rows], first[others]]),
            maxiter=self.generations - 1,
            tol=0.0,
            vectorized=True,
            updating="deferred",
            polish=False,
            rng=rng,
            callback=is_late,
        )
        steps.end()
        return pool


def predicting(predictor: LossPredictor) -> Judge:
    """Return a judge that asks a loss predictor, on as many threads as there is work for.

    Args:
        predictor: Loss and accuracy.

    Returns:
        The judge.
    """

    def judged(part: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        levels, routing = (torch.tensor(values, dtype=torch.float32) for values in part)
        with torch.no_grad():
            found = predictor(levels, routing)
        return _plain(found.accuracy_offered), _plain(found.loss_ratio)

    def judge(levels: Floats, routing: Floats) -> tuple[Floats, Floats]:
        worth = len(levels) * predictor.steps // LEAST_STEPS
        threads = max(1, min(torch.get_num_threads(), worth))
        parts = (np.array_split(values, threads) for values in (levels, routing))
        accuracy, loss = zip(*in_threads(judged, zip(*parts, strict=True)), strict=True)
        return np.concatenate(accuracy), np.concatenate(loss)

    return judge


def asking(evaluator: Evaluator, space: ThresholdSpace) -> Judge:
    """Return a judge that asks an evaluator of early exits.

    Args:
        evaluator: Any that covers exits.
        space: What is searched.

    Returns:
        The judge.
    """

    def judge(levels: Floats, routing: Floats) -> tuple[Floats, Floats]:
        measures = evaluator.evaluate(space.candidates(levels, routing))
        accuracy = system_accuracy(space, measures.chain["accuracy_offered"], len(levels))
        return accuracy, np.asarray(measures.deployment["loss_ratio"], dtype=np.float64)

    return judge


def system_accuracy(space: ThresholdSpace, accuracy: NDArray[Any], count: int) -> Floats:
    """Return right answers over offered jobs, over the chains decided by thresholds.

    Args:
        space: What is searched.
        accuracy: Accuracy over offered of every chain of every candidate [B C].
        count: B.

    Returns:
        Accuracy [B].
    """
    chains = space.base.problem.chains
    rate = np.array([c.arrivals.rate * (c.name in space.columns) for c in chains])
    known = np.asarray(accuracy, dtype=np.float64).reshape(count, len(chains))
    return np.asarray(np.where(rate > 0, known, 0.0) @ rate / rate.sum())
