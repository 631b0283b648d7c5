"""The benchmark of the surrogate of accelerators: errors by part, on what is known."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from datagen.evaluation import pack
from datagen.npu import BATCH_POLICIES
from datagen.scenarios import NpuScenario
from datagen.simulator import SimulationOptions, simulate
from tests.conftest import REPOSITORY
from tests.surrogate.cases import write_dataset

DRAWN = [NpuScenario().sample(index, 12) for index in range(10)]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    return import_module("npu_surrogate")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    measures = simulate(DRAWN, events=1e4, replications=1)
    return write_dataset(tmp_path_factory.mktemp("npu") / "set", DRAWN, measures)


def test_the_policy_is_that_of_the_busiest_accelerator(benchmark: ModuleType) -> None:
    found = benchmark.busiest_policy(pack(DRAWN))
    row = 0
    for deployment in DRAWN:
        for chain in deployment.problem.chains:
            places = {name for path in deployment.placement[chain.name] for name in path}
            npus = {name for name in places if name.startswith("npu")}
            policies = {deployment.batch_config(name).policy for name in npus}
            assert found[row] in (policies or {benchmark.NOWHERE})
            row += 1
    assert row == len(found)
    assert set(found) <= {*BATCH_POLICIES, benchmark.NOWHERE}


def test_results_say_how_their_deployments_were_made(benchmark: ModuleType) -> None:
    runs = {"events": 1e6, "replications": 4}
    made = {"program": "datagen generate", "seed": 7, "config": {"simulation": runs}}
    made["config"]["scenario"] = {"name": "npu"}
    again = {"program": "datagen simulate", "seed": 9, "config": {"simulation": runs}}
    known = "seed 7, 1e+06 events, 4 runs"
    assert benchmark.origin_of(made) == f"scenario npu, `datagen generate`, {known}"
    assert benchmark.origin_of(again).startswith("drawn before, `datagen simulate`, seed 9")
    assert benchmark.origin_of({"program": "x"}) == "drawn before, `x`"


def test_errors_are_relative_for_latencies_only(benchmark: ModuleType, folder: Path) -> None:
    data = benchmark.judged(folder)
    off = {"latency": 1.1 * data.true["latency"], "loss_ratio": data.true["loss_ratio"] + 0.1}
    report = benchmark.errors(data, off)
    assert report["all"]["latency"] == pytest.approx(0.1)
    assert report["all"]["loss_ratio"] == pytest.approx(0.1)
    assert report["all"]["p95"] is None
    by_policy = [part["chains"] for name, part in report.items() if name.startswith("policy")]
    by_load = [part["chains"] for name, part in report.items() if name.startswith("load")]
    assert sum(by_policy) == sum(by_load) == report["all"]["chains"]


def test_reports_and_says_what_was_met(
    benchmark: ModuleType,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(benchmark, "SHORT", SimulationOptions(events=1e3, replications=1))
    assert benchmark.main([str(folder), "--repeats", "1"]) == 0
    text = capsys.readouterr().out
    assert "| latency | 5.00 % |" in text
    assert "policy exit_aware" in text
    report = benchmark.measured(folder, "npu", 1)
    assert set(report["met"]) == set(benchmark.GOALS)
    prior = report["rivals"]["prior"]["errors"]["all"]
    assert prior["attainment"] is None
    surrogate = report["rivals"]["surrogate"]["errors"]["all"]
    assert surrogate["latency"] < np.float64(prior["latency"])
