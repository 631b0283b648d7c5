"""The queue in front of an accelerator: exact where it should be, near simulation elsewhere."""

from __future__ import annotations

from dataclasses import replace

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
from datagen.simulator import SimulationOptions, simulate
from datagen.simulator.batch_sizes import batch_sizes
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


@pytest.mark.parametrize(
    ("rate", "models", "largest", "capacity", "near"),
    [(2.0, 2, 4, 40, 0.04), (5.0, 3, 4, 40, 0.04), (3.0, 3, 8, 14, 0.13)],
)
def test_full_batches_of_several_lines_form_as_simulated(
    rate: float, models: int, largest: int, capacity: int, near: float
) -> None:
    """With room for all rests and without: the last one often starts what there is."""
    config = BatchConfig(policy="static", max_batch=largest)
    deployment = deployed(rate, config, capacity=capacity, models=models)
    _, found = said(deployment)
    measured = simulate([deployment], events=2e5, replications=1, seed=1)
    assert found.batch[0] == pytest.approx(measured.device["batch"][0], rel=near)
    latency = found.wait[0] + found.length[0]
    assert latency == pytest.approx(measured.chain["latency"].mean(), rel=max(near, 0.05))
    assert found.loss[0] == pytest.approx(measured.chain["loss_ratio"].mean(), abs=0.02)


def test_one_by_one_waits_follow_from_two_moments() -> None:
    """Pollaczek and Khinchine's formula: of two networks one takes thrice as long."""
    table = {f"m{n}": BatchTable(seconds=np.array([[0.25 if n == 0 else 0.75]])) for n in range(2)}
    chains = tuple(
        Chain(
            name=f"c{n}",
            model=f"m{n}",
            arrivals=Poisson(rate=0.6),
            fragments=(Fragment(name="f", service=Deterministic(mean=1.0)),),
        )
        for n in range(2)
    )
    deployment = Deployment(
        problem=Problem(
            devices=(Device(name="npu", capacity=60, npu=Npu(table=table)),), chains=chains
        ),
        placement={"c0": (("npu",),), "c1": (("npu",),)},
    )
    _, found = said(deployment)
    load, square = 1.2 * 0.5, 0.5 * (0.25**2 + 0.75**2)
    assert found.wait[0] == pytest.approx(1.2 * square / (2.0 * (1.0 - load)), rel=0.01)
    assert found.own == pytest.approx([0.25, 0.75])


def test_of_unlike_lines_the_frequent_one_has_the_larger_batches() -> None:
    config = BatchConfig(policy="dynamic", max_batch=8)
    deployment = deployed(5.0, config, models=2)
    often, seldom = deployment.problem.chains
    chains = (
        replace(often, arrivals=Poisson(rate=4.0)),
        replace(seldom, arrivals=Poisson(rate=1.0)),
    )
    deployment = replace(deployment, problem=replace(deployment.problem, chains=chains))
    _, found = said(deployment)
    sizes = batch_sizes(deployment, SimulationOptions(events=1e5, replications=1, seed=1))
    measured = {}
    for line in sizes:
        number = np.arange(1, line.counts.shape[1] + 1)
        counts = line.counts.sum(axis=0)
        measured[line.model] = (counts @ number**2) / (counts @ number)
    told = dict(zip(sorted(measured), found.with_line, strict=True))
    for model, size in measured.items():
        assert told[model] == pytest.approx(size, rel=0.3), model
    assert max(told.values()) > 1.5 * min(told.values())


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
