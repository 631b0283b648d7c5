"""Targets: the labels of the right rows, and NaN only where a label is undefined."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from datagen.evaluation import DeploymentBatch, Measures, pack
from datagen.evaluation.exit_paths import ExitPaths
from datagen.scenarios import NpuScenario
from datagen.simulator import simulate
from surrogate.features.labels import Example, LabelTable
from tests.surrogate.cases import close, in_batch_order, made_up_labels, random_deployments


@pytest.fixture(scope="module")
def batch() -> DeploymentBatch:
    return pack(random_deployments(12, seed=8))


@pytest.fixture(scope="module")
def measures(batch: DeploymentBatch) -> Measures:
    return made_up_labels(batch)


@pytest.fixture(scope="module")
def table(batch: DeploymentBatch, measures: Measures) -> LabelTable:
    return LabelTable(batch, measures)


def test_are_those_of_the_deployments_asked_for(table: LabelTable, measures: Measures) -> None:
    wanted = [7, 0, 7, 3]
    example = table.example(wanted)
    assert len(example) == len(wanted)
    starts = (measures.chain_start, measures.step_start)
    chains, steps = (np.concatenate([np.arange(s[i], s[i + 1]) for i in wanted]) for s in starts)
    targets = example.targets
    close(targets.log_throughput_ratio.exp(), measures.chain["throughput_ratio"][chains])
    close(targets.log_latency_ratio.exp(), measures.chain["latency_ratio"][chains])
    close(targets.loss_ratio, measures.chain["loss_ratio"][chains])
    sojourn = in_batch_order(example.arrays, targets.step_log_sojourn).exp()
    close(sojourn, measures.step["sojourn_completed"][steps])
    passed = 1 - measures.step["lost"][steps] / measures.step["offered"][steps]
    close(in_batch_order(example.arrays, targets.step_log_passed).exp(), passed)
    close(in_batch_order(example.arrays, targets.step_offered), measures.step["offered"][steps])


def test_relative_errors_are_those_of_the_simulation(table: LabelTable, measures: Measures) -> None:
    targets = table.example(range(len(table))).targets
    relative = measures.chain["throughput_ratio_se"] / measures.chain["throughput_ratio"]
    close(targets.throughput_error, relative)
    close(targets.latency_error, measures.chain["latency_se"] / measures.chain["latency"])


def test_steps_multiply_to_their_chain(table: LabelTable) -> None:
    example = table.example([1, 2])
    passed = example.arrays.sum_to_flows(example.targets.step_log_passed)
    close(passed[example.arrays.flow_chain.argsort()], example.targets.log_throughput_ratio)


def altered(measures: Measures, batch: DeploymentBatch, level: str, **values: float) -> Measures:
    """The labels with some of the first row of a level replaced."""
    columns = {name: dict(getattr(measures, name)) for name in ("chain", "step")}
    for name, value in values.items():
        changed = columns[level][name].copy()
        changed[0] = value
        columns[level][name] = changed
    return Measures.of(batch, "simulation", **columns)  # type: ignore[arg-type]


def test_nothing_completed_is_known_to_half_a_job(
    batch: DeploymentBatch, measures: Measures
) -> None:
    none = altered(
        measures, batch, "chain", throughput_ratio=0.0, latency_ratio=np.nan, latency=np.nan
    )
    targets = LabelTable(batch, none).example([0]).targets
    close(targets.log_throughput_ratio[0].exp(), torch.tensor(0.5 / 1e4))
    assert targets.log_latency_ratio[0].isnan()
    assert torch.isfinite(targets.latency_error).all()
    assert torch.isfinite(targets.throughput_error).all()


def test_a_step_that_nobody_reached_is_undefined(
    batch: DeploymentBatch, measures: Measures
) -> None:
    unreached = altered(measures, batch, "step", offered=0.0, lost=0.0, sojourn_completed=np.nan)
    example = LabelTable(batch, unreached).example([0])
    targets = example.targets
    assert in_batch_order(example.arrays, targets.step_log_passed)[0].isnan()
    assert in_batch_order(example.arrays, targets.step_log_sojourn)[0].isnan()
    assert in_batch_order(example.arrays, targets.step_offered)[0] == 0


def test_labels_may_lack_counts_and_steps(batch: DeploymentBatch, measures: Measures) -> None:
    kept = ("throughput_ratio", "latency_ratio", "loss_ratio", "latency")
    bare = Measures.of(batch, "measured", chain={name: measures.chain[name] for name in kept})
    targets = LabelTable(batch, bare).example(range(len(batch))).targets
    assert torch.isfinite(targets.log_throughput_ratio).all()
    assert (targets.throughput_error == 0).all()
    assert targets.offered.isinf().all()
    assert targets.step_log_passed.isnan().all()
    assert targets.step_log_sojourn.isnan().all()
    assert torch.isfinite(targets.step_offered).all()


def test_tables_are_joined_end_to_end(batch: DeploymentBatch, table: LabelTable) -> None:
    joined = LabelTable.joined([table, table])
    assert len(joined) == 2 * len(table)
    last, same = joined.example([len(table) + 4]), table.example([4])
    close(last.targets.log_throughput_ratio, same.targets.log_throughput_ratio)
    close(last.targets.step_log_sojourn, same.targets.step_log_sojourn)
    close(last.arrays.step_mean, same.arrays.step_mean)


def test_moves_between_devices(table: LabelTable) -> None:
    moved = table.example([0]).to("meta")
    assert isinstance(moved, Example)
    assert moved.targets.loss_ratio.device.type == "meta"
    assert moved.arrays.step_mean.device.type == "meta"


def test_labels_of_accelerators_are_those_of_whole_visits() -> None:
    deployments = [NpuScenario().sample(index, 17) for index in range(6)]
    measures = simulate(deployments, events=1e4, replications=1)
    origin = pack(deployments)
    table = LabelTable(origin, measures)
    paths = ExitPaths.of(origin)
    example = table.example(range(len(deployments)))
    found = in_batch_order(example.arrays, example.targets.step_log_sojourn).exp()
    own = measures.step["sojourn_completed"]
    several = np.flatnonzero(paths.step_count > 1)
    assert len(several) > 0
    for row in several:
        first, count = paths.step_first[row], paths.step_count[row]
        expected = own[first : first + count].sum()
        assert found[row].item() == pytest.approx(expected, rel=1e-5, nan_ok=True)
    assert found.isnan()[torch.from_numpy(~paths.step_whole)].all()
    close(example.targets.attainment, measures.chain["attainment"])
    close(example.targets.deadline, origin.chain_deadline)
