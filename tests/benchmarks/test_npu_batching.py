"""The comparison of batching systems: its cases, its ratios and its result file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from datagen.evaluation import pack


@pytest.fixture
def benchmark() -> ModuleType:
    return import_module("npu_batching")


def test_cases_load_the_fixed_array_as_they_say() -> None:
    cases = import_module("npu_cases")
    every = list(cases.all_cases())
    assert len(every) == len(set(every))
    assert {case.array for case in every} == set(cases.ARRAYS)
    for case in (every[0], every[-1]):
        found = pack([cases.deployment(case, "serial")])
        load = found.step_mean * found.step_reached * np.repeat(found.chain_rate, 4)
        assert load.sum() == pytest.approx(case.load)
        assert found.chain_deadline[0] == pytest.approx(case.objective * found.step_mean[:4].sum())


def row(system: str, latency: float, violations: float, load: float = 0.5) -> dict[str, Any]:
    case = {"network": "n", "array": "a", "arrivals": "p", "load": load, "objective": 4.0}
    figures = {"latency": latency, "violations": violations, "offered": 1e4}
    return case | {"mix": "even", "system": system} | figures


def test_ratios_are_geometric_means_over_cases(benchmark: ModuleType) -> None:
    ours = benchmark.OURS
    rows = [row("lazy", 2.0, 0.2), row(ours, 1.0, 0.1)]
    rows += [row("lazy", 1.0, 0.001, 0.9), row(ours, 2.0, 0.0, 0.9)]
    (found,) = benchmark.compared(rows)
    assert found["system"] == "lazy"
    assert found["mean_latency_ratio"] == {
        "geometric_mean": pytest.approx(1.0),
        "low": 0.5,
        "high": 2.0,
        "cases": 2,
    }
    # Ten samples that miss are too few to tell.
    assert found["slo_violation_ratio"]["cases"] == 1
    assert found["slo_violation_ratio"]["geometric_mean"] == pytest.approx(2.0)
    by_load = benchmark.compared(rows, ("load",))
    assert [line["mean_latency_ratio"]["high"] for line in by_load] == [2.0, 0.5]
    assert by_load[1]["slo_violation_ratio"]["geometric_mean"] is None


def test_a_short_run_says_what_was_found(benchmark: ModuleType, tmp_path: Path) -> None:
    cases = list(import_module("npu_cases").some_cases())[:1]
    report = benchmark.report(cases, 4e3, 1)
    assert {line["system"] for line in report["rows"]} == set(benchmark.SYSTEMS)
    assert set(report["mean_latency_ratio"]) == set(benchmark.SYSTEMS) - {benchmark.OURS}
    assert report["speed"]["numba_vs_simpy"] > 1.0
    text = benchmark.result_text(report, "python benchmarks/npu_batching.py")
    assert "| lazy on fluid+stackable |" in text
    assert "1.97 times the" in text
    assert len(report["flatness"]) == 15


def test_utilization_grows_with_what_a_batch_may_choose() -> None:
    figures = import_module("npu_figures")
    used = [
        figures.network_utilization("mobilenetv2", "fluid", variant, 16)
        for variant in ("fixed", "fluid", "fluid+stackable")
    ]
    assert (used[0] <= used[1]).all()
    assert (used[1] <= used[2]).all()
    assert (used[2] <= 1.0).all()
    assert used[2][-1] > used[2][0]


def test_catching_up_pays_where_batches_are_nearly_free(benchmark: ModuleType) -> None:
    rows = {(row["network"], row["array"], row["variant"]): row for row in benchmark.gainful()}
    assert rows["resnet50", "starved", "fixed"]["share"] > 0.1
    assert rows["resnet50", "fluid", "fixed"]["share"] == 0.0
    assert all(0.0 < row["cost_of_full_batch"] <= 1.0 for row in rows.values())
