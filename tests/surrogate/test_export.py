"""An exported network is a program of its own that says what the released one says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from datagen.errors import InvalidInputError
from datagen.evaluation import pack
from surrogate.checkpoints import load_release, save_release
from surrogate.errors import CheckpointError
from surrogate.evaluator import load_surrogate
from surrogate.export import export_surrogate, program_inputs
from surrogate.features.arrays import flow_arrays
from surrogate.models import GIN
from tests.surrogate.cases import close, random_deployments, single
from tests.surrogate.releases import METRICS, release


def test_says_what_the_surrogate_says(tmp_path: Path) -> None:
    folder = release(tmp_path / "tiny")
    sample = pack(random_deployments(4, seed=3))
    torch.export.save(export_surrogate(folder, sample), tmp_path / "tiny.pt2")
    program = torch.export.load(tmp_path / "tiny.pt2").module()
    surrogate = load_surrogate(folder)
    longer = single(means=[0.1] * 12, hosts=range(12))
    batches = [sample, pack([single()]), pack([*random_deployments(40, seed=5), longer])]
    for batch in batches:
        said, expected = program(program_inputs(batch)), surrogate.evaluate(batch)
        for name in ("throughput_ratio", "loss_ratio", "latency", "latency_ratio", "p50", "p99"):
            close(said[name], torch.tensor(expected.chain[name]).float())
        rows = flow_arrays(batch).step_row
        sojourn = torch.tensor(expected.step["sojourn_completed"]).float()
        close(said["step_sojourn"], sojourn[rows])


def test_says_how_long_chains_may_be(tmp_path: Path) -> None:
    longer = pack([single(means=[0.1] * 4, hosts=range(4))])
    with pytest.raises(InvalidInputError, match="sample must have chains of 3 steps at most"):
        export_surrogate(release(tmp_path / "tiny"), longer, longest=3)


def test_takes_one_path_per_chain() -> None:
    with pytest.raises(InvalidInputError, match="routing must give each chain one path"):
        program_inputs(pack(random_deployments(3, paths=2)))


def test_other_networks_are_refused(tmp_path: Path) -> None:
    known = load_release(release(tmp_path / "tiny"))
    network = GIN(hidden=8, layers=1, groups=["spacing"])
    coverage, intervals = known.coverage, known.intervals
    save_release(tmp_path / "gin", network, coverage, intervals, metrics=METRICS, card="# gin\n")
    with pytest.raises(CheckpointError, match="must be ChainNet to be exported, got GIN"):
        export_surrogate(tmp_path / "gin", pack(random_deployments(3)))
