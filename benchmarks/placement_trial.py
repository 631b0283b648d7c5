"""One trial of a search: what it returns within a budget, and what simulation says of that."""

from __future__ import annotations

import numpy as np
import torch

from datagen.deployment import Deployment
from datagen.evaluation import Evaluator, Measures
from datagen.simulator import SimulationEvaluator
from surrogate.optimizers import Budget, PlacementSpace, Search, SearchResult, optimize
from surrogate.optimizers.budget import TimeKind
from surrogate.optimizers.proof import same_window
from surrogate.optimizers.space import Placements

__all__ = ["FLOOR", "judged", "row_of", "searched"]

FLOOR = 1e-5
"""Added to loss ratios before they are divided: one request in a hundred thousand."""

RUNS = 8
"""Independent runs of the judging simulation: enough for a standard error."""


def searched(
    start: Deployment,
    evaluator: Evaluator,
    search: Search | None,
    *,
    seconds: float,
    time: TimeKind,
    seed: int,
) -> SearchResult:
    """Run one search.

    Args:
        start: Where it starts.
        evaluator: Judges candidates.
        search: Proposes them; None for the default.
        seconds: Budget [s].
        time: Which time the budget is of; of processor time, PyTorch gets one thread.
        seed: Seed of the search.

    Returns:
        What was found.
    """
    threads = torch.get_num_threads()
    if time == "processor":
        torch.set_num_threads(1)
    try:
        return optimize(
            start, evaluator, search, budget=Budget(seconds=seconds, time=time), seed=seed
        )
    finally:
        torch.set_num_threads(threads)


def row_of(result: SearchResult) -> Placements:
    """Return a result's placement as device indices [F]."""
    return PlacementSpace(result.deployment).start


def judged(start: Deployment, rows: Placements, *, events: float, seed: int) -> Measures:
    """Simulate placements by one long run that no search had a part in, on common random numbers.

    Args:
        start: A deployment of the problem.
        rows: Placements [N, F].
        events: Events of each, all runs together.
        seed: Seed that no search uses.

    Returns:
        Their measures.
    """
    space = PlacementSpace(start)
    options = same_window(start.problem, events=events, replications=RUNS, seed=seed)
    return SimulationEvaluator(options).evaluate(space.candidates(np.atleast_2d(rows)))
