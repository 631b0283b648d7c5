"""From a run to a release: its best weights, its coverage, its errors and its card."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from datagen.errors import InvalidInputError
from datagen.evaluation import pack
from datagen.store import read_dataset
from datagen.store.compare import compare_measures
from datagen.store.split import topology_hash
from surrogate import load_surrogate
from surrogate.calibration import Labelled, fit_intervals
from surrogate.errors import CalibrationWarning
from surrogate.models import ChainNet
from surrogate.release import card, release_run
from surrogate.training.data import DeploymentData
from tests.surrogate.cases import close, random_deployments, write_dataset
from tests.surrogate.releases import small_network


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run's best checkpoint."""
    state = {f"network.{k}": v for k, v in small_network().state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "best.ckpt")
    return tmp_path / "best.ckpt"


def test_releases_the_best_weights(run: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    data = DeploymentData([str(tiny_dataset)], validation_share=0.2)
    data.setup("fit")
    network = ChainNet(hidden=8, iterations=2, groups=["spacing"], companions=True)
    metrics = release_run(run, network, data, tmp_path / "release")
    surrogate = load_surrogate(tmp_path / "release")
    for name, value in small_network().state_dict().items():
        assert torch.equal(surrogate.release.network.state_dict()[name], value)
    assert surrogate.release.metrics == json.loads(json.dumps(metrics))
    dataset = read_dataset(tiny_dataset)
    held_out = np.arange(48, 60)
    batch = dataset.batch(held_out, laws=False)
    known = surrogate.evaluate(batch)
    expected = compare_measures(batch, known, dataset.measures(held_out))
    found = metrics["held_out"]["tiny"]
    made = metrics["trained_on"]["tiny"]
    assert (made["deployments"], made["held_out"], len(made["sha256"])) == (60, 12, 64)
    for name in ("throughput_ratio", "latency_ratio"):
        close(torch.tensor(found[name]["mape"]), torch.tensor(expected[name]["mape"]))
    inside = surrogate.evaluate(dataset.batch(np.arange(48), laws=False))
    # Limits come from twelve other deployments here, and leave a few of these outside.
    assert inside.deployment["in_distribution"].mean() > 0.9


def test_calibrates_on_shapes_that_were_not_trained_on(
    run: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    network = ChainNet(hidden=8, iterations=2, groups=["spacing"], companions=True)
    seen = read_dataset(tiny_dataset)
    known = set(topology_hash(seen.batch(laws=False)).tolist())
    others = [
        deployment
        for deployment in random_deployments(40, seed=43)
        if topology_hash(pack([deployment]))[0] not in known
    ]
    unseen = write_dataset(tmp_path / "unseen", others)
    data = DeploymentData([str(tiny_dataset)], validation_share=0.2, calibration=[str(unseen)])
    data.setup("fit")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)  # whatever the made-up labels' noise
        metrics = release_run(run, network, data, tmp_path / "release")
    assert set(metrics["calibrated_on"]) == {"unseen"}
    assert metrics["calibrated_on"]["unseen"]["deployments"] == len(others)
    surrogate = load_surrogate(tmp_path / "release")
    expected = fit_intervals([Labelled.read(unseen, surrogate.release.network)])
    for name, table in expected.radius.items():
        close(surrogate.release.intervals.radius[name], table)
    again = write_dataset(tmp_path / "again", random_deployments(3, seed=41))
    data.calibration = [str(again)]
    with pytest.raises(InvalidInputError, match=r"calibration must .*again with \d such"):
        release_run(run, network, data, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_card_marks_what_is_undefined() -> None:
    unknown = dict.fromkeys(("mape", "mape_trimmed", "median", "p95"))
    errors = {"deployments": 1, "throughput_ratio": unknown, "latency_ratio": unknown}
    errors["coverage"] = {}
    made = {"deployments": 20, "held_out": 1, "seed": 7}
    noise = {"throughput_ratio": None, "latency_ratio": 0.125}
    calibrated = {"sharp": {"deployments": 3, "label_noise": noise}}
    metrics = {
        "held_out": {"none": errors},
        "trained_on": {"none": made},
        "calibrated_on": calibrated,
        "calibration_coverage": {
            "throughput_ratio": {"covered": None, "load": None, "length": None},
            "latency_ratio": {"covered": 0.91, "load": 0.87, "length": 0.88},
        },
        "parameters": 9,
    }
    text = card("tiny", metrics)
    assert "| none | 1 | - | - | - | - | - | - |" in text
    assert "| none | 20 | 1 | 7 |" in text
    assert "| sharp | 3 | - | 0.12 |" in text
    assert "| throughput_ratio | - | - | - |" in text
    assert "| latency_ratio | 0.910 | 0.870 | 0.880 |" in text
