"""The actions of a stage: threshold vectors on the frontier of accuracy and work.

What a stage does to a job depends on the sample that it holds, so that actions are judged by
counting over calibration samples: those that come to the stage, each as often as it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datagen.analytic import ArrivalCounts, deterministic_counts, gamma_counts, mixed_counts
from datagen.exits import ExitTrace
from datagen.policies.exit_policy import Decision, Stage
from surrogate.exit_model import TraceExits
from surrogate.optimizers.threshold_frontier import frontier

__all__ = ["StageActions", "stage_actions"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PRICES = 32
"""Points of the frontier that actions are chosen from; the single exits come on top."""

LEAST_SHARE = 1e-9
"""Shares of jobs below are rounding."""


@dataclass(frozen=True, kw_only=True)
class StageActions:
    """Threshold vectors of one stage.

    Args:
        stage: The stage.
        decisions: The vectors [A].
        rows: Calibration sample that each of the N jobs holds that are counted over [N].
        option: Option that each job takes under each action [A, N].
        right: How likely each option answers each job rightly, passing on being the final
            classifier [N, O].
    """

    stage: Stage
    decisions: tuple[Decision, ...]
    rows: Ints = field(repr=False)
    option: Ints = field(repr=False)
    right: Floats = field(repr=False)

    @cached_property
    def mix(self) -> Floats:
        """Share of the jobs that takes each option under each action [A, O]."""
        options = np.arange(self.stage.options)
        return np.asarray((self.option[:, :, None] == options).mean(axis=1))

    @cached_property
    def _right(self) -> Floats:
        """Share of the jobs that the options taken answer rightly under each action [A]."""
        jobs = np.arange(len(self.rows))
        return np.asarray(self.right[jobs, self.option].mean(axis=1))

    def values(self, passing: float) -> Floats:
        """Return the mean worth of a job under each action [A].

        Args:
            passing: What it is worth to pass on a job that is like those passed on by all actions
                together; which of them gain more than others is told by the final classifier.

        Returns:
            Worths.
        """
        if self.stage.is_final:
            return self._right
        return self._right + self.mix[:, -1] * (passing - self._passed_right)

    @cached_property
    def _passed_right(self) -> float:
        """How likely the final classifier is right on a job passed on by any action."""
        passed = (self.option == self.stage.options - 1).sum(axis=0)
        return float(passed @ self.right[:, -1] / passed.sum())

    def counts(self, rate: float) -> list[ArrivalCounts]:
        """Return the arrivals during a service under each action.

        Args:
            rate: Poisson arrival rate at the device [1/s], > 0.

        Returns:
            Their laws [A].
        """
        stage, capacity = self.stage, int(self.stage.capacity)
        found = []
        for decision, mix in zip(self.decisions, self.mix, strict=True):
            is_open = np.append(np.array(decision.thresholds) <= 1, False)
            mean = (stage.work + np.cumsum(stage.head * is_open)) * rate / stage.servers
            variance = stage.variance + np.cumsum(stage.head_variance * is_open)
            scv = variance * (rate / stage.servers) ** 2 / mean**2
            used = mix > LEAST_SHARE
            parts = [
                deterministic_counts(m, capacity) if s == 0 else gamma_counts(m, s, capacity)
                for m, s in zip(mean[used].tolist(), scv[used].tolist(), strict=True)
            ]
            found.append(mixed_counts(parts, (mix[used] / mix[used].sum()).tolist()))
        return found


def stage_actions(
    stage: Stage,
    calibration: ExitTrace,
    belief: Floats,
    coming: Floats,
    rng: np.random.Generator,
    *,
    decisions: Sequence[Decision] | None = None,
) -> StageActions:
    """Return the actions of a stage.

    Args:
        stage: The stage.
        calibration: Recorded confidences of the network.
        belief: How likely each of its answers is right [N, E].
        coming: How likely each sample comes to the stage, not all 0 [N].
        rng: Draws the jobs that are counted over, where not all samples come alike.
        decisions: Threshold vectors; those of the frontier by default.

    Returns:
        Actions.
    """
    rows = np.arange(calibration.samples)
    if np.ptp(coming) > 0:
        rows = rng.choice(calibration.samples, size=len(rows), p=coming / coming.sum())
    exits = [stage.exit_of(option, calibration.exits) for option in range(stage.options)]
    own = ExitTrace(
        name=calibration.name,
        confidences=calibration.confidences[rows][:, exits],
        correct=calibration.correct[rows][:, exits],
    )
    right = belief[rows][:, exits]
    vectors = _frontier(own, right, stage) if decisions is None else decisions
    thresholds = np.array([vector.thresholds for vector in vectors]).reshape(len(vectors), -1)
    stops = own.confidences[None, :, :-1] >= thresholds[:, None]
    last = np.ones((*stops.shape[:2], 1), dtype=bool)
    return StageActions(
        stage=stage,
        decisions=tuple(vectors),
        rows=rows,
        option=np.concatenate([stops, last], axis=2).argmax(axis=2),
        right=right,
    )


def _frontier(own: ExitTrace, right: Floats, stage: Stage) -> list[Decision]:
    """Return the threshold vectors of the frontier."""
    if stage.options == 1:
        return [Decision(())]
    model = TraceExits(own, right=right)
    levels = np.unique(frontier(model, stage.times, prices=PRICES), axis=0)
    return [Decision(tuple(row)) for row in np.unique(model.thresholds(levels), axis=0).tolist()]


def shares_passed(actions: StageActions, samples: int) -> Floats:
    """Return how likely each calibration sample is passed on if all actions are as likely.

    Args:
        actions: Actions of a stage that is not the last.
        samples: Calibration samples N.

    Returns:
        Mean number of the jobs passed on by the sample they hold [N].
    """
    passed = (actions.option == actions.stage.options - 1).mean(axis=0)
    counted = np.bincount(actions.rows, weights=passed, minlength=samples)
    return np.asarray(counted, dtype=np.float64)
