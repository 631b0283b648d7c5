"""The benchmark of workload distribution: figures that follow from the boards, gains that count."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest


@pytest.fixture
def benchmark() -> ModuleType:
    return import_module("workload_distribution")


def test_it_plays_what_the_boards_promise(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "INPUTS", (400,))
    monkeypatch.setattr(benchmark, "FRACTIONS", (0.5, 1.5))
    report = benchmark.measure(2)
    assert len(report["rows"]) == 4
    cpu = [row for row in report["rows"] if row["cluster"] == "nano by CPU"]
    slow, hurried = cpu
    nodes = benchmark.CLUSTERS["nano by CPU"]
    # An even split is as fast as four times the slowest board; set-up and noise cost some per cent.
    assert slow["uniform"]["rate"] == pytest.approx(4 / nodes[0].seconds[0], rel=0.06)
    assert slow["asymmetric"]["rate"] == pytest.approx(benchmark.full_rate(nodes), rel=0.06)
    assert hurried["asymmetric"]["kept"] == 0.0
    assert hurried["optimum"]["kept"] == 1.0
    assert hurried["optimum"]["accuracy"] > hurried["uniform + approximation"]["accuracy"] + 0.01
    assert slow["optimum"]["accuracy"] == pytest.approx(0.709)
    ways = {(r["cluster"], r["change"], r["way"]): r for r in report["changes"]}
    watched = ways["nano by CPU", "slows to a third", "optimum, planned anew"]
    blind = ways["nano by CPU", "slows to a third", "optimum, speeds not watched"]
    assert watched["rate"] > 1.5 * blind["rate"]
    assert all(row["unanswered"] == 0 for row in report["changes"])
    text = benchmark.result_text(report, "command")
    assert "| paper | | | | +41.5 % | +5.2 % |" in text


def test_gains_are_means_of_ratios(benchmark: ModuleType) -> None:
    def cell(rate: float, accuracy: float) -> dict[str, float]:
        return {"rate": rate, "accuracy": accuracy, "kept": 1.0}

    rows = [
        {"optimum": cell(2.0, 0.6), **dict.fromkeys(benchmark.BASELINES, cell(1.0, 0.5))},
        {"optimum": cell(3.0, 0.5), **dict.fromkeys(benchmark.BASELINES, cell(2.0, 0.5))},
    ]
    found = benchmark.gains(rows)
    assert found["performance_gain"] == pytest.approx(0.75)
    assert found["accuracy_gain"] == pytest.approx(0.1)
