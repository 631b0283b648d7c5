"""Exits as paths: the same jobs, the same rates, one step per visit to an accelerator."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.deployment import BatchConfig, Chain, Deployment, Device, Exit, Fragment, Npu, Problem
from datagen.distributions import Deterministic
from datagen.evaluation import DeploymentBatch, Effect, pack
from datagen.evaluation.exit_paths import ExitPaths
from datagen.evaluation.expansion import Expansion
from datagen.exits import ExitMix
from datagen.npu import BatchTable
from datagen.scenarios import EarlyExitScenario, NpuScenario
from tests.datagen.evaluation.exit_cases import two_ways

TABLE = BatchTable(seconds=np.array([[1.0, 1.5], [2.0, 2.5], [4.0, 7.0]]))


def visiting(exits: ExitMix | None) -> Deployment:
    """A gateway of 3 s, then two segments on an accelerator, then the gateway again."""
    fragments = tuple(
        Fragment(name=f"f{n}", service=Deterministic(mean=3.0), exit=Exit() if n < 3 else None)
        for n in range(4)
    )
    table = BatchTable(seconds=np.concatenate([TABLE.seconds, [[8.0, 9.0]]]))
    devices = (
        Device(name="gate", capacity=9),
        Device(name="npu", capacity=5, npu=Npu(table=table)),
    )
    chain = Chain(name="c", arrivals=Poisson(rate=0.1), fragments=fragments, deadline=20.0)
    return Deployment(
        problem=Problem(devices=devices, chains=(chain,)),
        placement={"c": (("gate", "npu", "npu", "gate"),)},
        exits=None if exits is None else {"c": exits},
        batching={"npu": BatchConfig(policy="dynamic", max_batch=2)},
    )


def test_an_exit_is_a_path_and_a_visit_one_step() -> None:
    paths = ExitPaths.of(pack([visiting(ExitMix(p=(0.4, 0.3, 0.2, 0.1)))]))
    batch = paths.batch
    assert batch.path_probability == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert np.diff(batch.step_start).tolist() == [1, 2, 2, 3]
    assert batch.step_mean == pytest.approx([3, 3, 2, 3, 2 + 4, 3, 2 + 4, 3])
    seconds = batch.table_seconds
    assert seconds is not None
    assert seconds == pytest.approx([2, 2.5, 6, 9.5, 6, 9.5])
    assert paths.step_count.tolist() == [1, 1, 1, 1, 2, 1, 2, 1]
    assert paths.step_first.tolist() == [0, 0, 1, 0, 1, 0, 1, 3]
    assert paths.step_whole.all()
    # Whole visits: who leaves after the first segment was in a batch for two.
    assert batch.fragment_start is not None
    assert np.diff(batch.fragment_start).tolist() == [1, 1, 2, 1, 2, 1, 2, 1]
    assert batch.fragment_law is None
    again = ExitPaths.of(batch).batch
    assert again.fragment_start is not None
    assert again.fragment_start.tolist() == batch.fragment_start.tolist()
    assert batch.chain_deadline.tolist() == [20.0]
    assert not batch.effects[0] & int(Effect.EXITS | Effect.ROUTING)


def test_a_visit_without_exits_is_one_step_as_well() -> None:
    batch = ExitPaths.of(pack([visiting(None)])).batch
    assert batch.step_mean == pytest.approx([3, 6, 3])


def test_steps_that_some_leave_in_the_middle_are_not_whole() -> None:
    fragments = tuple(
        Fragment(name=f"f{n}", service=Deterministic(mean=1.0), exit=None if n else Exit())
        for n in range(2)
    )
    chain = Chain(name="c", arrivals=Poisson(rate=0.1), fragments=fragments)
    deployment = Deployment(
        problem=Problem(devices=(Device(name="d", capacity=4),), chains=(chain,)),
        placement={"c": (("d", "d"),)},
        exits={"c": ExitMix(p=(0.5, 0.5))},
    )
    paths = ExitPaths.of(pack([deployment]))
    assert paths.batch.step_mean == pytest.approx([1.0, 2.0])
    assert not paths.step_whole.any()


@pytest.mark.parametrize("index", range(6))
def test_paths_are_the_chains_of_the_expansion(index: int) -> None:
    origin = pack([two_ways(), *(EarlyExitScenario().sample(3 * index + n, 5) for n in range(3))])
    paths, chains = ExitPaths.of(origin), Expansion.of(origin)
    batch = paths.batch
    rate = np.repeat(batch.chain_rate, batch.counts("path")) * batch.path_probability
    assert rate == pytest.approx(chains.batch.chain_rate)
    assert np.array_equal(batch.step_start, chains.batch.step_start)
    for name in ("step_device", "step_mean", "step_scv", "step_demand"):
        assert getattr(batch, name) == pytest.approx(getattr(chains.batch, name)), name
    assert paths.accuracy == pytest.approx(chains.accuracy, nan_ok=True)
    assert np.array_equal(batch.chain_rate, origin.chain_rate)


def work_of(batch: DeploymentBatch) -> np.ndarray:
    """Work that comes to each device, served one by one [D]."""
    chain = batch.step_chain
    path = np.repeat(np.arange(len(batch.path_probability)), batch.counts("step"))
    rate = batch.chain_rate[chain] * batch.path_probability[path] * batch.step_reached
    return np.bincount(
        batch.step_device_row, weights=rate * batch.step_mean, minlength=len(batch.device_speed)
    )


def test_no_work_is_lost_or_added() -> None:
    origin = pack([NpuScenario().sample(index, 9) for index in range(20)])
    assert ExitPaths.needed(origin)
    batch = ExitPaths.of(origin).batch
    assert work_of(batch) == pytest.approx(work_of(origin), rel=1e-6)
    again = ExitPaths.of(batch).batch
    assert np.array_equal(again.step_mean, batch.step_mean)


def test_plain_deployments_need_none() -> None:
    assert not ExitPaths.needed(pack([visiting(None)]).select([]))
