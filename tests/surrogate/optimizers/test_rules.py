"""Classical placements where a search is expected."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.errors import InvalidInputError
from surrogate.optimizers import Budget, PlacementSpace, SearchState, place
from surrogate.optimizers.baselines import first_fit, least_loaded_start, round_robin
from surrogate.optimizers.cuts import best_cuts
from surrogate.optimizers.integer_program import integer_placement
from surrogate.optimizers.rules import RULES, RuleSearch
from surrogate.optimizers.split_task import split_task
from surrogate.optimizers.splitting import min_cut
from surrogate.optimizers.unloaded import UnloadedTimes
from tests.surrogate.optimizers.problems import UNIT, poor_start, small_problem
from tests.surrogate.optimizers.test_integer_program import random_space


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_judged_beside_the_start(rule: str) -> None:
    problem = small_problem()
    start = poor_start(problem)
    result = place(
        problem,
        AnalyticEvaluator(),
        Budget(evaluations=40),
        seed=2,
        start=start,
        search=RuleSearch(rule),
    )
    assert result.status == "completed"
    assert result.feasible
    chosen, space = PlacementSpace(result.deployment).start, PlacementSpace(start)
    proposed = RULES[rule](space, None)
    assert (chosen == proposed).all() or (chosen == space.start).all()
    assert result.verified.loss_ratio <= result.start.loss_ratio + 0.01


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2,), (5, 3)])
def test_batches_of_any_size_hold_the_start_and_the_rule(sizes: tuple[int, ...]) -> None:
    space = PlacementSpace(poor_start(small_problem()))
    search = RuleSearch("round-robin")
    search.begin(space, np.random.default_rng(0))
    rows = np.concatenate([search.ask(size).placement for size in sizes])
    assert (rows[0] == space.start).all()
    assert (rows[1:] == round_robin(space)).all()
    assert search.finished


def test_a_rule_resumes() -> None:
    space = PlacementSpace(poor_start(small_problem()))
    first, second = RuleSearch("first-fit"), RuleSearch("first-fit")
    for search in (first, second):
        search.begin(space, np.random.default_rng(0))
    first.ask(1)
    saved = SearchState.from_json(
        SearchState(
            search="RuleSearch",
            seed=0,
            start=[],
            objectives=[],
            evaluations=1,
            seconds=0.0,
            inner=first.state(),
            archive={},
            front={},
            history=[],
        ).to_json()
    )
    second.restore(saved.inner)
    assert not second.finished
    assert (second.ask(1).placement[0] == first_fit(space)).all()


def test_no_placement_leaves_the_start(caplog: pytest.LogCaptureFixture) -> None:
    problem = small_problem(memory=2 * UNIT)
    result = place(
        problem, AnalyticEvaluator(), Budget(evaluations=4), search=RuleSearch("ilp"), seed=1
    )
    assert not result.feasible
    assert result.deployment == least_loaded_start(problem)
    assert "infeasible" in caplog.text


def test_a_solver_gets_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float | None] = []
    monkeypatch.setitem(RULES, "ilp", lambda space, seconds: given.append(seconds))  # type: ignore[func-returns-value]
    for budget in (Budget(seconds=3.0), Budget(evaluations=9)):
        place(small_problem(), AnalyticEvaluator(), budget, search=RuleSearch("ilp"))
    assert given[0] is not None
    assert 0 < given[0] < 3
    assert given[1] is None


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="rule must be one of first-fit, ilp"):
        RuleSearch("best")


def test_unloaded_latency_is_that_of_the_integer_program() -> None:
    for seed in range(30):
        space = random_space(seed)
        found = integer_placement(space, max_load=None)
        if found.placement is not None:
            assert UnloadedTimes(space).latency(found.placement[None])[0] == found.latency


def test_a_chain_between_two_boards_is_cut_as_the_minimum_cut_has_it() -> None:
    seen = 0
    for seed in range(120):
        space = random_space(seed)
        problem = space.base.problem
        if space.devices != 2 or len(problem.chains) > 1:
            continue
        seen += 1
        devices = tuple(replace(device, memory=None) for device in problem.devices)
        wide = PlacementSpace(least_loaded_start(replace(problem, devices=devices)))
        tasks = [split_task(problem, "c0", *ends) for ends in (("d0", "d1"), ("d1", "d0"))]
        best = min(min_cut(task).value("latency") for task in tasks)
        assert UnloadedTimes(wide).latency(best_cuts(wide)[None])[0] == pytest.approx(best)
    assert seen > 10


def test_cuts_are_the_best_in_the_memory_that_is_left() -> None:
    checked = 0
    for seed in range(120):
        space = random_space(seed)
        if len(space.base.problem.chains) > 1:
            continue
        found = best_cuts(space)
        times = UnloadedTimes(space)
        rows = np.array(list(product(range(space.devices), repeat=space.slots)), dtype=np.int32)
        changes = (np.diff(rows, axis=1) != 0).sum(axis=1)
        allowed = space.allowed[np.arange(space.slots), rows].all(axis=1)
        rows = rows[(changes <= 1) & allowed]
        rows = rows[space.excess(rows) == 0]
        if len(rows) == 0:
            continue
        checked += 1
        assert space.excess(found[None])[0] == 0
        assert times.latency(found[None])[0] == pytest.approx(times.latency(rows).min())
    assert checked > 20


def test_cuts_honour_memory_and_allowed_devices() -> None:
    space = PlacementSpace(poor_start(small_problem()))
    placement = best_cuts(space)
    assert space.allowed[np.arange(space.slots), placement].all()
    assert space.excess(placement[None])[0] == 0
    unlimited = PlacementSpace(least_loaded_start(small_problem(memory=None, allowed=False)))
    assert set(best_cuts(unlimited)) == {0}  # blind to load: the fastest board takes it all
