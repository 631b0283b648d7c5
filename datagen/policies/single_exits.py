"""Policies that choose one exit per job without looking: the last, the first, any, or by a mix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.policies.exit_policy import Decision, ExitPolicy, Scene, Seen, Stage

__all__ = ["ExitFirst", "ExitLast", "ExitMixed", "ExitRandom", "FixedThresholds", "drawn_option"]

Floats = NDArray[np.float64]

SUM_TOLERANCE = 1e-9
"""Slack for probabilities written as decimal fractions."""


def drawn_option(cumulative: Sequence[float], uniform: float) -> int:
    """Return the option that a uniform number falls to.

    Rounding can neither give a negative share nor fall behind the last option: what lies beyond all
    bounds is the last one that has a share.

    Args:
        cumulative: Running sums of shares [O].
        uniform: In [0, 1).

    Returns:
        0-based option.

    Example:
        >>> drawn_option([0.25, 0.25, 1.0], 0.25)
        2
    """
    level = uniform * cumulative[-1]
    return next((o for o, bound in enumerate(cumulative) if level < bound), len(cumulative) - 1)


class ExitLast(ExitPolicy):
    """All jobs go to the end: what a network without early exits does."""

    def begin(self, scene: Scene, rng: np.random.Generator) -> None:
        self._decisions = [stage.single[-1] for stage in scene.stages]

    def decide(self, seen: Seen) -> Decision:
        return self._decisions[seen.stage]


class ExitFirst(ExitPolicy):
    """All jobs leave at the first exit they come to."""

    def begin(self, scene: Scene, rng: np.random.Generator) -> None:
        self._decisions = [stage.single[0] for stage in scene.stages]

    def decide(self, seen: Seen) -> Decision:
        return self._decisions[seen.stage]


class ExitMixed(ExitPolicy):
    """Jobs leave at exits drawn from one mix, whatever the queue: CEED's ``specify``.

    Args:
        p: Share of the jobs of each exit [E], >= 0, sum 1. A job that has come to a later step of
            its path draws among the exits that are left.

    Raises:
        InvalidInputError: If these are no probabilities; from :meth:`begin`, if there is not one
            per exit.
    """

    def __init__(self, p: Sequence[float]) -> None:
        self.p = np.asarray(p, dtype=np.float64)
        proper = self.p.ndim == 1 and bool(np.all(np.isfinite(self.p) & (self.p >= 0)))
        summing = proper and abs(self.p.sum() - 1.0) <= SUM_TOLERANCE
        require(summing, "p", "be >= 0 and sum to 1", p)

    def begin(self, scene: Scene, rng: np.random.Generator) -> None:
        matching = len(self.p) == scene.exits
        require(matching, "p", f"hold {scene.exits} values", self.p.tolist())
        self._rng = rng
        self._stages = scene.stages
        self._cumulative = [_cumulative(stage, self.p) for stage in scene.stages]

    def decide(self, seen: Seen) -> Decision:
        option = drawn_option(self._cumulative[seen.stage], self._rng.random())
        return self._stages[seen.stage].single[option]


def _cumulative(stage: Stage, p: Floats) -> list[float]:
    """Return running sums over a stage's options; passing on stands for all exits behind it."""
    shares = p[stage.first_exit :]
    own = stage.options if stage.is_final else stage.classifiers
    parts = list(shares[:own])
    if not stage.is_final:
        parts.append(shares[own:].sum())
    if sum(parts) == 0:  # nobody was to come here
        parts[-1] = 1.0
    return [float(x) for x in np.cumsum(parts)]


class ExitRandom(ExitPolicy):
    """Jobs leave at any exit, each as likely."""

    def begin(self, scene: Scene, rng: np.random.Generator) -> None:
        self._inner = ExitMixed([1.0 / scene.exits] * scene.exits)
        self._inner.begin(scene, rng)

    def decide(self, seen: Seen) -> Decision:
        return self._inner.decide(seen)


class FixedThresholds(ExitPolicy):
    """Fixed thresholds: what a deployment says without any policy.

    Args:
        tau: Threshold of each intermediate classifier of the network [E - 1], >= 0; above 1 closes
            it.

    Raises:
        InvalidInputError: From :meth:`begin`, if there is not one per intermediate classifier.
    """

    def __init__(self, tau: Sequence[float]) -> None:
        self.tau = tuple(float(x) for x in tau)

    def begin(self, scene: Scene, rng: np.random.Generator) -> None:
        matching = len(self.tau) == scene.exits - 1
        require(matching, "tau", f"hold {scene.exits - 1} values", self.tau)
        self._decisions = [
            Decision(self.tau[stage.first_exit : stage.first_exit + stage.classifiers])
            for stage in scene.stages
        ]

    def decide(self, seen: Seen) -> Decision:
        return self._decisions[seen.stage]
