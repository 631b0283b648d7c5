"""The Bayesian search: few variables, few evaluations."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic
from datagen.errors import InvalidInputError
from surrogate.optimizers import (
    BayesianSearch,
    Budget,
    PlacementSpace,
    RandomSearch,
    Search,
    place,
)
from surrogate.optimizers.bayesian import DESIGN, POINTS
from tests.surrogate.optimizers.problems import poor_start, small_problem


def long_problem(fragments: int, *, fixed: int = 0) -> Problem:
    """One long chain on two boards; its first fragments have no choice."""
    parts = tuple(
        Fragment(
            name=f"f{j}",
            service=Deterministic(mean=0.01),
            allowed=("d0",) if j < fixed else None,
        )
        for j in range(fragments)
    )
    devices = tuple(Device(name=f"d{i}", capacity=5) for i in range(2))
    chain = Chain(name="c", arrivals=Poisson(rate=1.0), fragments=parts)
    return Problem(devices=devices, chains=(chain,))


def found(search: Search, seed: int, evaluations: int) -> float:
    """Best loss, one candidate at a time."""
    space = PlacementSpace(poor_start(small_problem()))
    search.begin(space, np.random.default_rng(seed))
    best = np.inf
    for _ in range(evaluations):
        candidates = search.ask(1)
        loss = AnalyticEvaluator().evaluate(candidates).deployment["loss_ratio"]
        search.tell(candidates, loss)
        best = min(best, float(loss[0]))
    return best


def test_many_variables_are_refused_by_number() -> None:
    rule = (
        "problem must have at most 20 fragments with a choice for Bayesian search, got problem=21"
    )
    with pytest.raises(InvalidInputError, match=rule):
        place(long_problem(21), AnalyticEvaluator(), Budget(evaluations=5), search=BayesianSearch())


def test_fragments_without_a_choice_are_no_variables() -> None:
    search = BayesianSearch()
    result = place(
        long_problem(22, fixed=2), AnalyticEvaluator(), Budget(evaluations=5), search=search
    )
    assert result.evaluations == 5


def test_few_evaluations_find_more_than_random_ones() -> None:
    bayesian = np.mean([found(BayesianSearch(), seed, 40) for seed in range(3)])
    random = np.mean([found(RandomSearch(), seed, 40) for seed in range(3)])
    assert bayesian < 0.7 * random


def test_a_small_space_is_looked_at_everywhere_and_on() -> None:
    problem = long_problem(2)
    start = Deployment(problem=problem, placement={"c": (("d0", "d0"),)})
    space = PlacementSpace(start)
    search = BayesianSearch()
    search.begin(space, np.random.default_rng(0))
    seen = set()
    for _ in range(DESIGN + 8):
        candidates = search.ask(1)
        seen.add(candidates.placement[0].tobytes())
        search.tell(candidates, candidates.placement.sum(axis=1).astype(float))
    assert len(seen) == 4


def test_what_is_kept_is_bounded_and_holds_the_best() -> None:
    space = PlacementSpace(poor_start(small_problem()))
    search = BayesianSearch()
    search.begin(space, np.random.default_rng(0))
    least = np.inf
    for _ in range(4):
        candidates = search.ask(60)
        values = (candidates.placement * np.arange(1, space.slots + 1)).sum(axis=1).astype(float)
        least = min(least, values.min())
        search.tell(candidates, values)
    state = search.state()
    assert len(state["values"]) == POINTS
    assert state["values"].min() == least
