"""The driver: runs any search on any evaluator within a budget, then proves the winner."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np

from datagen.deployment import Deployment, Problem
from datagen.evaluation import Evaluator
from surrogate.optimizers.annealing import Annealing
from surrogate.optimizers.archive import Archive, Improvement
from surrogate.optimizers.baselines import least_loaded_start
from surrogate.optimizers.budget import Budget, Clock
from surrogate.optimizers.objective import MISFIT, Objective, SystemLoss, penalized
from surrogate.optimizers.pace import Pace
from surrogate.optimizers.proof import FINALISTS, Proof
from surrogate.optimizers.result import Outcome, SearchResult, Status, violations
from surrogate.optimizers.search import Search
from surrogate.optimizers.space import Placements, PlacementSpace

__all__ = ["Callback", "optimize"]

_log = logging.getLogger(__name__)

Callback = Callable[[Improvement], None]
"""Called after every batch with the evaluations and seconds so far and the incumbent's value; to
stop a search it may raise KeyboardInterrupt."""


def optimize(
    problem: Problem | Deployment,
    evaluator: Evaluator,
    search: Search | None = None,
    *,
    budget: Budget,
    seed: int = 0,
    objective: Objective | None = None,
    callback: Callback | None = None,
) -> SearchResult:
    """Search the placements of a problem and prove the best by simulation.

    The clock starts when the evaluator is warm and covers search and selection. The best candidates
    and the start are then simulated on one seed set, the winner is verified on another, outside the
    budget. Ctrl-C ends the search early and keeps the incumbent.

    Args:
        problem: A problem, searched from the least-loaded placement, or the deployment to start
            from, all of whose other decisions are kept.
        evaluator: Judges the candidates.
        search: Proposes them; annealing by default.
        budget: What may be spent.
        seed: Seed of search, selection and verification, >= 0.
        objective: What is minimised; the system loss ratio by default.
        callback: Told of the progress after every batch.

    Returns:
        The best placement that fits, or the one that exceeds the memory least; never worse than a
        fitting start on the seeds of the selection.

    Raises:
        NotSupportedError: If evaluator or simulator do not cover the problem.
    """
    began = time.perf_counter()
    base = problem if isinstance(problem, Deployment) else least_loaded_start(problem)
    space = PlacementSpace(base)
    search, objective = search or Annealing(), objective or SystemLoss()
    search_seed, seed_a, seed_b = _seeds(seed)
    search.begin(space, np.random.default_rng(search_seed))
    proof = Proof(space, selection_seed=seed_a, verification_seed=seed_b, seconds=budget.seconds)
    pace = Pace(budget, reserve=proof.reserve)
    pace.warm_up(lambda count: evaluator.evaluate(space.repeated_start(count)))
    run = _Run(space, evaluator, search, objective, budget.start())
    status = run.to_the_end(pace, proof.reserve, callback)
    chosen, status = _selected(space, proof, objective, run.archive, status)
    return _proved(run, proof, chosen, status, seed, began)


def _proved(
    run: _Run, proof: Proof, chosen: Placements, status: Status, seed: int, began: float
) -> SearchResult:
    """Stop the clock, verify what was chosen and gather the result."""
    seconds = run.clock.seconds
    start, verified = _verified(run.space, proof, chosen)
    candidate = run.space.candidates(chosen[None])
    return SearchResult(
        deployment=candidate.deployment(0),
        start_deployment=run.space.base,
        predicted=Outcome.of(run.evaluator.evaluate(candidate), 0),
        start=start,
        verified=verified,
        evaluations=run.clock.evaluations,
        seconds=seconds,
        seconds_total=time.perf_counter() - began,
        status=status,
        violations=violations(run.space, chosen),
        history=tuple(run.archive.history),
        seed=seed,
    )


def _seeds(seed: int) -> tuple[int, int, int]:
    """Seeds of the search, of selection (A) and of verification (B)."""
    state = np.random.SeedSequence(seed).generate_state(3, np.uint32).tolist()
    return state[0], state[1], state[2]


class _Run:
    """One search under way.

    Args:
        space: The placements of the problem.
        evaluator: Judges candidates.
        search: Proposes them.
        objective: What is minimised.
        clock: The running budget.
    """

    def __init__(
        self,
        space: PlacementSpace,
        evaluator: Evaluator,
        search: Search,
        objective: Objective,
        clock: Clock,
    ) -> None:
        self.space, self.evaluator, self.clock = space, evaluator, clock
        self._search, self._objective = search, objective
        self.archive = Archive(FINALISTS, space.slots)

    def to_the_end(self, pace: Pace, reserve: float, callback: Callback | None) -> Status:
        """Ask, evaluate and tell until a limit is reached."""
        clock = self.clock
        try:
            while not self._search.finished:
                limit = clock.reached(reserve)
                if limit is not None:
                    return limit
                self._search.progress = clock.spent(reserve)
                began, count = clock.seconds, pace.size(clock)
                self._round(count)
                pace.saw(count, clock.seconds - began)
                if callback is not None:
                    callback(self._progress())
        except KeyboardInterrupt:
            _log.warning("search interrupted after %d evaluations", clock.evaluations)
            return "interrupted"
        return "completed"

    def _round(self, count: int) -> None:
        candidates = self._search.ask(count)
        measures = self.evaluator.evaluate(candidates)
        values = self._objective.values(measures)
        values = penalized(values, self.space.excess(candidates.placement))
        self.clock.evaluations += len(candidates)
        self.archive.add(
            candidates.placement,
            values,
            evaluations=self.clock.evaluations,
            seconds=self.clock.seconds,
        )
        self._search.tell(candidates, values)

    def _progress(self) -> Improvement:
        return Improvement(
            evaluations=self.clock.evaluations,
            seconds=self.clock.seconds,
            value=self.archive.best,
        )


def _selected(
    space: PlacementSpace, proof: Proof, objective: Objective, archive: Archive, status: Status
) -> tuple[Placements, Status]:
    """Choose among the finalists and the start by simulation; without finalists, the start."""
    start = space.start
    if len(archive.values) == 0:
        return start, status
    if archive.best >= MISFIT:
        fits = space.excess(start[None])[0] <= 0
        return (start if fits else archive.placements[0]), status
    fitting = archive.placements[archive.values < MISFIT]
    rows = np.concatenate([start[None], fitting[(fitting != start).any(axis=1)]])
    try:
        return rows[proof.selected(rows, objective)], status
    except KeyboardInterrupt:
        _log.warning("selection interrupted: the incumbent is as predicted, not as simulated")
        return fitting[0], "interrupted"


def _verified(space: PlacementSpace, proof: Proof, chosen: Placements) -> tuple[Outcome, Outcome]:
    """Simulate the start and the chosen placement on fresh seeds."""
    try:
        measures = proof.verified(np.stack([space.start, chosen]))
    except KeyboardInterrupt:
        _log.warning("verification interrupted: nothing is proved")
        return Outcome.unknown(), Outcome.unknown()
    return Outcome.of(measures, 0), Outcome.of(measures, 1)
