"""The knapsack is exact, and its budget is the time until a job is lost."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
import pytest

from datagen.deployment import Device
from datagen.errors import InvalidInputError
from datagen.policies.exit_policy import Seen
from datagen.policies.knapsack import Knapsack, PlanFrontier
from datagen.simulator.policies import policy_scene
from tests.datagen.policies.contract import CHAIN, recorded, system

INSTANCES = 1200


def exhaustive(times: np.ndarray, worth: np.ndarray, jobs: int, budget: float) -> float | None:
    """Largest worth of any plan within the budget, or None if none keeps it."""
    best = None
    for chosen in combinations_with_replacement(range(len(times)), jobs):
        picked = list(chosen)
        if times[picked].sum() <= budget:
            value = float(worth[picked].sum())
            best = value if best is None else max(best, value)
    return best


def test_plans_equal_exhaustive_search() -> None:
    rng = np.random.default_rng(5)
    infeasible = 0
    for _ in range(INSTANCES):
        options, jobs = int(rng.integers(1, 5)), int(rng.integers(1, 6))
        # Worths need not rise with time, as confidences that drift do not.
        times, worth = rng.uniform(0.1, 2.0, options), rng.uniform(0.0, 1.0, options)
        budget = float(rng.uniform(0.0, 2.0 * jobs))
        plan = PlanFrontier(times, worth, jobs).best(jobs, budget)
        best = exhaustive(times, worth, jobs, budget)
        assert plan.sum() == jobs
        if best is None:
            infeasible += 1
            assert times @ plan == pytest.approx(jobs * times.min())
        else:
            assert times @ plan <= budget * (1 + 1e-12)
            assert worth @ plan == pytest.approx(best, abs=1e-9)
    assert 50 < infeasible < INSTANCES / 2


def test_plans_of_fewer_jobs_come_from_the_same_frontier() -> None:
    times, worth = np.array([0.1, 0.5, 0.9]), np.array([0.5, 0.8, 0.9])
    large, small = PlanFrontier(times, worth, 6), PlanFrontier(times, worth, 2)
    for budget in np.linspace(0.0, 2.0, 21):
        assert large.best(2, budget).tolist() == small.best(2, budget).tolist()


def decided(rate: float, jobs: int) -> set[tuple[float, ...]]:
    """Decisions of a knapsack that has measured a rate, with so many jobs present."""
    policy = Knapsack()
    policy.begin(policy_scene(system(False), CHAIN, recorded(2)), np.random.default_rng(0))
    times = np.arange(30) / rate
    for time in times:
        policy.arrived(0, float(time), True)
    seen = Seen(stage=0, time=float(times[-1]), jobs=jobs, busy=1)
    return {policy.decide(seen).thresholds for _ in range(40)}


def test_slack_is_spent_and_haste_is_made() -> None:
    only_last, only_first = {(1.01, 1.01, 1.01)}, {(0.0, 1.01, 1.01)}
    assert decided(rate=0.1, jobs=1) == only_last
    assert decided(rate=100.0, jobs=4) == only_first
    # One job and four places of 0.1 s: the budget is 0.4 s, enough for the second exit.
    assert decided(rate=10.0, jobs=1) == {(1.01, 0.0, 1.01)}


def test_an_unlimited_buffer_is_refused() -> None:
    deployment = system(False)
    device = Device(name="gateway")
    unlimited = replace(deployment, problem=replace(deployment.problem, devices=(device,)))
    scene = policy_scene(unlimited, CHAIN, recorded(2))
    with pytest.raises(InvalidInputError, match="capacity must be finite"):
        Knapsack().begin(scene, np.random.default_rng(0))
