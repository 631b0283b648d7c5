"""The benchmark of policies: cells that are what they say, and a fair verdict."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from datagen.evaluation import pack
from datagen.evaluation.loads import offered_load
from datagen.exits.counts import samples_in
from tests.conftest import REPOSITORY

NETWORK = REPOSITORY / "checkpoints" / "eenn-network"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    return import_module("early_exit_policies")


def row(policy: str, accuracy: float, loss: float = 0.001, **said: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "jobs": 10,
        "topology": "gateway",
        "difficulty": "clean",
        "arrivals": "poisson",
        "load": 1.0,
    }
    figures = {"accuracy_offered": accuracy, "accuracy_completed": accuracy, "loss_ratio": loss}
    times = {"latency": 0.1, "p95": 0.3, "decision_us": 5.0}
    errors = {"accuracy_offered_se": 0.001, "latency_se": None, "loss_low": 0.0, "loss_high": 0.01}
    return plain | {"policy": policy} | figures | times | errors | said


def test_only_those_within_the_target_compete(benchmark: ModuleType) -> None:
    report = import_module("policy_report")
    cell = {
        r["policy"]: r
        for r in (
            row("ours: static", 0.90),
            row("ours: drift-aware", 0.95, loss=0.02),
            row("knapsack", 0.91),
            row("exit-last", 0.99, loss=0.3),
        )
    }
    found = report.verdict(cell, 0.01)
    assert (found["ours"], found["others"]) == ("ours: static", "knapsack")
    assert found["lead"] == pytest.approx(-0.01)
    assert not found["wins"]
    alone = report.verdict({"ours: static": cell["ours: static"]}, 0.01)
    assert alone["wins"]
    assert alone["lead"] is None


def test_the_report_counts_cells_and_drops(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = import_module("policy_report")
    families = {"ours: static": "ours", "knapsack": "knapsack"}
    monkeypatch.setattr(report, "FAMILIES", families)
    rows = [
        row("knapsack", 0.99, load=2.0),  # a cell without ours, which is not complete
        row("ours: static", 0.90),
        row("knapsack", 0.88),
        row("ours: static", 0.80, arrivals="mmpp"),
        row("knapsack", 0.808, arrivals="mmpp"),
    ]
    found = report.report_of(rows, 0.01)
    assert found["summary"] == {
        "cells": 2,
        "wins": 0.5,
        "least_lead": pytest.approx(-0.008),
        "never_far": False,
    }
    ours = next(p for p in found["policies"] if p["policy"] == "ours: static")
    assert ours["lost_to_bursts"] == pytest.approx(0.1)
    assert ours["lost_to_drift"] is None
    assert ours["worst_gap"] == pytest.approx(0.008)
    assert [line["family"] for line in found["matrix"]] == ["ours", "knapsack"]
    about = {"machine": {"date": "2026-01-01", "commit": "c", "clean": True, "versions": {}}}
    about["machine"] |= {"system": "s", "architecture": "a", "cores": 1}
    text = report.result_text(found | about, "command", "machine")
    assert "in 50% of 2 cells; its smallest lead is -0.80 points" in text


def test_cells_have_their_load_and_their_samples(benchmark: ModuleType, public_data: Path) -> None:
    cells = import_module("policy_cells")
    ceed = public_data / "ceed"
    for topology in cells.TOPOLOGIES:
        for arrivals in cells.ARRIVALS:
            traces = cells.Traces.of(NETWORK, "clean")
            cell = cells.Cell(topology, "clean", arrivals, 1.5)
            deployment = cells.deployment_of(cell, traces, ceed)
            assert offered_load(pack([deployment])).max() == pytest.approx(1.5)
            assert deployment.problem.chains[0].contexts is None
    drifting = cells.Traces.of(NETWORK, "drifting")
    cell = cells.Cell("gateway", "drifting", "mmpp", 1.0)
    assert cells.deployment_of(cell, drifting, ceed).problem.chains[0].contexts is not None
    assert samples_in(drifting.test, 0) == traces.test


def test_every_policy_of_the_report_is_measured(benchmark: ModuleType) -> None:
    cells = import_module("policy_cells")

    class Nothing:
        traces = type("T", (), {"test": type("E", (), {"exits": 4})})
        tables = bayesian = None

    assert list(cells.policies(Nothing(), 0.01)) == list(cells.FAMILIES)
    questions = import_module("policy_questions")
    assert set(questions.ASKED) <= set(cells.FAMILIES)
