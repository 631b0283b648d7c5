"""Flags judged: what counts as a large error, and how many of those are told."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from datagen.scenarios import BurstyScenario, Type1Scenario
from datagen.store import read_dataset
from surrogate import load_surrogate
from tests.conftest import REPOSITORY
from tests.surrogate.releases import release


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    module = import_module("out_of_distribution")
    few = Type1Scenario(chains=(1, 2), length=(2, 3), pool=4)
    bursty = BurstyScenario(chains=(1, 1), length=(2, 2), pool=3)
    monkeypatch.setattr(module, "INSIDE", {"type1": few})
    monkeypatch.setattr(module, "OUTSIDE", {"bursty": bursty})
    monkeypatch.setattr(module, "ROWS", 5)
    monkeypatch.setattr(module, "INSIDE_ROWS", 4)
    monkeypatch.setattr(module, "OPTIONS", module.SimulationOptions(offered=200, replications=2))
    return module


def judged(
    benchmark: ModuleType, error: list[float], flagged: list[int], refused: list[int]
) -> Any:
    return benchmark.Judged(
        error=np.array(error),
        flagged=np.array(flagged, dtype=bool),
        refused=np.array(refused, dtype=bool),
        reasons=(None,) * len(error),
    )


def test_recall_is_of_errors_beyond_twice_the_level(benchmark: ModuleType) -> None:
    part = judged(benchmark, [0.5, 0.3, 0.19, np.nan, 0.4], [1, 0, 0, 1, 0], [0, 0, 1, 1, 1])
    found = benchmark.recall([part], 0.1)
    assert found["beyond"] == 3
    assert found["flagged"] == pytest.approx(1 / 3)
    assert found["covered_beyond"] == 2
    assert found["covered_flagged"] == pytest.approx(1 / 2)
    assert found["flagged_or_refused"] == pytest.approx(2 / 3)
    assert benchmark.recall([part], 1.0)["flagged"] is None


def test_the_whole_path(benchmark: ModuleType, tmp_path: Path) -> None:
    surrogate = load_surrogate(release(tmp_path / "tiny"))
    found = benchmark.report(surrogate, tmp_path / "data", 1)
    again = benchmark.report(surrogate, tmp_path / "data", 1)  # from what was simulated before
    assert again == found
    assert found["inside"]["type1"]["n"] == 4
    assert found["outside"]["bursty"]["n"] == 5
    dataset = read_dataset(tmp_path / "data" / "type1")
    batch, labels = dataset.batch(laws=False), dataset.measures()
    known = surrogate.evaluate(batch)
    errors = []
    for index in range(len(batch)):
        rows = batch.owner("chain") == index
        ratios = [
            np.abs(known.chain[name] - labels.chain[name])[rows] / (labels.chain[name][rows] + 1e-5)
            for name in ("throughput_ratio", "latency_ratio")
        ]
        errors.append(np.concatenate(ratios).mean())
    assert found["levels"]["mean"] == pytest.approx(np.mean(errors))
    report = found | {"checkpoint": "tiny", "machine": benchmark.machine()}
    text = benchmark.result_text(report, "command")
    assert "| **type1** | 4 |" in text
    assert "| bursty | 5 |" in text
