"""The benchmark of split decisions: measures that count what they say, gains of the right sign."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest

from datagen.splitting import APPLICATIONS, Finished, Task


@pytest.fixture
def benchmark() -> ModuleType:
    return import_module("split_decision")


def done(response: float, accuracy: float, split: str) -> Finished:
    task = Task(
        index=0,
        application=APPLICATIONS[0],
        arrival=0.0,
        deadline=600.0,
        noise=(1.0,) * 5,
        luck=0.0,
    )
    return Finished(task=task, split=split, response=response, accuracy=accuracy)  # type: ignore[arg-type]


def test_measures_by_hand(benchmark: ModuleType) -> None:
    runs = [done(300.0, 0.95, "semantic"), done(900.0, 0.97, "layer")]
    said = dict(zip(benchmark.MEASURES, benchmark.measures(runs), strict=True))
    assert said == pytest.approx({
        "response": 2.0,
        "violations": 0.5,
        "accuracy": 0.96,
        "reward": (0.75 + 0.35) / 2,
        "plain_reward": 0.5 * (0.5 + 0.96),
        "layer": 0.5,
    })


def test_gains_are_what_is_better(benchmark: ModuleType) -> None:
    better = {"response": 2.0, "violations": 0.1, "accuracy": 0.96, "reward": 0.8}
    worse = {"response": 4.0, "violations": 0.4, "accuracy": 0.8, "reward": 0.4}
    none = worse | {"violations": 0.0}
    rows = [
        better | {"decider": "ours"},
        worse | {"decider": "always layer"},
        none | {"decider": "always semantic"},
        better | {"decider": "random"},
    ]
    found = benchmark.gains(rows, "ours")
    expected = {"response": 0.5, "violations": 0.75, "accuracy": 0.2, "reward": 1.0}
    assert found["always layer"] == pytest.approx(expected)
    assert found["always semantic"]["violations"] is None
    assert found["random"] == pytest.approx(dict.fromkeys(expected, 0.0))


def test_it_runs_and_bandits_earn_more(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "MEANS", (1.0,))
    monkeypatch.setattr(benchmark, "TRAINING", 200)
    report = benchmark.measure("chainnet", repeats=1, tasks=250, placed_repeats=1, placed_tasks=5)
    rows = {(row["handoff"], row["decider"]): row for row in report["rows"]}
    for name in benchmark.FIXED:
        assert rows[300.0, "epsilon-greedy"]["reward"] > rows[300.0, name]["reward"] + 0.03
    assert rows[300.0, "always layer"]["violations"] > 5 * rows[0.0, "always layer"]["violations"]
    placed = {(row["placement"], row["decider"]) for row in report["placements"]}
    assert ("gradient", "epsilon-greedy") in placed
    assert ("random", "always layer") not in placed
    text = benchmark.result_text(report, "command")
    assert (
        "| paper | | | its baselines | up to 46 % | up to 69 % | up to 3 % | up to 12 % |" in text
    )
