"""Coverage of verified intervals: which placements, what counts as covered, how sure that is."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from datagen.analytic.decomposition import AnalyticEvaluator


@pytest.fixture
def script() -> ModuleType:
    return import_module("verified_intervals")


def row(**changed: Any) -> dict[str, Any]:
    usual = {"class": 0, "loss_ratio": 0.01, "ci95": [0.009, 0.011], "rounds": 1}
    return usual | {"holds_truth": True, "holds_estimate": True} | changed


def test_every_class_of_loss_has_as_many(script: ModuleType) -> None:
    drawn = list(script.placements(4))
    assert sorted(own for _, own, _ in drawn) == [0, 0, 1, 2]
    deployments = [deployment for _, _, deployment in drawn]
    for (_, own, _), deployment in zip(drawn, deployments, strict=True):
        loss = AnalyticEvaluator().evaluate([deployment]).deployment["loss_ratio"][0]
        assert script.CLASSES[own] <= loss < script.CLASSES[own + 1]
    assert len({number for number, _, _ in drawn}) == 4


def test_one_placement(script: ModuleType) -> None:
    number, own, deployment = next(script.placements(1))
    told = script.checked(number, own, deployment, 2e4)
    assert told["ci95"][0] < told["loss_ratio"] < told["ci95"][1]
    assert told["longer"] == pytest.approx(told["loss_ratio"], rel=0.5)
    width = told["ci95"][1] - told["ci95"][0]
    assert 0 < told["longer_se"] < 0.25 * width  # of four standard errors, at 16 times the length
    assert told == script.checked(number, own, deployment, 2e4)


def test_shares_and_how_sure_they_are(script: ModuleType) -> None:
    rows = [row(), row(holds_estimate=False), row(**{"class": 2}, holds_truth=False)]
    told = script.summary(rows)
    assert list(told) == ["all", "0.1 to 1 %", "10 to 30 %"]
    assert told["all"]["holds_truth"]["share"] == pytest.approx(2 / 3)
    assert told["0.1 to 1 %"]["holds_truth"]["share"] == 1.0
    assert told["0.1 to 1 %"]["holds_estimate"]["share"] == 0.5
    # Wilson's interval for 2 of 3 (Brown, Cai and DasGupta, 2001).
    assert told["all"]["holds_truth"]["low"] == pytest.approx(0.2077, abs=1e-3)
    assert told["all"]["median_width"] == pytest.approx(0.1)
    report = {"placements": 3, "events": 1e5, "rows": rows, "summary": told}
    text = script.result_text(report | {"machine": script.machine()}, "python x")
    assert "| all | 3 | 66.7 % (20.8 to 93.9) | 66.7 %" in text
