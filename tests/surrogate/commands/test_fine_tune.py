"""A released model learns a real system from few measurements of throughput and latency alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from datagen.evaluation import Effect, pack
from datagen.store import read_dataset
from datagen.store.compare import compare_measures
from datagen.store.measured import import_measured
from surrogate import load_surrogate
from surrogate.__main__ import main
from surrogate.checkpoints import released_network, save_release
from surrogate.coverage import Coverage
from surrogate.features.arrays import flow_arrays
from surrogate.models import ChainNet
from tests.surrogate.cases import random_deployments
from tests.surrogate.real_system import observed, placements, sheet, write_log
from tests.surrogate.releases import METRICS, some_intervals

SHIPPED = "configs/train/fine_tune.yaml"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A release of a network that repeats the prior, as one that learned deterministic services."""
    torch.manual_seed(0)
    network = ChainNet(hidden=16, iterations=2).eval()
    batch = pack(random_deployments(60, seed=61))
    arrays = flow_arrays(batch)
    network.fit_features(arrays)
    features = network.features(arrays)
    coverage = Coverage.of(batch, arrays, features).calibrated([[(arrays, features)]])
    assert coverage.effects & Effect.RANDOM_SERVICE
    intervals = some_intervals(network)
    save_release(tmp_path / "base", network, coverage, intervals, metrics=METRICS, card="# base\n")
    return tmp_path / "base"


@pytest.fixture
def logs(tmp_path: Path) -> dict[str, Path]:
    """Data sets of two campaigns of measurements."""
    folders = {}
    for seed, (name, count) in enumerate({"first": 60, "later": 40}.items()):
        deployments = placements(sheet(), count, seed)
        log = write_log(tmp_path / f"{name}-log", deployments, observed(deployments, seed))
        import_measured(log, tmp_path / name)
        folders[name] = tmp_path / name
    return folders


def errors(checkpoint: Path, folder: Path) -> dict[str, float]:
    dataset = read_dataset(folder)
    batch = dataset.batch()
    said = load_surrogate(checkpoint).evaluate(batch)
    report = compare_measures(batch, said, dataset.measures())
    return {name: report[name]["mape"] for name in ("throughput_ratio", "latency_ratio")}


def test_errors_on_later_deployments_fall(
    repository: Path, base: Path, logs: dict[str, Path], tmp_path: Path
) -> None:
    document: dict[str, Any] = yaml.safe_load((repository / SHIPPED).read_text())
    document["trainer"] |= {
        "default_root_dir": str(tmp_path / "run"),
        "accelerator": "cpu",
        "max_epochs": 25,
        "enable_progress_bar": False,
    }
    document["model"]["network"]["init_args"]["checkpoint"] = str(base)
    document["model"]["learning_rate"] = 5e-3  # the small base knows less, and learns faster
    document["data"]["train"] = [str(logs["first"])]
    file = tmp_path / "fit.yaml"
    file.write_text(yaml.safe_dump(document))
    before = errors(base, logs["later"])
    assert main(["fit", "--config", str(file)]) == 0
    after = errors(tmp_path / "run" / "release", logs["later"])
    assert after["throughput_ratio"] < 0.7 * before["throughput_ratio"], (before, after)
    assert after["latency_ratio"] < 0.5 * before["latency_ratio"], (before, after)
    scales = [
        released_network(str(folder)).step_encoder.mean
        for folder in (base, tmp_path / "run" / "release")
    ]
    assert torch.equal(*scales)


def test_a_released_network_may_be_trained(base: Path) -> None:
    network = released_network(str(base))
    assert network.training
    assert network.scaled
    assert all(weights.requires_grad for weights in network.parameters())
    frozen = load_surrogate(base).release.network
    for name, value in frozen.state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name
