"""Thresholds by arrival rate, found by Bayesian optimization on recorded confidences.

At each of a few rates the thresholds are searched that are the most accurate on calibration
samples, less a penalty for the loss ratio beyond the target. Losses are those of the two-moment
formula at every device, its services being the mixture that the thresholds cause. Each rate starts
from the best thresholds of the rate before.

A variable is the share of confidences below an exit's threshold: 0 lets all samples leave and 1
closes the exit, however sure a network is of itself.

References:
    Github imperial-qore/CEED (BSD 3-Clause), ``bo_offline_scheduler``: 232 rates, each from
    scratch. There a loss below the target earns a bonus, a variance is taken for a standard
    deviation, and the loss formula is used where it means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datagen.analytic.two_moment_loss import two_moment_loss
from datagen.errors import require
from datagen.exits.counts import count_exits
from datagen.policies.exit_policy import CLOSED, Scene, Stage
from datagen.policies.threshold_table import ThresholdTable
from surrogate.optimizers.gaussian_process import (
    expected_improvement,
    log_likelihood,
    normal_scores,
    posterior,
)

__all__ = ["MOST_RATES", "bayesian_table", "predicted"]

Floats = NDArray[np.float64]

MOST_RATES = 12
"""Rates of a table: neighbours among more would differ by the noise of the search."""

PENALTY = 100.0
"""Accuracy that a loss ratio of 1 beyond the target costs: CEED's."""

FIRST = 8
"""Points that are looked at before a model is fitted, those of the rate before included."""

KEPT = 3
"""Best points of a rate that the next one starts from."""

ROUNDS = 40
"""Points that the model chooses at each rate."""

POOL = 256
"""Points among which it chooses, half of them neighbours of the best."""

SPREAD = 0.15
"""Standard deviation of the neighbours' coordinates."""

SCALES = (0.3, 0.6, 1.2)
"""Mean distances of coordinates over which values change: what the fit chooses from."""


def predicted(scene: Scene, rate: float, thresholds: Floats) -> tuple[Floats, Floats]:
    """Return what thresholds lead to, by calibration samples and the two-moment loss.

    Args:
        scene: The chain; its buffers are finite.
        rate: Its Poisson arrival rate [1/s], > 0.
        thresholds: Thresholds of its classifiers [B, E - 1].

    Returns:
        Accuracy of the jobs that are not lost and loss ratio of all [B].
    """
    counts = count_exits(scene.calibration, thresholds)
    lost = np.zeros(len(thresholds))
    firsts = {scene.stages[n].device: scene.stages[n].rate for n in scene.path_start[:-1]}
    factor = rate / sum(firsts.values())
    for post in sorted(set(scene.posts)):
        stage = scene.stages[post]
        reached = counts.mix[:, stage.first_exit :].sum(axis=1)
        for row in np.flatnonzero(reached > 0).tolist():
            mean, square = _service(stage, counts.mix[row], thresholds[row])
            coming = factor * stage.rate * reached[row]
            scv = max(square / mean**2 - 1.0, 0.0)
            loss = two_moment_loss(coming * mean / stage.servers, scv, int(stage.capacity))
            lost[row] += loss * coming / rate
    return counts.overall_accuracy, np.minimum(lost, 1.0)


def _service(stage: Stage, mix: Floats, thresholds: Floats) -> tuple[float, float]:
    """Return mean [s] and mean square [s^2] of the service of the jobs that come to a stage."""
    own = stage.first_exit + np.arange(stage.classifiers)
    shares = np.append(mix[own], mix[stage.first_exit + stage.classifiers :].sum())
    is_open = np.append(thresholds[own] <= 1, False)
    mean = stage.work + np.cumsum(stage.head * is_open)
    variance = stage.variance + np.cumsum(stage.head_variance * is_open)
    shares = shares / shares.sum()
    return float(shares @ mean), float(shares @ (mean**2 + variance))


def bayesian_table(
    scene: Scene, rates: Sequence[float], loss_target: float, *, seed: int = 0
) -> ThresholdTable:
    """Search thresholds for several arrival rates.

    Args:
        scene: The chain; its buffers are finite.
        rates: Arrival rates of the chain [1/s], increasing, at most ``MOST_RATES``.
        loss_target: Largest loss ratio, in (0, 1).
        seed: Seed of the search, >= 0.

    Returns:
        The table.

    Raises:
        InvalidInputError: If an argument is out of range or a buffer is unlimited.
    """
    require(1 <= len(rates) <= MOST_RATES, "rates", f"number 1 to {MOST_RATES}", len(rates))
    require(0 < loss_target < 1, "loss_target", "lie in (0, 1)", loss_target)
    for stage in scene.stages:
        require(bool(np.isfinite(stage.capacity)), "capacity", "be finite", stage.capacity)
    rng = np.random.default_rng(seed)
    points = rng.random((FIRST, scene.exits - 1))
    found = []
    for rate in rates:
        points = _searched(scene, rate, loss_target, points, rng)
        found.append(tuple(_thresholds(scene, points[:1])[0].tolist()))
        points = np.concatenate([points[:KEPT], rng.random((FIRST - KEPT, scene.exits - 1))])
    return ThresholdTable(rates=tuple(float(x) for x in rates), thresholds=tuple(found))


def _searched(
    scene: Scene, rate: float, loss_target: float, points: Floats, rng: np.random.Generator
) -> Floats:
    """Return all points looked at for one rate, the best first."""

    def cost(rows: Floats) -> Floats:
        accuracy, loss = predicted(scene, rate, _thresholds(scene, rows))
        return PENALTY * np.maximum(loss - loss_target, 0.0) - accuracy

    values = cost(points)
    for _ in range(ROUNDS):
        chosen = _next_point(points, values, rng)
        points = np.concatenate([points, chosen])
        values = np.concatenate([values, cost(chosen)])
    return np.asarray(points[np.argsort(values, kind="stable")])


def _next_point(points: Floats, values: Floats, rng: np.random.Generator) -> Floats:
    """Return the point of a pool that promises most [1, E - 1]."""
    width = points.shape[1]
    best = points[np.argsort(values, kind="stable")[:KEPT]]
    parents = best[np.arange(POOL // 2) % len(best)]
    near = np.clip(parents + rng.normal(0.0, SPREAD, parents.shape), 0.0, 1.0)
    pool = np.concatenate([near, rng.random((POOL // 2, width))])
    every, scores = np.concatenate([points, pool]), normal_scores(values)
    squares = ((every[:, None] - every[None]) ** 2).mean(axis=2)
    seen = slice(len(points))
    scale = max(
        SCALES, key=lambda length: log_likelihood(_kernel(squares[seen, seen], length), scores)
    )
    mean, root = posterior(_kernel(squares, scale), scores)
    gain = expected_improvement(mean, root, float(scores.min()))
    return np.asarray(pool[[int(gain.argmax())]])


def _kernel(squares: Floats, scale: float) -> Floats:
    return np.asarray(np.exp(-0.5 * squares / scale**2))


def _thresholds(scene: Scene, points: Floats) -> Floats:
    """Return the thresholds below which points say that so many confidences lie."""
    confidences = np.sort(scene.calibration.confidences[:, :-1], axis=0)
    place = np.floor(points * len(confidences)).astype(int)
    inside = np.minimum(place, len(confidences) - 1)
    found = np.take_along_axis(confidences, inside, axis=0)
    return np.where(place < len(confidences), found, CLOSED)
