"""Classical placements where a search is expected."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.errors import InvalidInputError
from surrogate.optimizers import Budget, PlacementSpace, SearchState, place
from surrogate.optimizers.baselines import first_fit, least_loaded_start, round_robin
from surrogate.optimizers.rules import RULES, RuleSearch
from tests.surrogate.optimizers.problems import UNIT, poor_start, small_problem


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
