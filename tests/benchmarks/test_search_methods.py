"""The comparison of searches: its problems, its summary and its result file."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest

from datagen.analytic.decomposition import AnalyticEvaluator


@pytest.fixture
def benchmark() -> ModuleType:
    return import_module("search_methods")


def row(problem: int, search: str, loss: float, budget: float = 1.0) -> dict[str, object]:
    numbers = {"fragments": 30, "devices": 9, "start": 0.2, "evaluations": 50}
    return {"problem": problem, "search": search, "loss": loss, "budget": budget} | numbers


def test_problems_are_of_the_sizes_said_and_lose_something(benchmark: ModuleType) -> None:
    starts = benchmark.problems(2)
    assert starts == benchmark.problems(2)
    for start in starts:
        assert 8 <= len(start.problem.devices) <= 60
        loss = AnalyticEvaluator().evaluate([start]).deployment["loss_ratio"][0]
        assert loss >= benchmark.LEAST_LOSS


def test_searches_are_compared_with_the_best_of_any_budget(benchmark: ModuleType) -> None:
    rows = [row(0, "a", 0.10), row(0, "b", 0.12), row(1, "a", 0.02), row(1, "b", 0.02)]
    rows += [row(0, "a", 0.08, budget=5.0), row(1, "a", 0.02, budget=5.0)]
    told = {(line["budget"], line["search"]): line for line in benchmark.summary(rows)}
    assert told[1.0, "a"]["loss"] == pytest.approx(0.06)
    assert told[1.0, "a"]["above_best"] == pytest.approx(0.01)
    assert told[1.0, "b"]["over_start"] == pytest.approx(0.35)
    assert [told[1.0, name]["wins"] for name in "ab"] == [2, 1]
    assert told[5.0, "a"]["problems"] == 2


def test_a_run_says_what_was_found(benchmark: ModuleType) -> None:
    report = benchmark.measure("chainnet", analytic=True, budgets=[30], timed=False, count=1)
    found = {line["search"]: line for line in report["rows"]}
    assert set(benchmark.SEARCHES) - {"bayesian"} <= set(found)
    assert all(line["loss"] <= line["start"] for line in found.values())
    assert all(line["evaluations"] == 30 for line in found.values())
    text = benchmark.result_text(report, "python benchmarks/search_methods.py")
    assert "| 30 | gradient | 1 |" in text
    assert "guided the searches" in text
