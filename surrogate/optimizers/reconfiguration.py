"""Reconfiguration: when the load changes, the cheapest moves that restore a loss target.

An evaluator finds the moves that send the fewest bytes; simulation then says whether they keep the
target beyond chance, for what just keeps it in one simulation misses it in the next. Where an
evaluator was too hopeful, it is asked for less until simulation agrees. The moves are verified by a
simulation on fresh seeds, and played across the change beside doing nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from datagen.deployment import Deployment, Problem
from datagen.errors import require
from datagen.evaluation import Evaluator
from surrogate.optimizers.budget import Budget, Clock
from surrogate.optimizers.cheapest_moves import CheapestMoves, cheapest_moves
from surrogate.optimizers.judge import Judge
from surrogate.optimizers.migration import Migration, Outage
from surrogate.optimizers.proof import Proof
from surrogate.optimizers.reconfiguration_result import Reconfiguration
from surrogate.optimizers.result import Outcome, Status, violations
from surrogate.optimizers.space import PlacementSpace
from surrogate.optimizers.transition import Change, Timeline, simulate_change
from surrogate.optimizers.watch import Watch, unwatched

__all__ = ["reconfigure", "timeline_of"]

TRIES = 5
"""How often an evaluator that was too hopeful is asked for a lower loss."""

LEAST_STEP, MOST_STEP = 0.3, 0.95
"""Range of the factor on what an evaluator is asked for: one that was far off is not trusted at
once, and one that was off by little has to give something."""

SHARE_OF_TRY = 0.5
"""Share of the budget that is left, which each try may spend: the next ones need some as well."""

ALL_LOST = 1.0
"""Stands for the loss ratio of what has no steady state."""

PHASE_REQUESTS = 2e4
"""Requests that come before the change, and at least after it, in each run across it."""

LULL = 10.0
"""Length of the time after the moves, over that of the moves, at least: what a change costs is then
seen beside what it brings."""

WARMUP_SHARE = 0.2
"""Share of the time before the change that is not counted."""


def reconfigure(
    before: Deployment,
    after: Problem,
    evaluator: Evaluator,
    *,
    loss_target: float,
    bandwidth: float,
    budget: Budget,
    seed: int = 0,
    across: bool = True,
    watch: Watch = unwatched,
) -> Reconfiguration:
    """Find the cheapest moves that keep a loss target at a new load, and prove them by simulation.

    Args:
        before: What runs, at the load until the change.
        after: The problem from the change on: the same chains and devices, other arrivals.
        evaluator: Judges placements.
        loss_target: Largest system loss ratio, in [0, 1].
        bandwidth: Bytes per second of a move, > 0; less where the link between two devices is
            slower.
        budget: What search and selection may spend.
        seed: Seed of everything random, >= 0.
        across: Whether the change itself is simulated, which takes Poisson arrivals.
        watch: Told how far search and proof are.

    Returns:
        The cheapest moves found, or, where none keeps the target, those that lose least.

    Raises:
        InvalidInputError: If the problem has not the chains and devices of what runs, or the target
            or the bandwidth is out of range.
        NotSupportedError: If a chain has several paths, or evaluator or simulator do not cover the
            problem.
    """
    began = time.perf_counter()
    require(0 <= loss_target <= 1, "loss_target", "lie in [0, 1]", loss_target)
    _require_alike(before.problem, after)
    space = PlacementSpace(replace(before, problem=after))
    migration = Migration(space, bandwidth)
    check_seed, verify_seed, change_seed = np.random.SeedSequence(seed).generate_state(3).tolist()
    proof = Proof(
        space,
        selection_seed=check_seed,
        verification_seed=verify_seed,
        budget=budget,
        watch=watch,
    )
    evaluator.evaluate(space.repeated_start(1))  # what is loaded on first use is no search
    clock = budget.start()
    judge = Judge(migration, evaluator, clock, watch)
    found, aimed = _Agreement(judge, proof, loss_target).reached()
    seconds = clock.seconds
    rows = np.stack([space.start, found.placement])
    verified = proof.verified(rows)
    deployment = space.candidates(rows).deployment(1)
    outages = migration.outages(found.placement)
    return Reconfiguration(
        deployment=deployment,
        moves=migration.moves(found.placement),
        outages=outages,
        refused=float(migration.refused(found.placement[None])[0]),
        loss_target=loss_target,
        start=Outcome.of(verified, 0),
        predicted=Outcome.of(evaluator.evaluate(space.candidates(rows)), 1),
        verified=Outcome.of(verified, 1),
        cheapest=found.found and found.proved,
        aimed=aimed,
        evaluations=clock.evaluations,
        seconds=seconds,
        seconds_total=time.perf_counter() - began,
        status="completed" if found.proved else _limit(clock),
        violations=violations(space, found.placement),
        changes=_changes(before, space.base, deployment, outages, change_seed) if across else None,
        seed=seed,
    )


def _require_alike(before: Problem, after: Problem) -> None:
    """Refuse a problem whose devices, chains or fragments are others."""
    for field in ("devices", "chains"):
        names = [[item.name for item in getattr(problem, field)] for problem in (before, after)]
        require(names[0] == names[1], f"after.{field}", f"be {names[0]}", names[1])
    for old, new in zip(before.chains, after.chains, strict=True):
        same = old.fragments == new.fragments
        require(same, f"after.{new.name}.fragments", "be those that run", new.fragments)


class _Agreement:
    """Finds moves whose loss evaluator and simulation agree upon.

    Args:
        judge: Knows what the evaluator says.
        proof: Simulates.
        loss_target: Largest loss ratio.
    """

    def __init__(self, judge: Judge, proof: Proof, loss_target: float) -> None:
        self._judge, self._proof, self._target = judge, proof, loss_target

    def _loss(self, found: CheapestMoves) -> float:
        """Return the upper end of the interval of the loss ratio as simulated."""
        checked = self._proof.checked(found.placement[None]).deployment
        return float(np.nan_to_num(checked["loss_ratio_high"][0], nan=ALL_LOST))

    def reached(self) -> tuple[CheapestMoves, float]:
        """Lower what the evaluator is asked for until simulation keeps the target.

        Returns:
            The cheapest moves that simulation agrees with, or those that it likes best; and what
            the evaluator was asked for.
        """
        aim = self._target
        tried: list[tuple[float, CheapestMoves, float]] = []
        for _ in range(TRIES):
            self._judge.spend(SHARE_OF_TRY)
            found = cheapest_moves(self._judge, aim)
            tried.append((self._loss(found), found, aim))
            if tried[-1][0] <= self._target or not found.found:
                break
            aim *= float(np.clip(self._target / tried[-1][0], LEAST_STEP, MOST_STEP))
        _, found, aim = min(tried, key=lambda each: (each[0] > self._target, each[0]))
        return self._proved(found, aim), aim

    def _proved(self, found: CheapestMoves, aim: float) -> CheapestMoves:
        """Spend the rest of the budget on trying everything cheaper, or anything that is left."""
        if found.proved:
            return found
        self._judge.spend(1.0)
        again = cheapest_moves(self._judge, aim)
        if (again.placement == found.placement).all():
            return again
        worst = self._target if found.found else self._loss(found)
        return again if self._loss(again) <= worst else found


def _changes(
    before: Deployment,
    still: Deployment,
    moved: Deployment,
    outages: Sequence[Outage],
    seed: int,
) -> dict[str, Change]:
    """Play the change with the moves and without."""
    timeline = timeline_of(before, moved.problem, outages)
    return {
        "moved": simulate_change(before, moved, outages, timeline, seed=seed),
        "nothing": simulate_change(before, still, (), timeline, seed=seed),
    }


def _limit(clock: Clock) -> Status:
    """Return the limit that ended a search; the most that it looks at counts as evaluations."""
    return clock.reached() or "evaluation_limit"


def timeline_of(before: Deployment, after: Problem, outages: Sequence[Outage]) -> Timeline:
    """Return a timeline that shows what a change costs and brings.

    Args:
        before: What runs until the change.
        after: The problem from the change on.
        outages: When chains are away, counted from the change.

    Returns:
        Times in proportion to the rates and to the moves.
    """
    old, new = (
        sum(chain.arrivals.rate for chain in problem.chains) for problem in (before.problem, after)
    )
    change = PHASE_REQUESTS / old
    moved = change + (outages[-1].end if outages else 0.0)
    end = moved + max(PHASE_REQUESTS / new, LULL * (moved - change))
    return Timeline(warmup=WARMUP_SHARE * change, change=change, moved=moved, end=end)
