"""From ``surrogate fit`` to a checkpoint with traces and back; what the shipped one promises."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from datagen.exits import ExitTrace, clustered_error
from surrogate.__main__ import main
from surrogate.eenn.release import load_network, record_digits
from surrogate.errors import CheckpointError
from surrogate.folders import shipped_folder

CONFIG = "configs/train/eenn_network.yaml"


@pytest.fixture(scope="module")
def run(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the shipped configuration: fewer blocks, images and epochs."""
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("eenn")
    document = yaml.safe_load((repository / CONFIG).read_text())
    document["trainer"] |= {
        "default_root_dir": str(folder / "run"),
        "max_epochs": 3,
        "check_val_every_n_epoch": 1,
        "log_every_n_steps": 1,
        "enable_progress_bar": False,
    }
    document["model"]["init_args"]["network"]["init_args"] = {"widths": [2, 4], "strides": [2, 2]}
    document["data"]["init_args"] |= {"limit": 60, "batch_size": 15}
    (folder / "fit.yaml").write_text(yaml.safe_dump(document))
    # An option beats the file: exits as different as these are both trained.
    words = ["fit", "--config", str(folder / "fit.yaml"), "--model.init_args.exit_weights=[1,2]"]
    assert main(words) == 0
    return folder / "run"


def test_a_run_learns_and_leaves_a_checkpoint_with_traces(run: Path) -> None:
    names = {path.name for path in (run / "release").iterdir()}
    assert names == {
        *("model.safetensors", "config.json", "metrics.json", "README.md"),
        *("calibration.npz", "test.npz"),
    }
    metrics = json.loads((run / "release" / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert metrics["images"] == {"train": 30, "calibration": 18, "test": 12}
    assert metrics["test"]["samples"] == 60
    lines = (run / "csv").rglob("metrics.csv")
    assert any("val/accuracy_1" in line.read_text() for line in lines)
    trace = ExitTrace.load(run / "release" / "test.npz")
    assert (trace.samples, trace.exits, trace.contexts) == (60, 2, 5)
    assert trace.cost is not None
    assert trace.cost.tolist() == metrics["cost"]
    assert metrics["test"]["accuracy"] == trace.correct.mean(axis=0).tolist()
    assert trace.group is not None
    assert len(set(trace.group.tolist())) == 12


def test_the_command_records_the_same_traces_again(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release = run / "release"
    words = ["record-trace", str(release), str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["test"]["samples"] == 60
    for part in ("calibration", "test"):
        again = ExitTrace.load(described[part]["file"])
        shipped = ExitTrace.load(release / f"{part}.npz")
        np.testing.assert_allclose(again.confidences, shipped.confidences, atol=1e-6)
        assert np.array_equal(again.group, shipped.group)  # type: ignore[arg-type]
    assert main([*words[:-1], "--latency", "--format", "csv"]) == 0
    timed = ExitTrace.load(tmp_path / "out" / "test.csv")
    assert timed.cost is not None
    assert 0 < timed.cost[0] <= timed.cost[1] < 10
    assert main(["record-trace", "no/such", str(tmp_path)]) == 2
    assert "checkpoint must be a folder" in capsys.readouterr().err


def test_a_network_comes_back_and_damage_is_refused(run: Path, tmp_path: Path) -> None:
    network, data = load_network(run / "release")
    assert not network.training
    assert data.limit == 60
    traces = record_digits(network, data)
    assert traces["test"].name == "test"
    copied = tmp_path / "copy"
    copied.mkdir()
    for file in (run / "release").iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    config = json.loads((copied / "config.json").read_text())
    for change, message in (
        ({"schema": 0}, "schema must be 1, got schema=0"),
        ({"model": "other"}, r"model must be one of \['multi-exit'\], got 'other'"),
        ({"settings": {"widths": [2, 5], "strides": [2, 2]}}, "must match this version's"),
        ({"data": {"sizes": 3}}, "must match this version's"),
        ({"sha256": ""}, "must have the sha256"),
    ):
        (copied / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(CheckpointError, match=message):
            load_network(copied)


def test_the_shipped_network_is_as_good_as_promised() -> None:
    shipped = shipped_folder("eenn-network")
    metrics = json.loads((shipped / "metrics.json").read_text())
    assert metrics["exits"] >= 6
    for part in ("calibration", "test"):
        trace = ExitTrace.load(shipped / f"{part}.npz")
        accuracy = trace.correct.mean(axis=0)
        assert metrics[part]["accuracy"] == accuracy.tolist()
        gain = (trace.correct[:, -1] * 1.0) - trace.correct[:, 0]
        assert gain.mean() - 4 * clustered_error(gain, trace.group) > 0.10
        assert accuracy[-1] > 0.9
        assert max(metrics[part]["calibration_error"]) < 0.08
        assert trace.contexts == 5


def test_the_shipped_network_answers_as_its_traces_say() -> None:
    pytest.importorskip("sklearn")
    network, data = load_network("eenn-network")
    recorded = ExitTrace.load(shipped_folder("eenn-network") / "test.npz")
    images, *_ = next(iter(data.samples("test")))
    with torch.no_grad():
        confidences = torch.stack(network(images[:50]), dim=1).softmax(dim=2).amax(dim=2)
    np.testing.assert_allclose(confidences.numpy(), recorded.confidences[:50], atol=1e-4)
