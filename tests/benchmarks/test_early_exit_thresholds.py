"""The benchmark of thresholds: a trace that is what it says, cells that are judged rightly."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from datagen.evaluation import pack
from datagen.evaluation.loads import offered_load
from tests.conftest import REPOSITORY


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    return import_module("early_exit_thresholds")


def test_the_made_up_trace_rises_and_knows_what_it_knows(benchmark: ModuleType) -> None:
    trace = benchmark.made_up_trace()
    accuracy = trace.correct.mean(axis=0)
    assert np.all(np.diff(accuracy) >= 0)
    assert accuracy == pytest.approx(benchmark.ACCURACY, abs=0.07)
    for exit_ in range(trace.exits):
        sure = trace.confidences[:, exit_] > 0.8
        assert trace.correct[sure, exit_].mean() == pytest.approx(
            trace.confidences[sure, exit_].mean(), abs=0.05
        )


def row(**said: object) -> dict[str, object]:
    plain = {"topology": "gateway", "form": "static", "close": True, "meets_target": True}
    return plain | {"simulated_accuracy": 0.7, "exact_static": 0.702, "ceiling": 0.72} | said


def test_the_summary_counts_cells(benchmark: ModuleType) -> None:
    rows = [row(), row(form="queue-aware"), row(topology="edges", close=False)]
    said = benchmark.summary(rows)
    assert said["close"] == pytest.approx(2 / 3)
    assert said["static_least_gain"] == pytest.approx(-0.002)
    assert said["static_within"] == 1.0
    assert said["aware_within"] == 0.0  # two points below the ceiling


def test_loads_are_load_factors(benchmark: ModuleType, public_data: Path) -> None:
    trace = benchmark.made_up_trace()
    parts = benchmark.fragments(public_data / "ceed", trace.exits)
    assert sum(part.service.mean for part in parts) == pytest.approx(0.809281, abs=1e-5)
    for edges in (False, True):
        deployment = benchmark.deployed(parts, trace, edges, 1.5)
        assert offered_load(pack([deployment])).max() == pytest.approx(1.5)
