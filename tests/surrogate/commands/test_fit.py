"""``surrogate fit`` from a file to a released model, and one line for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from datagen.store import read_dataset
from surrogate import load_surrogate
from surrogate.__main__ import main

SHIPPED = "configs/train/chainnet.yaml"
RUN = "runs/chainnet"


@pytest.fixture
def config(repository: Path, tiny_dataset: Path, tmp_path: Path) -> dict[str, Any]:
    """The shipped configuration, with a small network on a small data set for a short time."""
    shipped = (repository / SHIPPED).read_text()
    assert RUN in shipped
    document: dict[str, Any] = yaml.safe_load(shipped.replace(RUN, str(tmp_path / "run")))
    document["trainer"] |= {
        "accelerator": "cpu",
        "max_epochs": 2,
        "log_every_n_steps": 1,
        "enable_progress_bar": False,
    }
    document["model"]["network"]["init_args"] = {"hidden": 8, "iterations": 1}
    document["data"] = {
        "train": [str(tiny_dataset)],
        "batch_size": 16,
        "validation_share": 0.2,
    }
    return document


def written(document: dict[str, Any], folder: Path) -> list[str]:
    """The words that fit a configuration."""
    file = folder / "fit.yaml"
    file.write_text(yaml.safe_dump(document))
    return ["fit", "--config", str(file)]


def test_trains_and_releases(
    config: dict[str, Any],
    tiny_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert main(written(config, tmp_path)) == 0
    assert list(here.iterdir()) == []
    root = tmp_path / "run"
    names = {path.name for path in root.rglob("*") if path.is_file()}
    assert {"best.ckpt", "last.ckpt", "metrics.csv", "config.yaml"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    surrogate = load_surrogate(root / "release")
    (errors,) = surrogate.release.metrics["held_out"].values()
    assert errors["deployments"] == 12
    batch = read_dataset(tiny_dataset).batch(laws=False)
    measures = surrogate.evaluate(batch)
    assert np.isfinite(measures.chain["latency"]).all()
    card = (root / "release" / "README.md").read_text()
    assert f"| tiny | 12 | {100 * errors['throughput_ratio']['mape']:.2f} |" in card
    json.loads((root / "release" / "metrics.json").read_text(), parse_constant=pytest.fail)


def test_the_shipped_configuration_is_understood(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", str(repository / SHIPPED), "--print_config"])
    assert stop.value.code in (0, None)
    resolved = yaml.safe_load(capsys.readouterr().out)
    assert resolved["model"]["network"]["class_path"] == "surrogate.models.ChainNet"
    assert resolved["trainer"]["default_root_dir"].startswith("runs/")


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that bad input earns."""
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("surrogate fit: error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("model", "learning_rat"), 1e-3, "learning_rat"),
        (("model", "learning_rate"), "fast", "learning_rate"),
        (("model", "learning_rate"), -1.0, "learning_rate must be > 0"),
        (("model", "network", "init_args", "hidden"), 7, "hidden must be even"),
        (("trainer", "max_epoch"), 3, "max_epoch"),
        (("data", "train"), ["no/such/folder"], "no/such/folder"),
        (("data", "batch_size"), 0, "batch_size must be >= 1"),
    ],
)
def test_names_what_is_wrong(
    config: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    path: tuple[str, ...],
    value: object,
    named: str,
) -> None:
    part = config
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    assert named in refusal(written(config, tmp_path), capsys)


def test_names_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert "absent.yaml" in refusal(["fit", "--config", "absent.yaml"], capsys)
