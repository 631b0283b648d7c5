"""AdaEE: bandits that learn thresholds from the confidence that going on has gained.

An arm is a vector of thresholds of one stage. A job that leaves at the first classifier it is asked
by earns nothing; one that goes on earns what its confidence has gained, if it has, less a price of
the time that this took. Three forms: thresholds of all classifiers at once (*multi-gate*), of one
classifier (*original*), and of one classifier with a bandit for every length of the line, whose
rewards also pay for those who wait (*queue-aware*).

References:
    Pacheco, Shifrin, Couto, Menasche, Hanawal and Campista, AdaEE: adaptive early-exit DNN
    inference through multi-armed bandits, ICC 2023. Github imperial-qore/CEED (BSD 3-Clause),
    ``adaee*``; there losses of confidence are not clipped, times come without a unit, bandits start
    by undefined numbers, and the line is counted once for the choice and again for the reward.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from datagen.errors import require
from datagen.policies.exit_policy import CLOSED, Decision, ExitPolicy, Outcome, Scene, Seen, Stage
from datagen.policies.ucb import Ucb

__all__ = ["AdaEE", "AdaEEMultiGate", "AdaEEOriginal", "AdaEEQueueAware", "gained"]

Floats = NDArray[np.float64]

THRESHOLDS = tuple(round(0.5 + 0.01 * step, 2) for step in range(50))
"""Arms of one classifier: 0.50 to 0.99."""

FEW_THRESHOLDS = THRESHOLDS[::5]
"""Arms where every length of the line has its own bandit, each of which has to try them all."""

ARMS = 64
"""Vectors of thresholds of all classifiers."""

ARM_SEED = 42
"""The vectors are part of the policy, the same in every run."""

ONE_GATE_EXPLORATION = math.sqrt(2.0)
MULTI_GATE_EXPLORATION = 0.5
"""Weights of the bounds, CEED's."""

TIME_WEIGHT = 0.1
"""Confidence that a second is worth [1/s], CEED's where times are meant in milliseconds."""

QUEUE_WEIGHT = 0.1
"""Confidence that a full line is worth."""


def gained(confidence: float, before: float) -> float:
    """Return the confidence gained by going on; a loss counts as nothing.

    Args:
        confidence: Where the job left, in [0, 1].
        before: At an earlier classifier, in [0, 1].

    Returns:
        The gain, >= 0.
    """
    return max(confidence - before, 0.0)


class AdaEE(ExitPolicy):
    """What the three forms share: bandits by device, and late rewards.

    Args:
        exploration: Weight of the bounds, > 0.
        time_weight: Confidence that a second is worth [1/s], >= 0, or None for one over the longest
            time.

    Raises:
        InvalidInputError: If an argument is out of range.
    """

    def __init__(self, *, exploration: float, time_weight: float | None) -> None:
        require(exploration > 0, "exploration", "be > 0", exploration)
        proper = time_weight is None or (time_weight >= 0 and math.isfinite(time_weight))
        require(proper, "time_weight", "be >= 0", time_weight)
        self.exploration, self.time_weight = exploration, time_weight

    @abstractmethod
    def arms(self, stage: Stage) -> list[tuple[float, ...]]:
        """Return the vectors of thresholds that a stage's bandits choose from.

        Args:
            stage: The stage.

        Returns:
            Vectors, each with a threshold per classifier of the stage.
        """

    def lines(self, stage: Stage) -> int:
        """Return the number of bandits of a stage.

        Args:
            stage: The stage.

        Returns:
            One for each length of the line that is told apart, >= 1.
        """
        return 1

    def queue_cost(self, stage: Stage, line: int) -> float:
        """Return what going on costs those who wait.

        Args:
            stage: The stage.
            line: 0-based number of the bandit, which stands for the length of the line.

        Returns:
            The cost, on the scale of rewards, >= 0.
        """
        return 0.0

    def begin(self, scene: Scene, rng: np.random.Generator) -> None:
        self._scene = scene
        self._arms = [self.arms(stage) for stage in scene.stages]
        self._bandits = [
            [Ucb(len(arms), self.exploration) for _ in range(self.lines(stage))]
            for stage, arms in zip(scene.stages, self._arms, strict=True)
        ]
        self._elapsed = [elapsed_times(scene, stage) for stage in range(len(scene.stages))]
        weight = self.time_weight
        longest = max(float(times.max()) for times in self._elapsed)
        self._weight = 1.0 / longest if weight is None else weight

    def decide(self, seen: Seen) -> Decision:
        bandits = self._bandits[self._scene.posts[seen.stage]]
        line = min(seen.waiting, len(bandits) - 1)
        arm = bandits[line].pull()
        return Decision(self._arms[seen.stage][arm], (line, arm))

    def finished(self, outcome: Outcome) -> None:
        for made in outcome.made:
            assert isinstance(made.decision.tag, tuple)
            line, arm = made.decision.tag
            bandit = self._bandits[self._scene.posts[made.stage]][line]
            if outcome.exit is None:
                bandit.call_off(arm)
            else:
                bandit.reward(arm, self.reward(made.stage, line, outcome.exit, outcome.asked))

    def reward(
        self, stage: int, line: int, exit_: int, asked: Sequence[tuple[int, float]]
    ) -> float:
        """Return what a job has earned for an arm.

        Args:
            stage: Number of the stage.
            line: Bandit of the stage.
            exit_: Where the job left.
            asked: Exit and confidence of every classifier that was asked, in order; the last is
                where it left.

        Returns:
            Mean gain of confidence over the classifiers of the stage that it went past, less the
            price of the time that this took; 0 if it left at the first one.
        """
        own, times = self._scene.stages[stage], self._elapsed[stage]
        last = own.first_exit + own.classifiers
        passed = [(e, c) for e, c in asked if own.first_exit <= e < last and e < exit_]
        left_here = exit_ < last
        if left_here and not passed:
            return 0.0
        confidence = asked[-1][1]
        # Where nothing was asked, all of the time was spent without a look.
        gains = [
            gained(confidence, c) - self._weight * (times[exit_] - times[e]) for e, c in passed
        ]
        earned = sum(gains) / len(gains) if gains else -self._weight * float(times[exit_])
        return earned - self.queue_cost(own, line)


