"""Two processes train one network: each row is seen by one of them, and the weights stay equal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from datagen.store import read_dataset
from surrogate import load_surrogate
from surrogate.training import streamed
from surrogate.training.data import DeploymentData
from surrogate.training.streamed import StreamedDeployments
from tests.surrogate.training.witness import marks

SHIPPED = "configs/train/chainnet.yaml"

PATIENCE = 540
"""Seconds: two processes that import everything on a busy machine."""

VARIABLES = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture
def config(repository: Path, tiny_dataset: Path, tmp_path: Path) -> dict[str, Any]:
    """The shipped configuration on two processes, 24 rows each, for two short epochs."""
    document: dict[str, Any] = yaml.safe_load((repository / SHIPPED).read_text())
    document["trainer"] |= {
        "default_root_dir": str(tmp_path),
        "accelerator": "cpu",
        "devices": 2,
        "strategy": "ddp",
        "max_epochs": 2,
        "log_every_n_steps": 1,
        "enable_progress_bar": False,
    }
    document["trainer"]["callbacks"].append({
        "class_path": "tests.surrogate.training.witness.Witness",
        "init_args": {"folder": str(tmp_path)},
    })
    document["model"]["network"]["init_args"] = {"hidden": 8, "iterations": 1}
    document["data"] = {"train": [str(tiny_dataset)], "batch_size": 8, "validation_share": 0.2}
    return document


@pytest.mark.slow
def test_rows_are_shared_out_and_weights_agree(
    config: dict[str, Any], repository: Path, tiny_dataset: Path, tmp_path: Path
) -> None:
    file = tmp_path / "fit.yaml"
    file.write_text(yaml.safe_dump(config))
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-m", "surrogate", "fit", "--config", str(file)],
        cwd=repository,
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    data = DeploymentData([str(tiny_dataset)], validation_share=0.2)
    data.setup("fit")
    expected = Counter(marks(data.sample(10_000).example(range(48))))
    assert max(expected.values()) == 1
    first, second = (json.loads((tmp_path / f"rows_{rank}.json").read_text()) for rank in (0, 1))
    assert len(first) == len(second) == 2
    for own, other in zip(first, second, strict=True):
        assert len(own) == len(other) == 24
        assert Counter(own + other) == expected
    assert first[0] != first[1]
    one, two = (torch.load(tmp_path / f"weights_{rank}.pt", weights_only=True) for rank in (0, 1))
    for name, value in one.items():
        assert torch.equal(value, two[name]), name
    batch = read_dataset(tiny_dataset).batch(laws=False)
    assert np.isfinite(load_surrogate(tmp_path / "release").evaluate(batch).chain["latency"]).all()


@pytest.mark.parametrize("batch_size", [7, 8])
def test_streams_are_shared_out(
    tiny_dataset: Path, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[list[float]]] = []
    for place in ((0, 1), (0, 2), (1, 2)):
        monkeypatch.setattr(streamed, "_place", lambda place=place: place)
        stream = StreamedDeployments([read_dataset(tiny_dataset)], batch_size=batch_size, groups=1)
        seen.append([marks(example) for example in stream])
        assert len(seen[-1]) == len(stream)
    alone, first, second = seen
    assert len(first) == len(second) == len(alone) // 2
    assert [first[0], second[0], first[1]] == alone[:3]
    shared = [mark for part in (*first, *second) for mark in part]
    assert len(set(shared)) == len(shared)
