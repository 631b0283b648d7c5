"""Saved searches: plain JSON, every bit kept, and nothing of another run taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.errors import InvalidInputError
from surrogate.optimizers import (
    Budget,
    Latency,
    NondominatedSearch,
    RandomSearch,
    SearchState,
    SystemLoss,
    optimize,
)
from tests.surrogate.optimizers.problems import poor_start, small_problem


@pytest.fixture(scope="module")
def state() -> SearchState:
    result = optimize(
        poor_start(small_problem()),
        AnalyticEvaluator(),
        NondominatedSearch(population=8),
        budget=Budget(evaluations=30, planned=60),
        objective=[SystemLoss(), Latency()],
    )
    assert result.state is not None
    return result.state


def test_a_state_survives_a_file(state: SearchState, tmp_path: Path) -> None:
    file = tmp_path / "search.json"
    state.save(file)
    json.loads(file.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert SearchState.load(file).to_json() == state.to_json()


def test_a_front_resumes_exactly(state: SearchState) -> None:
    def run(budget: Budget, resume: SearchState | None) -> list[object]:
        result = optimize(
            poor_start(small_problem()),
            AnalyticEvaluator(),
            NondominatedSearch(population=8),
            budget=budget,
            objective=[SystemLoss(), Latency()],
            resume=resume,
        )
        return [point.to_dict() for point in result.front]

    saved = SearchState.from_json(state.to_json())
    whole = run(Budget(evaluations=60), None)
    assert len(whole) > 1
    assert run(Budget(evaluations=30), saved) == whole


@pytest.mark.parametrize(
    ("search", "seed", "objective", "field"),
    [
        (RandomSearch(), 0, SystemLoss(), "search"),
        (NondominatedSearch(), 1, [SystemLoss(), Latency()], "seed"),
        (NondominatedSearch(), 0, [SystemLoss()], "objectives"),
    ],
)
def test_the_state_of_another_run_is_refused(
    state: SearchState, search: object, seed: int, objective: object, field: str
) -> None:
    with pytest.raises(InvalidInputError, match=rf"resume\.{field} must be that of the run"):
        optimize(
            poor_start(small_problem()),
            AnalyticEvaluator(),
            search,  # type: ignore[arg-type]
            budget=Budget(evaluations=5),
            seed=seed,
            objective=objective,  # type: ignore[arg-type]
            resume=state,
        )


def test_another_start_is_refused(state: SearchState) -> None:
    with pytest.raises(InvalidInputError, match=r"resume\.start must be that of the run"):
        optimize(
            small_problem(),
            AnalyticEvaluator(),
            NondominatedSearch(),
            budget=Budget(evaluations=5),
            objective=[SystemLoss(), Latency()],
            resume=state,
        )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"form": 2}', '{"form": 1}', "not json"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="state must"):
        SearchState.from_json(text)
