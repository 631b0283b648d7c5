"""The features of batching accelerators: scale-free, constant without one, and in step with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from datagen.evaluation import DeploymentBatch, pack
from datagen.evaluation.exit_paths import ExitPaths
from datagen.scenarios import NpuScenario
from datagen.simulator import simulate
from surrogate.features.accelerators import is_accelerator
from surrogate.features.arrays import flow_arrays
from surrogate.features.batching import Batching
from surrogate.features.features import PLAIN_FEATURES, FeatureFunction, Features
from surrogate.features.labels import LabelTable
from surrogate.models.readout import read_out
from tests.surrogate.cases import close, random_deployments

FUNCTION = FeatureFunction([Batching()])


@pytest.fixture(scope="module")
def origin() -> DeploymentBatch:
    return pack([NpuScenario().sample(index, 31) for index in range(40)])


def of(batch: DeploymentBatch) -> Features:
    return FUNCTION(flow_arrays(batch))  # type: ignore[no-any-return]


def test_finite_and_named(origin: DeploymentBatch) -> None:
    batch = ExitPaths.of(origin).batch
    features = of(batch)
    assert features.names == PLAIN_FEATURES + Batching.names
    for level in ("step", "device", "flow"):
        values, names = getattr(features, level), getattr(features.names, level)
        assert values.shape[1] == len(names) == len(set(names))
        assert values.isfinite().all()
    assert features.prior.unbounded is not None
    assert np.array_equal(features.prior.unbounded.numpy(), is_accelerator(batch))
    column = features.names.device.index("is an accelerator (0 or 1)")
    visited = np.unique(batch.step_device_row)
    close(features.device[visited, column], is_accelerator(batch)[visited].astype(np.float32))


def scaled(batch: DeploymentBatch, factor: float) -> DeploymentBatch:
    """The same deployments with all times longer."""
    assert batch.batching_parameter is not None
    assert batch.batching_start is not None
    assert batch.table_seconds is not None
    parameter = batch.batching_parameter.copy()
    parameter[batch.batching_start[:-1][np.diff(batch.batching_start) > 0] + 2] *= factor
    return replace(
        batch,
        chain_rate=batch.chain_rate / factor,
        chain_deadline=batch.chain_deadline * factor,
        step_mean=batch.step_mean * factor,
        table_seconds=batch.table_seconds * factor,
        batching_parameter=parameter,
        chain_arrivals=None,
    )


def test_the_unit_of_time_does_not_matter(origin: DeploymentBatch) -> None:
    batch = ExitPaths.of(origin).batch
    one, other = of(scaled(batch, 1.0)), of(scaled(batch, 1000.0))
    for level in ("step", "device", "flow"):
        close(getattr(one, level), getattr(other, level), atol=2e-3)


def test_deployments_do_not_touch_each_other(origin: DeploymentBatch) -> None:
    batch = ExitPaths.of(origin).batch
    alone, whole = of(batch.select([7])), of(batch)
    first, last = batch.device_start[7], batch.device_start[8]
    close(alone.device, whole.device[first:last])


def test_nothing_changes_without_an_accelerator() -> None:
    arrays = flow_arrays(pack(random_deployments(12, seed=3)))
    plain, more = FeatureFunction()(arrays), FUNCTION(arrays)
    for level in ("step", "device", "flow"):
        known = getattr(plain, level).shape[1]
        assert torch.equal(getattr(more, level)[:, :known], getattr(plain, level))
    assert not more.step[:, plain.step.shape[1] :].any()
    assert not more.device[:, plain.device.shape[1] :].any()
    assert more.prior.unbounded is None


def test_the_prior_is_near_simulation(origin: DeploymentBatch) -> None:
    measures = simulate(
        [NpuScenario().sample(index, 31) for index in range(40)], events=3e4, replications=1
    )
    table = LabelTable(origin, measures)
    example = table.example(np.arange(len(origin)))
    errors = {}
    for name, function in (("plain", FeatureFunction()), ("batching", FUNCTION)):
        prior = function(example.arrays).prior
        steps, flows = len(example.arrays.step_mean), len(example.arrays.flow_rate)
        said = read_out(example.arrays, prior, torch.zeros(steps, 2), torch.zeros(flows, 3))
        gap = said.latency_ratio.log() - example.targets.log_latency_ratio
        lost = said.loss_ratio - example.targets.loss_ratio
        errors[name] = float(gap.abs().nanmedian()), float(lost.abs().nanmean())
    assert errors["batching"][0] < 0.12
    assert errors["batching"][1] < 0.05
    assert errors["plain"][0] > 2.0 * errors["batching"][0]
    assert errors["plain"][1] > 1.5 * errors["batching"][1]
