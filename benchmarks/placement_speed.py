"""How many placements a search judges per second, end to end, and where the time goes."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from datagen.deployment import Deployment
from datagen.evaluation import Evaluator
from datagen.scenarios.placement import PlacementScenario
from datagen.scenarios.type1 import Type1Scenario
from surrogate.evaluator import SurrogateEvaluator
from surrogate.features.arrays import flow_arrays
from surrogate.optimizers import Annealing, Budget, PlacementSpace, optimize
from surrogate.optimizers.archive import Improvement
from surrogate.optimizers.budget import TIMERS, TimeKind
from surrogate.optimizers.moves import propose

__all__ = ["SIZES", "speeds"]

BATCH = 512
"""Candidates at once: the most that searches ask for."""

REPEATS = 7

SEARCHED = 150 * BATCH
"""Candidates of each search that is measured: a budget of so many is spent in the largest batches.
Searches by the clock take more and smaller steps, which finds better placements, not more."""

MOVES = 20
"""Moves from the start to placements as a search meets them."""


def _cluster() -> Deployment:
    sizes = {"chains": (12, 12), "length": (6, 6), "devices": (30, 30), "crowding": (2.4, 2.4)}
    return PlacementScenario(**sizes, load=(0.7, 0.7)).sample(0, 1)  # type: ignore[arg-type]


def _public() -> Deployment:
    rows = (Type1Scenario().sample(row, 1) for row in range(1000))
    return next(base for base in rows if len(base.problem.chains) == 3)


SIZES: dict[str, Callable[[], Deployment]] = {
    "30 devices, 12 chains x 6 fragments": _cluster,
    "Type I, 3 chains": _public,
}


def _searched(base: Deployment, surrogate: Evaluator, kind: TimeKind) -> float:
    """Return the candidates per second that an annealing judges, selection aside."""
    last: list[Improvement] = []
    budget = Budget(evaluations=SEARCHED, time=kind)
    optimize(base, surrogate, Annealing(), budget=budget, seed=0, callback=last.append)
    return last[-1].evaluations / last[-1].seconds


def _parts(
    base: Deployment, surrogate: SurrogateEvaluator, now: Callable[[], float]
) -> dict[str, float]:
    """Return what the parts of a round take [s per candidate]."""
    space, rng = PlacementSpace(base), np.random.default_rng(0)
    rows = np.tile(space.start, (BATCH, 1))
    for _ in range(MOVES):
        rows = propose(space, rows, rng)
    network = surrogate.release.network
    batch = space.candidates(rows).batch(laws=False)
    arrays = flow_arrays(batch)
    with torch.inference_mode():
        features = network.features(arrays)  # type: ignore[operator]
        judge = surrogate.without_details()
        calls: dict[str, Callable[[], object]] = {
            "neighbours": lambda: propose(space, rows, rng),
            "packing": lambda: space.candidates(rows).batch(laws=False),
            "arrays": lambda: flow_arrays(batch),
            "features": lambda: network.features(arrays),  # type: ignore[operator]
            "network": lambda: network.predict(arrays, features),  # type: ignore[operator]
            "evaluation, all of it": lambda: judge.evaluate(space.candidates(rows)),
            "with intervals and flags": lambda: surrogate.evaluate(space.candidates(rows)),
        }
        return {name: _median(call, now) / BATCH for name, call in calls.items()}


def _median(call: Callable[[], object], now: Callable[[], float]) -> float:
    call()
    taken = []
    for _ in range(REPEATS):
        began = now()
        call()
        taken.append(now() - began)
    return statistics.median(taken)


def speeds(surrogate: SurrogateEvaluator, kind: TimeKind) -> list[dict[str, Any]]:
    """Measure every size.

    Args:
        surrogate: The surrogate.
        kind: Which time; of processor time, one thread.

    Returns:
        Per size the candidates per second of a search, and seconds per candidate of its parts.
    """
    threads = torch.get_num_threads()
    if kind == "processor":
        torch.set_num_threads(1)
    rows = []
    for name, make in SIZES.items():
        base = make()
        rows.append({
            "size": name,
            "threads": torch.get_num_threads(),
            "placements_per_s": _searched(base, surrogate, kind),
            "seconds_per_placement": _parts(base, surrogate, TIMERS[kind]),
        })
    torch.set_num_threads(threads)
    return rows