def elapsed_times(scene: Scene, number: int) -> Floats:
    """Return the mean time of service by exit from the begin of a stage on, along its path.

    Args:
        scene: The scene.
        number: Number of the stage.

    Returns:
        Times [s] [E]; 0 for exits before the stage.
    """
    end = next(stop for stop in scene.path_start[1:] if stop > number)
    times, before = np.zeros(scene.exits), 0.0
    for stage in scene.stages[number:end]:
        inside = stage.options if stage.is_final else stage.classifiers
        times[stage.first_exit : stage.first_exit + inside] = before + stage.times[:inside]
        before += float(stage.work[-1])
    return times


class AdaEEMultiGate(AdaEE):
    """Thresholds of all classifiers of a stage: points of a Latin hypercube.

    Args:
        arms: Number of points, >= 1.
        exploration: Weight of the bounds, > 0.
        time_weight: See :class:`AdaEE`.
    """

    def __init__(
        self,
        arms: int = ARMS,
        *,
        exploration: float = MULTI_GATE_EXPLORATION,
        time_weight: float | None = None,
    ) -> None:
        super().__init__(exploration=exploration, time_weight=time_weight)
        require(arms >= 1, "arms", "be >= 1", arms)
        self.points = arms

    def arms(self, stage: Stage) -> list[tuple[float, ...]]:
        if stage.classifiers == 0:
            return [()]
        cube = qmc.LatinHypercube(stage.classifiers, rng=np.random.default_rng(ARM_SEED))
        return [tuple(row) for row in (CLOSED * cube.random(self.points)).tolist()]


class AdaEEOriginal(AdaEE):
    """The threshold of one classifier of each stage; the others are closed.

    Args:
        thresholds: What it chooses from, in [0, 1].
        gate: Classifier among those of a stage, counted from 0; by default, or where there are not
            as many, the middle one.
        exploration: Weight of the bounds, > 0.
        time_weight: See :class:`AdaEE`.

    Raises:
        InvalidInputError: If an argument is out of range.
    """

    def __init__(
        self,
        thresholds: Sequence[float] = THRESHOLDS,
        *,
        gate: int | None = None,
        exploration: float = ONE_GATE_EXPLORATION,
        time_weight: float | None = TIME_WEIGHT,
    ) -> None:
        super().__init__(exploration=exploration, time_weight=time_weight)
        proper = len(thresholds) > 0 and all(0 <= x <= 1 for x in thresholds)
        require(proper, "thresholds", "hold values in [0, 1]", thresholds)
        require(gate is None or gate >= 0, "gate", "be >= 0", gate)
        self.thresholds, self.gate = tuple(thresholds), gate

    def arms(self, stage: Stage) -> list[tuple[float, ...]]:
        if stage.classifiers == 0:
            return [()]
        given = self.gate
        gate = given if given is not None and given < stage.classifiers else stage.classifiers // 2
        closed = [CLOSED] * stage.classifiers
        return [(*closed[:gate], value, *closed[gate + 1 :]) for value in self.thresholds]


class AdaEEQueueAware(AdaEEOriginal):
    """The threshold of one classifier, learnt apart for every number of jobs that wait.

    Args:
        thresholds: What it chooses from, in [0, 1].
        gate: See :class:`AdaEEOriginal`.
        exploration: Weight of the bounds, > 0.
        time_weight: See :class:`AdaEE`.
        queue_weight: Confidence that a full line is worth, >= 0.

    Raises:
        InvalidInputError: If an argument is out of range.
    """

    def __init__(
        self,
        thresholds: Sequence[float] = FEW_THRESHOLDS,
        *,
        gate: int | None = None,
        exploration: float = ONE_GATE_EXPLORATION,
        time_weight: float | None = TIME_WEIGHT,
        queue_weight: float = QUEUE_WEIGHT,
    ) -> None:
        super().__init__(thresholds, gate=gate, exploration=exploration, time_weight=time_weight)
        require(queue_weight >= 0, "queue_weight", "be >= 0", queue_weight)
        self.queue_weight = queue_weight

    def lines(self, stage: Stage) -> int:
        require(
            math.isfinite(stage.capacity),
            "capacity",
            "be finite for the queue-aware bandit",
            stage.capacity,
        )
        return int(stage.capacity)

    def queue_cost(self, stage: Stage, line: int) -> float:
        return self.queue_weight * line / stage.capacity
