"""Pooled features are those of a chain's own steps, and boosting on them learns."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from datagen.evaluation import pack
from datagen.simulator import simulate
from datagen.store import Dataset, read_dataset
from datagen.store.compare import compare_measures
from surrogate.features.arrays import flow_arrays
from surrogate.features.features import FeatureFunction
from tests.surrogate.cases import close, random_deployments, write_dataset


@pytest.fixture
def baseline(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("sklearn")
    found = import_module("frontier_boosting")
    monkeypatch.setattr(found, "TREES", 60)
    return found


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder: Path = tmp_path_factory.mktemp("data") / "tiny"
    deployments = random_deployments(150, seed=11)
    simulated = simulate(deployments, events=2e4)  # formulas would leave nothing to correct
    return read_dataset(write_dataset(folder, deployments, simulated))


@pytest.mark.parametrize("paths", [1, 2])
def test_features_are_pooled_chain_by_chain(baseline: ModuleType, paths: int) -> None:
    batch = pack(random_deployments(6, seed=3, paths=paths))
    arrays, function = flow_arrays(batch), FeatureFunction()
    features = function(arrays)
    found = baseline.pooled_features(batch, function)
    assert len(found) == arrays.chains
    for chain in range(arrays.chains):
        flows = np.flatnonzero(arrays.flow_chain.numpy() == chain)
        steps = np.flatnonzero(np.isin(arrays.step_flow.numpy(), flows))
        hosts = arrays.step_device.numpy()[steps]
        own = np.hstack([features.step.numpy()[steps], features.device.numpy()[hosts]])
        share = arrays.flow_probability.numpy()[flows]
        expected = [own.mean(axis=0), own.max(axis=0), own.min(axis=0)]
        expected.append(share @ features.flow.numpy()[flows])
        close(found[chain], np.concatenate(expected), rtol=1e-5, atol=1e-5)


def test_boosting_corrects_the_prior(baseline: ModuleType, dataset: Dataset) -> None:
    entry = baseline.boosting(dataset, limit=1000, threads=1)
    assert entry.fitted_on == 150
    assert entry.fit_s > 0
    batch, labels = dataset.batch(), dataset.measures()
    said = entry.evaluator.evaluate(batch)
    prior = import_module("frontier_entries").PriorEvaluator().evaluate(batch)
    fitted, untrained = (compare_measures(batch, known, labels) for known in (said, prior))
    for target in ("throughput_ratio", "latency_ratio"):
        assert fitted[target]["mape"] < 0.85 * untrained[target]["mape"]
        assert said.chain[target].min() > 0
        assert said.chain[target].max() <= 1


def test_fewer_deployments_are_used_where_fewer_are_wanted(
    baseline: ModuleType, dataset: Dataset
) -> None:
    entry = baseline.boosting(dataset, limit=60, threads=1)
    assert entry.fitted_on == 60
    few, many = (
        side.evaluator.evaluate(dataset.batch()).chain["throughput_ratio"]
        for side in (entry, baseline.boosting(dataset, limit=150, threads=1))
    )
    assert np.abs(few - many).max() > 1e-6
