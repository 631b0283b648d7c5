"""The reconfiguration benchmark: three ways through one change, and a report that says so."""

from __future__ import annotations

from argparse import Namespace
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from datagen.deployment import Deployment
from surrogate.optimizers import PlacementSpace, proof, reconfiguration
from tests.surrogate.optimizers.problems import short_proof


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name in ("SELECTION_EVENTS", "VERIFICATION_EVENTS"):
        monkeypatch.setattr(proof, name, getattr(proof, name))
    short_proof()
    monkeypatch.setattr(reconfiguration, "PHASE_REQUESTS", 2e3)
    module = import_module("reconfiguration")
    monkeypatch.setattr(module, "JUDGING_EVENTS", 1e5)
    return module


def options(**changed: Any) -> Namespace:
    usual = {
        "checkpoint": "analytic",
        "problems": 1,
        "factor": 1.4,
        "bandwidth": 1e6,
        "seconds": 0.3,
        "time": "processor",
    }
    return Namespace(**(usual | changed))


def test_weights_differ_and_fit(script: ModuleType) -> None:
    number, start = script.cases(1, script.EVALUATION_SEED)[0]
    weighed = script.with_weights(start, number)
    space = PlacementSpace(weighed)
    assert space.excess(space.start[None])[0] == 0
    low, high = script.WEIGHTS
    assert space.weights.min() >= low
    assert space.weights.max() <= high
    assert len(set(space.weights)) == space.slots
    assert weighed == script.with_weights(start, number)


def test_a_short_run(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs is placed least-loaded, so that there is much to gain whatever a search finds."""
    search, calls = script.searched, []

    def searched(base: Deployment, *words: Any, **options: Any) -> Any:
        calls.append(base)
        first = len(calls) == 1
        return Namespace(deployment=base) if first else search(base, *words, **options)

    monkeypatch.setattr(script, "searched", searched)
    report = script.measure(options())
    assert report["passed_over"] == []
    ways = report["rows"][0]["ways"]
    assert ways["nothing"]["bytes"] == ways["nothing"]["refused"] == 0
    assert 0 < ways["cheapest"]["bytes"] < 0.5 * ways["full"]["bytes"]
    assert ways["cheapest"]["refused"] < ways["full"]["refused"]
    assert ways["cheapest"]["loss_since"] < ways["nothing"]["loss_since"]
    assert ways["full"]["loss_after"] < ways["cheapest"]["loss_after"]
    assert 0 < report["summary"]["median_bytes_over_full"] < 0.5
    text = script.result_text(report, "command", "2core")
    assert "| doing nothing | 0.0 | 0 | 0.0 |" in text
    assert "all rates times 1.4" in text


def test_where_nothing_is_to_be_gained_nothing_is_claimed(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No search finds anything better than what runs, however fast the machine is."""
    monkeypatch.setattr(script, "searched", lambda base, *_, **__: Namespace(deployment=base))
    report = script.measure(options())
    assert report["rows"] == []
    assert report["summary"] is None
    assert "No problem where anything is to be gained" in script.result_text(report, "command")
