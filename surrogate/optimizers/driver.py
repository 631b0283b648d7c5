"""The driver: runs any search on any evaluator within a budget, then proves the winner."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from datagen.deployment import Deployment, Problem
from datagen.errors import require
from datagen.evaluation import Evaluator, Measures
from surrogate.optimizers.baselines import least_loaded_start, random_placements
from surrogate.optimizers.budget import Budget
from surrogate.optimizers.constraints import Constraint, LimitViolation, Violation
from surrogate.optimizers.goal import MISFIT, Goal
from surrogate.optimizers.objective import Objective
from surrogate.optimizers.pace import Pace
from surrogate.optimizers.proof import FINALISTS, Proof
from surrogate.optimizers.result import (
    FrontPoint,
    Outcome,
    SearchResult,
    Status,
    Valued,
    violations,
)
from surrogate.optimizers.run import Callback, Run
from surrogate.optimizers.screening import default_search
from surrogate.optimizers.search import Search
from surrogate.optimizers.selection import Selection
from surrogate.optimizers.space import Placements, PlacementSpace
from surrogate.optimizers.state import SearchState
from surrogate.optimizers.watch import Watch, unwatched

__all__ = ["Callback", "optimize", "search_through"]

_log = logging.getLogger(__name__)

PROBED = 4
"""Random placements that an evaluator is asked about, besides the start, to see what it knows."""

FRONT_PROVED = 16
"""Points of a front that are simulated: as many as a plot shows apart."""


def optimize(
    problem: Problem | Deployment,
    evaluator: Evaluator,
    search: Search | None = None,
    *,
    budget: Budget,
    seed: int = 0,
    objective: Objective | Sequence[Objective] | None = None,
    constraints: Sequence[Constraint] = (),
    callback: Callback | None = None,
    resume: SearchState | None = None,
    watch: Watch = unwatched,
) -> SearchResult:
    """Search the placements of a problem and prove the best by simulation.

    The clock starts when the evaluator is warm and covers search and selection. The best candidates
    and the start are then simulated on one seed set, the winner is verified on another, outside the
    budget. Ctrl-C ends the search early and keeps the incumbent.

    Args:
        problem: A problem, searched from the least-loaded placement, or the deployment to start
            from, all of whose other decisions are kept.
        evaluator: Judges the candidates.
        search: Proposes them; by default annealing, after the analytic approximation has searched,
            and NSGA-II for several objectives.
        budget: What may be spent, from now on where a run is resumed.
        seed: Seed of search, selection and verification, >= 0.
        objective: What is minimised; the system loss ratio by default. Of several, the first
            decides which candidate is chosen, and the result has a front.
        constraints: Limits that must be kept besides the memory.
        callback: Told of the progress after every batch.
        resume: State of a run of the same search with the same seed on the same problem, to go on
            from as if it had never stopped.
        watch: Told how far the proof is, which comes after the search.

    Returns:
        The best placement that keeps the rules, or the one that breaks them least; never worse than
        a start that keeps them on the seeds of the selection.

    Raises:
        NotSupportedError: If evaluator or simulator do not cover the problem, or do not know what
            is minimised or limited.
        InvalidInputError: If the search does not take several objectives and there are, or the
            state is of another run.
    """
    base = problem if isinstance(problem, Deployment) else least_loaded_start(problem)
    space = PlacementSpace(base)
    goal = Goal.of(objective, constraints)
    search = search or default_search(space, evaluator, goal)
    return search_through(
        space,
        evaluator,
        search,
        budget=budget,
        seed=seed,
        goal=goal,
        callback=callback,
        resume=resume,
        probes=lambda: _probes(space),
        watch=watch,
    )


def search_through(
    space: PlacementSpace,
    evaluator: Evaluator,
    search: Search,
    *,
    budget: Budget,
    seed: int,
    goal: Goal,
    callback: Callback | None,
    resume: SearchState | None,
    probes: Callable[[], Placements],
    finalists: int = FINALISTS,
    typical: Placements | None = None,
    watch: Watch = unwatched,
) -> SearchResult:
    """Search any space: what :func:`optimize` does with that of placements.

    Args:
        space: What is searched.
        evaluator: As for :func:`optimize`.
        search: Proposes rows of the space.
        budget: As for :func:`optimize`.
        seed: As for :func:`optimize`.
        goal: What is minimised and limited.
        callback: As for :func:`optimize`.
        resume: As for :func:`optimize`.
        probes: Rows that tell whether the evaluator knows what is limited [B, F].
        finalists: Largest number of candidates that are simulated before one is chosen.
        typical: As for :class:`~surrogate.optimizers.proof.Proof`.
        watch: As for :func:`optimize`.

    Returns:
        As for :func:`optimize`.

    Raises:
        NotSupportedError: As for :func:`optimize`.
        InvalidInputError: As for :func:`optimize`.
    """
    began = time.perf_counter()
    able = search.takes_several or len(goal.objectives) == 1
    require(able, "objective", f"be one for {type(search).__name__}", list(goal.names))
    search_seed, seed_a, seed_b = _seeds(seed)
    search.begin(space, np.random.default_rng(search_seed))
    spent = 0 if resume is None else resume.evaluations
    proof = Proof(
        space,
        selection_seed=seed_a,
        verification_seed=seed_b,
        budget=budget,
        finalists=finalists,
        typical=typical,
        watch=watch,
    )
    pace = Pace(budget, reserve=proof.reserve, planned=budget.laid_out_for(spent))
    _require_known(space, evaluator, goal, probes)
    judge = evaluator.without_details()
    pace.warm_up(lambda count: judge.evaluate(space.repeated_start(count)))
    clock = budget.start(evaluations=spent, seconds=0.0 if resume is None else resume.seconds)
    run = Run(space, evaluator, search, goal, clock, seed, finalists)
    if resume is not None:
        run.restore(resume)
    status = run.to_the_end(pace, proof.reserve, callback)
    chosen, selection, status = _selected(run, proof, status)
    return replace(_proved(run, proof, chosen, status, began), selection=selection)


def _require_known(
    space: PlacementSpace, evaluator: Evaluator, goal: Goal, probes: Callable[[], Placements]
) -> None:
    """Refuse an evaluator that cannot tell what is asked for."""
    known = np.isfinite(goal.plain(evaluator.evaluate(space.repeated_start(1)))).all()
    if known and not goal.constraints:
        return
    probed = np.concatenate([space.start[None], probes()])
    goal.require_known(evaluator.evaluate(space.candidates(probed)))


def _probes(space: PlacementSpace) -> Placements:
    """Return random placements, and some that crowd on each device [B, F].

    What one device cannot tell, as its power, most placements cannot.
    """
    crowded = np.where(space.allowed.T, np.arange(space.devices)[:, None], space.choices[:, 0])
    rows = random_placements(space, PROBED, np.random.default_rng(0))
    return np.concatenate([rows, crowded])


def _proved(
    run: Run, proof: Proof, chosen: Placements, status: Status, began: float
) -> SearchResult:
    """Stop the clock, verify what was chosen and gather the result."""
    seconds, space, goal = run.clock.seconds, run.space, run.goal
    front = run.front.spread(FRONT_PROVED)
    rows = np.concatenate([chosen[None], front])
    predicted = run.evaluator.evaluate(space.candidates(rows))
    verified = _verified(proof, np.concatenate([space.start[None], rows]))
    objectives = {"predicted": Valued.of(goal, predicted, 0)}
    broken: list[Violation | LimitViolation] = [*violations(space, chosen)]
    chosen_deployment = space.candidates(rows).deployment(0)
    outcomes = [Outcome.unknown()] * 2
    if verified is not None:
        both = (space.base, chosen_deployment)
        outcomes = [Outcome.of(verified, index, item) for index, item in enumerate(both)]
        objectives["start"] = Valued.of(goal, verified, 0)
        objectives["verified"] = Valued.of(goal, verified, 1)
    for constraint in goal.constraints:
        judged = (predicted, 0) if verified is None else (verified, 1)
        broken += constraint.violations(*judged)
    return SearchResult(
        deployment=chosen_deployment,
        start_deployment=space.base,
        predicted=Outcome.of(predicted, 0),
        start=outcomes[0],
        verified=outcomes[1],
        evaluations=run.clock.evaluations,
        seconds=seconds,
        seconds_total=time.perf_counter() - began,
        status=status,
        violations=tuple(broken),
        history=tuple(run.archive.history),
        seed=run.seed,
        objectives=objectives,
        front=tuple(
            FrontPoint(
                deployment=space.candidates(rows).deployment(1 + index),
                predicted=Valued.of(goal, predicted, 1 + index),
                verified=None if verified is None else Valued.of(goal, verified, 2 + index),
            )
            for index in range(len(front))
        ),
        state=run.state(),
    )


def _seeds(seed: int) -> tuple[int, int, int]:
    """Seeds of the search, of selection (A) and of verification (B)."""
    state = np.random.SeedSequence(seed).generate_state(3, np.uint32).tolist()
    return state[0], state[1], state[2]


def _selected(
    run: Run, proof: Proof, status: Status
) -> tuple[Placements, Selection | None, Status]:
    """Choose among the finalists and the start by simulation; without finalists, the start."""
    archive, start = run.archive, run.space.start
    if len(archive.values) == 0:
        return start, None, status
    if archive.best >= MISFIT:
        fits = run.space.excess(start[None])[0] <= 0
        return (start if fits else archive.placements[0]), None, status
    fitting = archive.placements[archive.values < MISFIT][: proof.finalists]
    rows = np.concatenate([start[None], fitting[(fitting != start).any(axis=1)]])
    try:
        selection = proof.selected(rows, run.goal, run.clock)
    except KeyboardInterrupt:
        _log.warning("selection interrupted: the incumbent is as predicted, not as simulated")
        return fitting[0], None, "interrupted"
    return rows[selection.chosen], selection, status


def _verified(proof: Proof, rows: Placements) -> Measures | None:
    """Simulate placements on fresh seeds; None if that was broken off."""
    try:
        return proof.verified(rows)
    except KeyboardInterrupt:
        _log.warning("verification interrupted: nothing is proved")
        return None
