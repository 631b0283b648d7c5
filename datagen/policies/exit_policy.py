"""What an online exit policy is: it decides where a job may leave when its service starts.

A chain's policy is asked at every step of every job, at the moment a server takes the job, and sees
the true state of that device. Its answer is a threshold per classifier inside the step; a policy
that chooses one exit opens that one alone. Later it is told how jobs fared: which classifiers were
asked, how sure they were, and where the job left; never whether the answer was right, which nobody
knows online.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.exits import ExitTrace

__all__ = ["CLOSED", "Decision", "ExitPolicy", "Made", "Outcome", "Scene", "Seen", "Stage"]

Floats = NDArray[np.float64]

CLOSED = 1.01
"""Threshold of a classifier that is not asked: no confidence is above 1."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A step of a chain, as its policy knows it from profiling.

    The *options* of a step are to leave at each of its exits and, unless it is the last step, to be
    passed on behind it; passing on is the last option.

    Args:
        device: 0-based device.
        capacity: Jobs that the device holds, those in service included; inf if unlimited.
        servers: Its servers.
        rate: Rate at which jobs, of any chain and path, would come to the device if none left or
            were lost before [1/s].
        first_exit: First exit of the chain that lies in the step or behind it.
        is_final: Whether the chain ends here, its final classifier being the last option.
        work: Mean time up to each option, classifiers apart [s], ascending [O].
        variance: Variance of it [s^2] [O].
        head: Mean time of the intermediate classifier of each option, 0 of one that has none [s]
            [O].
        head_variance: Variance of it [s^2] [O].
    """

    device: int
    capacity: float
    servers: int
    rate: float
    first_exit: int
    is_final: bool
    work: Floats
    variance: Floats
    head: Floats
    head_variance: Floats

    @property
    def options(self) -> int:
        """Number of options."""
        return len(self.work)

    @property
    def classifiers(self) -> int:
        """Number of intermediate classifiers inside the step."""
        return self.options - 1

    @cached_property
    def times(self) -> Floats:
        """Mean time of a job by its option, if no other classifier is asked [s] [O]."""
        return self.work + self.head

    @cached_property
    def variances(self) -> Floats:
        """Variance of it [s^2] [O]."""
        return self.variance + self.head_variance

    @cached_property
    def single(self) -> tuple[Decision, ...]:
        """The decision for each option that no job evades [O]."""
        return tuple(self.only(option) for option in range(self.options))

    def only(self, option: int, tag: object = None) -> Decision:
        """Return the decision for one option, see :attr:`single`.

        Args:
            option: 0-based option.
            tag: See :class:`Decision`.

        Returns:
            The decision.
        """
        thresholds = [CLOSED] * self.classifiers
        if option < self.classifiers:
            thresholds[option] = 0.0
        return Decision(tuple(thresholds), tag)

    def exit_of(self, option: int, exits: int) -> int:
        """Return the exit that an option stands for; passing on counts as the final classifier.

        Args:
            option: 0-based option.
            exits: Exits of the network.

        Returns:
            0-based exit.
        """
        passed_on = option == self.options - 1 and not self.is_final
        return exits - 1 if passed_on else self.first_exit + option


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a policy is told before the first job.

    Args:
        stages: Steps of all paths, one path after the other.
        calibration: Recorded answers of the network, other ones than those that jobs meet.
        path_start: First stage of each path, and the total [P + 1].
    """

    stages: tuple[Stage, ...]
    calibration: ExitTrace = field(repr=False)
    path_start: tuple[int, ...]

    @cached_property
    def posts(self) -> tuple[int, ...]:
        """The first stage that is like each: the same exits on the same device, on any path [S]."""
        alike = [(stage.device, stage.first_exit, stage.options) for stage in self.stages]
        return tuple(alike.index(own) for own in alike)

    @property
    def exits(self) -> int:
        """Exits of the network, E."""
        return self.calibration.exits

    @cached_property
    def accuracy(self) -> Floats:
        """Share of right answers if all leave at one exit [E]."""
        return np.asarray(self.calibration.correct.mean(axis=0), dtype=np.float64)

    @cached_property
    def confidence(self) -> Floats:
        """Mean confidence at each exit [E]."""
        return np.asarray(self.calibration.confidences.mean(axis=0), dtype=np.float64)

    def by_option(self, stage: Stage, values: Floats) -> Floats:
        """Return the values of the exits that a stage's options stand for.

        Args:
            stage: The stage.
            values: A value per exit [E].

        Returns:
            A value per option [O].
        """
        return values[[stage.exit_of(option, self.exits) for option in range(stage.options)]]


class Seen(NamedTuple):
    """The state in which a policy decides: that of the device, the moment a service starts.

    Args:
        stage: Number of the stage.
        time: Now [s].
        jobs: Jobs at the device, waiting and in service, this one included.
        busy: Those in service, this one included.
    """

    stage: int
    time: float
    jobs: int
    busy: int

    @property
    def waiting(self) -> int:
        """Jobs that wait."""
        return self.jobs - self.busy


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy decides for one job at one stage.

    Args:
        thresholds: One per intermediate classifier of the stage: the job leaves at the first whose
            confidence reaches it. One above 1 is not asked and takes no time.
        tag: Whatever the policy wants to find again in the job's outcome.
    """

    thresholds: tuple[float, ...]
    tag: object = None


class Made(NamedTuple):
    """A decision that was made about a job.

    Args:
        stage: Number of the stage.
        decision: The decision.
    """

    stage: int
    decision: Decision


class Outcome(NamedTuple):
    """How a job fared.

    Args:
        time: When it left or was lost [s].
        made: What was decided about it, stage by stage.
        exit: Where it left, or None where it was lost.
        asked: Exit and confidence of every classifier that was asked, in order.
    """

    time: float
    made: tuple[Made, ...]
    exit: int | None
    asked: tuple[tuple[int, float], ...]


class ExitPolicy(ABC):
    """Decides for the jobs of one chain where they may leave."""

    @abstractmethod
    def begin(self, scene: Scene, rng: np.random.Generator) -> None:
        """Prepare for a run; whatever was learnt in an earlier one is forgotten.

        Args:
            scene: What is known in advance.
            rng: The policy's own random numbers.
        """

    @abstractmethod
    def decide(self, seen: Seen) -> Decision:
        """Decide about the job that a server has just taken.

        Args:
            seen: The state.

        Returns:
            The decision.
        """

    def arrived(self, device: int, time: float, admitted: bool) -> None:  # noqa: B027
        """Take note that a job, of this chain or another one with a policy, has come to a device.

        Args:
            device: 0-based device, one of the chain's stages.
            time: Now [s].
            admitted: Whether there was room; otherwise the job is lost.
        """

    def finished(self, outcome: Outcome) -> None:  # noqa: B027
        """Take note of how a job fared, at the moment it leaves or is lost.

        Args:
            outcome: What happened to it.
        """
