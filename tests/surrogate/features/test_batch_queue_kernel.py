"""The queue in front of an accelerator: exact where it should be, near simulation elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic.batch_service import greedy_batches
from datagen.arrivals import Poisson
from datagen.deployment import BatchConfig, Chain, Deployment, Device, Exit, Fragment, Npu, Problem
from datagen.distributions import Deterministic
from datagen.evaluation import pack
from datagen.evaluation.exit_paths import ExitPaths
from datagen.exits import ExitMix
from datagen.npu import BatchTable
from datagen.simulator import simulate
from surrogate.features.accelerators import said_of, visits
from surrogate.features.batch_queue_kernel import MOST_JOBS, Accelerators, Said

MIX = (0.5, 0.2, 0.3)


def deployed(
    rate: float,
    config: BatchConfig,
    capacity: int = 20,
    mix: tuple[float, ...] = (1.0,),
    models: int = 1,
) -> Deployment:
    """Models with one segment per exit on one accelerator; a whole batch of b takes 0.4 + 0.1 b."""
    times = (0.4 + 0.1 * np.arange(1, config.max_batch + 1)) / len(mix)
    table = BatchTable(seconds=np.tile(times, (len(mix), 1)))
    fragments = tuple(
        Fragment(
            name=f"f{n}", service=Deterministic(mean=1.0), exit=Exit() if n + 1 < len(mix) else None
        )
        for n in range(len(mix))
    )
    names = [f"c{n}" for n in range(models)]
    return Deployment(
        problem=Problem(
            devices=(Device(name="npu", capacity=capacity, npu=Npu(table=table)),),
            chains=tuple(
                Chain(name=name, arrivals=Poisson(rate=rate / models), fragments=fragments)
                for name in names
            ),
        ),
        placement={name: (("npu",) * len(mix),) for name in names},
        exits={name: ExitMix(p=mix) for name in names} if len(mix) > 1 else None,
        batching={"npu": config},
    )


def said(deployment: Deployment) -> tuple[Accelerators, Said]:
    batch = ExitPaths.of(pack([deployment])).batch
    found = visits(batch)
    assert found is not None
    chain = batch.step_chain[found.step]
    rate = batch.chain_rate[chain] * batch.path_probability[found.step]
    return said_of(batch, found, rate)


@pytest.mark.parametrize(
    ("rate", "capacity", "largest"), [(1.0, 8, 4), (6.0, 20, 4), (3.0, 64, 8), (9.0, 40, 16)]
)
def test_greedy_batches_of_one_line_are_exact(rate: float, capacity: int, largest: int) -> None:
    config = BatchConfig(policy="dynamic", max_batch=largest)
    _, found = said(deployed(rate, config, capacity))
    exact = greedy_batches(rate, 0.4 + 0.1 * np.arange(1, largest + 1), capacity)
    assert found.loss[0] == pytest.approx(exact.queue.loss_probability, rel=1e-6, abs=1e-12)
    assert found.batch[0] == pytest.approx(exact.mean_batch, rel=1e-6)
    # Of many who come during a batch, those beyond the room are taken to come evenly.
    latency = found.wait[0] + found.length[0]
    assert latency == pytest.approx(exact.queue.mean_latency, rel=2e-3)


@pytest.mark.parametrize(
    ("config", "rate", "models"),
    [
        (BatchConfig(policy="static", max_batch=4), 2.0, 1),
        (BatchConfig(policy="static", max_batch=4), 6.0, 1),
        (BatchConfig(policy="dynamic", max_batch=8, timeout=1.0), 2.0, 1),
        (BatchConfig(policy="dynamic", max_batch=8, timeout=0.3), 9.0, 1),
        (BatchConfig(policy="dynamic", max_batch=8), 6.0, 2),
        (BatchConfig(policy="serial"), 1.5, 2),
    ],
)
def test_near_simulation(config: BatchConfig, rate: float, models: int) -> None:
    deployment = deployed(rate, config, models=models)
    given, found = said(deployment)
    measured = simulate([deployment], events=2e5, replications=1, seed=1).chain
    latency = found.wait[0] + found.own[0]
    assert latency == pytest.approx(measured["latency"].mean(), rel=0.08)
    assert found.loss[0] == pytest.approx(measured["loss_ratio"].mean(), abs=0.01)
    assert len(given.share) == models


@pytest.mark.parametrize("compaction", [False, True])
def test_exits_shorten_batches(compaction: bool) -> None:
    config = BatchConfig(policy="dynamic", max_batch=8, compaction=compaction)
    early, late = deployed(9.0, config, mix=MIX), deployed(9.0, config)
    _, found = said(early)
    assert found.length[0] < said(late)[1].length[0]
    measured = simulate([early], events=2e5, replications=1, seed=1).chain
    latency = found.wait[0] + float(np.array(MIX) @ found.own)
    assert latency == pytest.approx(measured["latency"][0], rel=0.12)
    assert found.loss[0] == pytest.approx(measured["loss_ratio"][0], abs=0.02)
    assert (np.diff(found.own) > 0).all()


def test_overload_and_huge_buffers_are_finite() -> None:
    for config in (
        BatchConfig(policy="static", max_batch=4),
        BatchConfig(policy="dynamic", max_batch=4),
        BatchConfig(policy="serial"),
    ):
        for rate in (1e-6, 50.0):
            given, found = said(deployed(rate, config, capacity=5000))
            assert given.capacity[0] == MOST_JOBS
            for values in found:
                assert np.isfinite(values).all()
            assert 0.0 <= found.loss[0] <= 1.0
            assert 0.0 <= found.busy[0] <= 1.0 + 1e-9
