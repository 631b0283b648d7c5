"""Lines of accelerators: those who share batches in simulation, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.evaluation import DeploymentBatch, pack
from datagen.evaluation.exit_paths import ExitPaths
from datagen.evaluation.loads import step_rates
from datagen.scenarios import NpuScenario
from datagen.simulator.batching import batching_of
from surrogate.features.accelerators import Visits, visits
from tests.surrogate.features.npu_cases import two_cuts


def found(batch: DeploymentBatch) -> Visits:
    visited = visits(ExitPaths.of(batch).batch)
    assert visited is not None
    return visited


def test_lines_are_those_of_the_simulator() -> None:
    batch = pack([NpuScenario().sample(index, 8) for index in range(60)])
    rates = step_rates(batch)
    lines = np.zeros(len(batch.device_speed), dtype=int)
    for index in range(len(batch)):
        first = batch.device_start[index]
        np.add.at(lines, first + batching_of(batch, index, rates).line_device, 1)
    visited = found(batch)
    told = np.zeros_like(lines)
    told[visited.device] = np.bincount(visited.line_queue)
    assert told.tolist() == lines.tolist()
    assert lines.max() > 2


def test_two_cuts_of_a_network_share_no_batches() -> None:
    apart, alike = found(pack([two_cuts(True)])), found(pack([two_cuts(False)]))
    assert apart.line.tolist() == [0, 1]
    assert alike.line.tolist() == [0, 0]


def test_paths_that_are_made_again_have_the_same_lines() -> None:
    paths = ExitPaths.of(pack([NpuScenario().sample(index, 8) for index in range(20)])).batch
    one, again = visits(paths), found(paths)
    assert one is not None
    assert np.array_equal(one.line, again.line)


def test_without_fragments_steps_tell() -> None:
    bare = pack([two_cuts(True)])
    steps = ExitPaths.of(bare).batch
    visited = visits(DeploymentBatch(**{**vars(steps), "fragment_start": None}))
    assert visited is not None
    assert visited.line.tolist() == [0, 0]


@pytest.mark.parametrize("size", [1, 3])
def test_times_are_those_of_the_table(size: int) -> None:
    visited = found(pack([two_cuts(True)]))
    whole = sum((0.1 + 0.1 * size) for _ in range(2))
    assert visited.times(size) == pytest.approx([whole / 2.0, whole])
