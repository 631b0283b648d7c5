"""Placement: which device runs which fragment."""

from __future__ import annotations

from collections.abc import Sequence

from datagen.deployment import Deployment, Problem
from datagen.errors import require
from datagen.evaluation import Evaluator
from surrogate.optimizers.budget import Budget
from surrogate.optimizers.constraints import Constraint
from surrogate.optimizers.driver import Callback, optimize
from surrogate.optimizers.objective import Objective
from surrogate.optimizers.result import SearchResult
from surrogate.optimizers.search import Search
from surrogate.optimizers.state import SearchState
from surrogate.optimizers.watch import Watch, unwatched

__all__ = ["place"]


def place(
    problem: Problem,
    evaluator: Evaluator,
    budget: Budget,
    seed: int = 0,
    start: Deployment | None = None,
    callback: Callback | None = None,
    *,
    search: Search | None = None,
    objective: Objective | Sequence[Objective] | None = None,
    constraints: Sequence[Constraint] = (),
    resume: SearchState | None = None,
    watch: Watch = unwatched,
) -> SearchResult:
    """Find a placement that loses little, and prove it by simulation.

    Args:
        problem: What is given.
        evaluator: Judges placements: a surrogate, the analytic evaluator or the simulator.
        budget: What search and selection may spend.
        seed: Seed of everything random, >= 0.
        start: Where to start and what to compare with; least-loaded by default.
        callback: Told of the progress after every batch.
        search: Proposes placements; by default annealing, after the analytic approximation has
            searched, and NSGA-II for several objectives.
        objective: What is minimised, the system loss ratio by default; several give a front.
        constraints: Limits that must be kept besides the memory.
        resume: State of an earlier run to go on from.
        watch: Told how far the proof is, which comes after the search.

    Returns:
        The best placement that fits the memory of the devices and keeps the limits, or, if none was
        found, the one that breaks these rules least.

    Raises:
        InvalidInputError: If the start is of another problem.
    """
    if start is not None:
        require(start.problem == problem, "start", "be a deployment of the problem", "another")
    return optimize(
        problem if start is None else start,
        evaluator,
        search,
        budget=budget,
        seed=seed,
        objective=objective,
        constraints=constraints,
        callback=callback,
        resume=resume,
        watch=watch,
    )
