"""Errors under contention: who is judged together, and what the table says."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import numpy as np
import pytest

from datagen.evaluation import pack
from datagen.scenarios import ContentionScenario, Type1Scenario
from tests.conftest import REPOSITORY


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    return import_module("contention")


def test_every_chain_is_judged_with_what_its_deployment_has(benchmark: ModuleType) -> None:
    batch = pack([ContentionScenario().sample(index, 0) for index in range(60)])
    rows = benchmark.groups(batch)
    assert rows["all"].all()
    several = rows["one of these alone"].astype(int) + rows["two or more"] + rows["none of these"]
    assert (several == 1).all()
    for name in benchmark.FEATURES:
        assert rows[name].any()
        assert not (rows[name] & rows["none of these"]).any()
    assert (rows["chains that are parallel"] <= rows["parallel chains"]).all()
    plain = benchmark.groups(pack([Type1Scenario().sample(0, 0)]))
    assert plain["none of these"].all()


def test_errors_are_summed_up_where_they_are_defined(benchmark: ModuleType) -> None:
    errors = {"throughput_ratio": np.array([0.1, 0.3, np.nan, 9.0])}
    found = benchmark.summary(errors, np.array([True, True, True, False]))
    assert found["chains"] == 3
    assert found["throughput_ratio"]["n"] == 2
    assert found["throughput_ratio"]["mape"] == pytest.approx(0.2)
    assert found["throughput_ratio"]["p95"] == pytest.approx(0.29)
    nobody = benchmark.summary(errors, np.zeros(4, dtype=bool))
    assert nobody["throughput_ratio"] == {"mape": None, "p95": None, "n": 0}


def test_the_table_has_a_row_per_group_and_says_whether_goals_are_reached(
    benchmark: ModuleType,
) -> None:
    errors = {name: np.array([0.01, 0.02]) for name in ("throughput_ratio", "latency_ratio")}
    rows = {"all": np.array([True, True]), "blocking": np.array([False, False])}
    found = {
        "machine": benchmark.machine(),
        "checkpoint": "tiny",
        "deployments": 1,
        "errors": {name: benchmark.summary(errors, own) for name, own in rows.items()},
        "reached": True,
    }
    text = benchmark.result_text(found, "python benchmarks/contention.py", None)
    assert "| all | 2 | 1.50 % | 1.95 % | 1.50 % | 1.95 % |" in text
    assert "| blocking | 0 | - | - | - | - |" in text
    assert "; reached." in text
    assert "uncorrected prior" not in text
    assert "; not reached." in benchmark.result_text(found | {"reached": False}, "", None)


def test_the_uncorrected_prior_is_within_its_range(benchmark: ModuleType) -> None:
    batch = pack([ContentionScenario().sample(index, 0) for index in range(8)])
    found = benchmark.uncorrected(batch)
    for values in found.values():
        assert values.shape == batch.chain_rate.shape
        assert np.all((values > 0.0) & (values <= 1.0 + 1e-6))


def test_bad_input_is_named(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["chainnet", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("contention: error: ")
