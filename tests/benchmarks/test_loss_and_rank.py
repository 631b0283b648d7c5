"""Small losses and the order of placements, judged on what is known."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.evaluation import DeploymentBatch, Evaluator, Measures
from datagen.scenarios.placement import PlacementScenario
from datagen.simulator import SimulationEvaluator
from datagen.store import read_dataset
from tests.conftest import REPOSITORY
from tests.surrogate.cases import random_deployments, write_dataset


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    return import_module("loss_and_rank")


class Exaggerating(Evaluator):
    """Says what a data set says, with losses a tenth too high."""

    def __init__(self, measures: Measures) -> None:
        self.measures = measures

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        loss = {"loss_ratio": 1.1 * self.measures.chain["loss_ratio"]}
        return Measures.of(batch, "surrogate", chain=loss)


def test_loss_errors_are_relative_to_the_truth(benchmark: ModuleType, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "set", random_deployments(40, seed=8))
    measures = read_dataset(folder).measures()
    report = benchmark.loss_errors(Exaggerating(measures), folder)
    loss = measures.chain["loss_ratio"]
    for (low, high), found in zip(benchmark.DECADES, report.values(), strict=True):
        assert found["n"] == int(((loss >= low) & (loss < high)).sum())
    assert report["0.01-0.1"]["median"] == pytest.approx(0.1)


def test_placements_are_of_three_kinds_and_fit(benchmark: ModuleType) -> None:
    rng = np.random.default_rng(3)
    base = PlacementScenario(chains=(3, 3), devices=(4, 6)).draw(rng)
    candidates = benchmark.placements(base, rng, 30)
    assert candidates.placement.shape[0] == 30
    assert candidates.placement.max() < len(base.problem.devices)
    assert len(np.unique(candidates.placement, axis=0)) > 15


def test_the_simulator_ranks_like_itself(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = benchmark.SimulationOptions(offered=400, replications=1)
    monkeypatch.setattr(benchmark, "OPTIONS", short)
    itself = benchmark.rank(SimulationEvaluator(short), 2, 8, seed=5)
    assert itself["taus"] == pytest.approx([1.0, 1.0])
    analytic = benchmark.rank(AnalyticEvaluator(), 2, 8, seed=5)
    assert 0.4 < analytic["mean"] <= 1.0
