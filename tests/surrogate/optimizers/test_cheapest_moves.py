"""The cheapest moves against everything there is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.arrivals import Poisson
from datagen.deployment import Chain, Device, Fragment, Problem
from datagen.distributions import Deterministic
from datagen.evaluation import Evaluator
from datagen.simulator import SimulationEvaluator
from surrogate.optimizers import Budget, PlacementSpace
from surrogate.optimizers.baselines import first_fit, least_loaded_start
from surrogate.optimizers.cheapest_moves import CheapestMoves, _sets_by_weight, cheapest_moves
from surrogate.optimizers.judge import Judge
from surrogate.optimizers.migration import Migration
from surrogate.optimizers.proof import same_window
from surrogate.optimizers.space import Placements
from tests.surrogate.optimizers.problems import UNIT, poor_start, small_problem

TARGET = 0.02


def random_migration(seed: int) -> Migration:
    """Up to two networks of up to three fragments on two or three boards, placed first-fit."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 4))
    devices = tuple(
        Device(
            name=f"d{i}",
            speed=float(rng.uniform(0.5, 1.5)),
            capacity=int(rng.integers(2, 8)),
            memory=float(rng.integers(5, 14)),
        )
        for i in range(count)
    )
    chains = tuple(
        Chain(
            name=f"c{c}",
            arrivals=Poisson(rate=float(rng.uniform(0.3, 2.5))),
            fragments=tuple(
                Fragment(
                    name=f"f{f}",
                    service=Deterministic(mean=float(rng.uniform(0.02, 0.3))),
                    weights=float(rng.integers(1, 4)),
                )
                for f in range(rng.integers(1, 4))
            ),
        )
        for c in range(rng.integers(1, 3))
    )
    anywhere = least_loaded_start(Problem(devices=devices, chains=chains))
    crowded = PlacementSpace(anywhere)
    start = crowded.candidates(first_fit(crowded)[None]).deployment(0)
    return Migration(PlacementSpace(start), bandwidth=2.0)


def by_hand(migration: Migration, evaluator: Evaluator, target: float) -> Placements | None:
    """The cheapest of all placements that fit and keep the target; None if none does."""
    space = migration.space
    rows = np.array(list(product(range(space.devices), repeat=space.slots)), dtype=np.int32)
    rows = rows[space.excess(rows) <= 0]
    if len(rows) == 0:
        return None
    loss = evaluator.evaluate(space.candidates(rows)).deployment["loss_ratio"]
    good = np.flatnonzero(loss <= target)
    costs = [
        (migration.bytes(rows[[k]])[0], migration.refused(rows[[k]])[0], loss[k]) for k in good
    ]
    return None if not costs else rows[good[min(range(len(costs)), key=costs.__getitem__)]]


def hunted(
    migration: Migration, evaluator: Evaluator, *, target: float = TARGET, budget: int = 100_000
) -> CheapestMoves:
    clock = Budget(evaluations=budget).start()
    found = cheapest_moves(Judge(migration, evaluator, clock), target)
    assert clock.evaluations <= budget
    return found


def test_they_equal_exhaustive_enumeration() -> None:
    kinds = {"stays": 0, "moves": 0, "hopeless": 0}
    for seed in range(200):
        migration = random_migration(seed)
        best = by_hand(migration, AnalyticEvaluator(), TARGET)
        found = hunted(migration, AnalyticEvaluator())
        assert found.proved, seed
        assert found.found == (best is not None), seed
        if best is None:
            kinds["hopeless"] += 1
            continue
        kinds["stays" if (best == migration.start).all() else "moves"] += 1
        assert found.placement.tolist() == best.tolist(), seed
    assert min(kinds.values()) >= 15, kinds


def test_the_simulator_may_judge_as_well() -> None:
    for seed in (3, 8, 21):
        migration = random_migration(seed)
        problem = migration.space.base.problem
        options = same_window(problem, events=4e3, replications=2, seed=1)
        evaluator = SimulationEvaluator(options)
        best = by_hand(migration, evaluator, 0.05)
        found = hunted(migration, evaluator, target=0.05)
        assert found.found == (best is not None)
        if best is not None:
            assert found.placement.tolist() == best.tolist()


def test_a_small_budget_finds_something_and_does_not_claim_to_have_tried_all() -> None:
    migration = Migration(PlacementSpace(poor_start(small_problem())), bandwidth=UNIT)
    some = hunted(migration, AnalyticEvaluator(), budget=600)
    assert some.found
    assert not some.proved
    every = hunted(migration, AnalyticEvaluator())
    assert every.found
    assert every.proved
    assert migration.bytes(every.placement[None])[0] <= migration.bytes(some.placement[None])[0]
    none = hunted(migration, AnalyticEvaluator(), budget=3)
    assert not none.found
    assert not none.proved


def test_what_cannot_be_reached_gives_the_least_loss() -> None:
    migration = next(
        m
        for m in map(random_migration, range(100))
        if by_hand(m, AnalyticEvaluator(), TARGET) is None
        and by_hand(m, AnalyticEvaluator(), 1.0) is not None
    )
    found = hunted(migration, AnalyticEvaluator())
    space = migration.space
    rows = np.array(list(product(range(space.devices), repeat=space.slots)), dtype=np.int32)
    rows = rows[space.excess(rows) <= 0]
    loss = AnalyticEvaluator().evaluate(space.candidates(rows)).deployment["loss_ratio"]
    reached = AnalyticEvaluator().evaluate(space.candidates(found.placement[None]))
    assert reached.deployment["loss_ratio"][0] == pytest.approx(loss.min(), rel=1e-12)


def test_sets_come_once_each_lightest_first() -> None:
    weights = np.array([3.0, 1.0, 4.0, 1.0, 5.0])
    found = list(_sets_by_weight(weights))
    assert [weight for weight, _ in found] == sorted(weight for weight, _ in found)
    assert len({frozenset(members) for _, members in found}) == len(found) == 2**5 - 1
    for weight, members in found:
        assert weights[list(members)].sum() == pytest.approx(weight)
