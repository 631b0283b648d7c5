"""The benchmark of searches for batching: a grid that is one, problems that differ, a report."""

from __future__ import annotations

import json
from argparse import Namespace
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest

from surrogate.optimizers import DecisionSpace, proof, tuning
from surrogate.optimizers.tuning import NPU_DECISIONS


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = import_module("npu_search")
    monkeypatch.setattr(proof, "VERIFICATION_EVENTS", 1e4)
    monkeypatch.setattr(proof, "SELECTION_EVENTS", 1e4)
    monkeypatch.setattr(tuning, "SCREENING_EVENTS", 2e3)
    for name, value in {
        "GRID_SIZES": 2, "GRID_WAITS": 2, "GRID_OPEN": 2, "GRID_EVENTS": 500.0,
        "AGAIN_EVENTS": 2e3, "AGAIN": 3, "JUDGE_EVENTS": 2e4,
    }.items():  # fmt: skip
        monkeypatch.setattr(module, name, value)
    return module


def test_problems_differ_and_come_again(script: ModuleType) -> None:
    problems = import_module("npu_problems")
    first, second = problems.hub(0), problems.hub(1)
    assert first == problems.hub(0)
    assert first.problem != second.problem
    assert len(problems.mixed(3).problem.devices) >= 3
    (floor,) = problems.wanted_accuracy(first, 0).values()
    accuracy = first.problem.traces[0].correct.mean(axis=0)
    assert accuracy[0] < floor < accuracy[-1]


def test_the_grid_holds_every_policy_and_variant_once(script: ModuleType) -> None:
    space = DecisionSpace(import_module("npu_problems").hub(0), NPU_DECISIONS)
    rows = script.grid_rows(space)
    assert len(np.unique(rows, axis=0)) == len(rows)
    # Serial, static by two sizes, five policies by two sizes and two time-outs; three variants;
    # two values of each of two thresholds.
    assert len(rows) == (1 + 2 + 5 * 4) * 3 * 4


def test_answers_are_compared_by_limits_first(script: ModuleType) -> None:
    kept, broken = {"over": 0.0, "latency": 1.0}, {"over": 0.2, "latency": 0.1}
    assert script._at_least_as_good(kept, broken, 0.0)
    assert not script._at_least_as_good(broken, kept, 0.0)
    assert script._at_least_as_good({"over": 0.0, "latency": 1.02}, kept, 0.03)
    assert not script._at_least_as_good({"over": 0.0, "latency": 1.04}, kept, 0.03)


def test_a_short_run_tells_everything(script: ModuleType) -> None:
    report = script.report_of(Namespace(problems=1, seconds=0.2, joint_seconds=0.3))
    json.dumps(report, allow_nan=False)
    assert report["grid"][0]["grid_points"] == 276
    assert 0 <= report["near"] <= 1
    text = script.result_text(report, "python benchmarks/npu_search.py", "toy")
    assert "Within 3% of the grid" in text
    assert "At least as good on" in text
