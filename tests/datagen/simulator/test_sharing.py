"""Jobs that change pace, worked out by hand, on both engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.deployment import BatchConfig, Chain, Deployment, Device, Fragment, Npu, Problem
from datagen.distributions import Deterministic, Exponential
from datagen.evaluation import pack
from datagen.npu import BatchTable
from datagen.simulator import simulate
from datagen.simulator.engine import Engine, Run
from datagen.simulator.network import Network, networks
from datagen.simulator.numba_engine import NumbaEngine
from datagen.simulator.sharing import sharing_of
from datagen.simulator.simpy_engine import SimpyEngine
from datagen.simulator.tally import RunLength
from tests.datagen.simulator.systems import (
    ENGINES,
    FixedDraws,
    as_sources,
    packed,
    same_bits,
    trace,
)

Discipline = Literal["fcfs", "priority", "ps"]


def shared(
    chains: int = 1,
    steps: int = 1,
    *,
    discipline: Discipline = "ps",
    servers: int = 1,
    capacity: int | None = None,
    speedup: tuple[float, ...] | None = None,
) -> Network:
    """Chains of some steps, each a visit to the one device that shares, and to a plain one."""
    device = Device(
        name="d", discipline=discipline, servers=servers, capacity=capacity, speedup=speedup
    )
    fragments = tuple(Fragment(name=f"f{k}", service=Exponential(mean=1.0)) for k in range(steps))
    names = [f"c{number}" for number in range(chains)]
    problem = Problem(
        devices=(device, Device(name="e")),
        chains=tuple(
            Chain(name=name, arrivals=Poisson(rate=0.1), fragments=fragments, priority=-number)
            for number, name in enumerate(names)
        ),
    )
    path = tuple("de"[k % 2] for k in range(steps))
    deployment = Deployment(problem=problem, placement=dict.fromkeys(names, (path,)))
    return networks(pack([deployment]), "test")[0]


def played(
    engine: Engine,
    network: Network,
    *jobs: tuple[Sequence[float], Sequence[Sequence[float]]],
    horizon: float = 100.0,
) -> Run:
    """Play hand-made jobs: per chain their arrival times and services [s]."""
    sources = as_sources([FixedDraws(*own) for own in jobs])
    return engine.run(network, sources, RunLength.of(0.0, horizon), log=True)


def ends(run: Run) -> list[tuple[float, int, int]]:
    """When services end, and of which chain and job."""
    return [(time, chain, job) for time, kind, chain, job, *_ in trace(run) if kind == "finished"]


@pytest.mark.parametrize("engine", ENGINES, ids=["numba", "simpy"])
def test_a_second_job_halves_the_pace(engine: Engine) -> None:
    """At 1 the first has 1 s left and takes 2; the second has 1 s left at 3 and is alone."""
    run = played(engine, shared(), ([0.0, 1.0], [[2.0], [2.0]]))
    assert ends(run) == [(3.0, 0, 0), (4.0, 0, 1)]
    assert run.tally.busy[0] == 4.0
    assert run.tally.jobs[0] == 6.0


@pytest.mark.parametrize("engine", ENGINES, ids=["numba", "simpy"])
def test_a_short_job_overtakes(engine: Engine) -> None:
    run = played(engine, shared(), ([0.0, 1.0], [[4.0], [0.5]]))
    assert ends(run) == [(2.0, 0, 1), (4.5, 0, 0)]


@pytest.mark.parametrize("engine", ENGINES, ids=["numba", "simpy"])
def test_who_ends_together_leaves_in_the_order_of_keys(engine: Engine) -> None:
    network = shared(chains=2)
    run = played(engine, network, ([0.0], [[1.5]]), ([0.0], [[1.5]]))
    assert ends(run) == [(3.0, 0, 0), (3.0, 1, 0)]


@pytest.mark.parametrize("engine", ENGINES, ids=["numba", "simpy"])
def test_a_service_of_no_length_ends_at_once(engine: Engine) -> None:
    run = played(engine, shared(), ([0.0, 1.0], [[2.0], [0.0]]))
    assert ends(run) == [(1.0, 0, 1), (2.0, 0, 0)]


@pytest.mark.parametrize("engine", ENGINES, ids=["numba", "simpy"])
def test_two_cores_serve_two_jobs_at_full_speed(engine: Engine) -> None:
    """Three jobs get two thirds of a core each."""
    network = shared(servers=2)
    run = played(engine, network, ([0.0, 0.0, 1.0], [[2.0], [3.0], [2.0]]))
    assert ends(run) == [(2.5, 0, 0), (3.5, 0, 1), (3.5, 0, 2)]
    assert run.tally.busy[0] == 7.0


@pytest.mark.parametrize("engine", ENGINES, ids=["numba", "simpy"])
def test_a_full_buffer_loses_what_does_not_fit(engine: Engine) -> None:
    run = played(engine, shared(capacity=2), ([0.0, 0.0, 1.0], [[2.0], [2.0], [2.0]]))
    assert ends(run) == [(4.0, 0, 0), (4.0, 0, 1)]
    assert run.tally.lost.sum() == 1


@pytest.mark.parametrize("discipline", ["fcfs", "priority"])
@pytest.mark.parametrize("engine", ENGINES, ids=["numba", "simpy"])
def test_busy_cores_slow_each_other_down(engine: Engine, discipline: Discipline) -> None:
    """Two at half speed until 2, when the first ends; the one that waited slows the other down."""
    network = shared(discipline=discipline, servers=2, speedup=(1.0, 0.5))
    run = played(engine, network, ([0.0, 0.0, 0.0], [[1.0], [3.0], [1.0]]))
    assert ends(run) == [(2.0, 0, 0), (4.0, 0, 2), (5.0, 0, 1)]
    assert run.tally.busy[0] == 2.0 * 4.0 + 1.0


@pytest.mark.parametrize("engine", ENGINES, ids=["numba", "simpy"])
def test_priorities_choose_who_is_served_next_by_slowed_cores(engine: Engine) -> None:
    network = shared(chains=2, discipline="priority", servers=2, speedup=(1.0, 0.5))
    low = ([0.0, 0.0, 0.5], [[1.0], [1.5], [1.0]])
    run = played(engine, network, ([1.0], [[1.0]]), low)
    assert ends(run) == [(2.0, 1, 0), (3.0, 1, 1), (4.0, 0, 0), (4.5, 1, 2)]


@pytest.mark.parametrize("engine", ENGINES, ids=["numba", "simpy"])
def test_a_hand_over_comes_after_all_that_ends_at_that_instant(engine: Engine) -> None:
    """Room that a service ends with is there for who arrives at the same time."""
    network = shared(steps=3, capacity=1)
    run = played(engine, network, ([0.0, 1.0], [[1.0, 1.0, 0.5], [1.0, 1.0, 1.0]]))
    # Job 0 is back from e at 2 when job 1 ends its first step: the room is taken anew.
    assert run.tally.lost.sum() == 0
    assert ends(run)[:3] == [(1.0, 0, 0), (2.0, 0, 0), (2.0, 0, 1)]


@pytest.mark.parametrize("engine", ENGINES, ids=["numba", "simpy"])
def test_busy_time_ends_with_the_window(engine: Engine) -> None:
    network = shared(servers=2)
    run = played(engine, network, ([0.0, 6.0], [[8.0], [9.0]]), horizon=10.0)
    assert run.tally.busy[0] == 8.0 + 4.0
    assert run.tally.jobs[0] == 8.0 + 4.0


def test_one_server_of_speed_one_shares_nothing_under_a_table_of_ones() -> None:
    """A table that says nothing new gives the log of a device without one."""
    runs = []
    for speedup in (None, (1.0, 1.0)):
        network = shared(steps=2, discipline="fcfs", servers=2, capacity=3, speedup=speedup)
        times = np.arange(12.0) / 4.0
        services = [[(3 + 5 * k) % 7 / 4.0, 0.25] for k in range(12)]
        runs.append(played(NumbaEngine(), network, (times.tolist(), services)))
    plain, table = runs
    assert trace(plain) == trace(table)
    np.testing.assert_array_equal(plain.tally.busy, table.tally.busy)


def test_an_accelerator_may_stand_beside_a_device_that_shares() -> None:
    table = BatchTable(seconds=np.array([[0.2, 0.3], [0.4, 0.6]]))
    fragments = tuple(Fragment(name=name, service=Exponential(mean=0.7)) for name in "fgh")
    chains = tuple(
        Chain(name=name, arrivals=Poisson(rate=0.6), fragments=fragments[: 1 + number])
        for number, name in enumerate("ab")
    )
    problem = Problem(
        devices=(
            Device(name="p", discipline="ps", capacity=4),
            Device(name="n", capacity=5, npu=Npu(table=table)),
        ),
        chains=chains,
    )
    deployment = Deployment(
        problem=problem,
        placement={"a": (("p",),), "b": (("p", "n"),)},
        batching={"n": BatchConfig(policy="dynamic", max_batch=2)},
    )
    runs = []
    for engine in (NumbaEngine(), SimpyEngine()):
        network, sources = packed(deployment, 3)
        runs.append(engine.run(network, sources, RunLength.of(5.0, 200.0), log=True))
    same_bits(*runs)


def test_slots_grow_under_many_jobs_at_once() -> None:
    """A burst larger than the room that the loop starts with."""
    jobs = 600
    sources = ([0.0] * jobs, [[1.0 + k % 7] for k in range(jobs)])
    runs = [
        played(engine, shared(), sources, horizon=5000.0)
        for engine in (NumbaEngine(), SimpyEngine())
    ]
    same_bits(*runs)
    assert ends(runs[0])[-1][0] == pytest.approx(sum(work for (work,) in sources[1]), rel=1e-12)


def test_sharing_says_who_shares_and_how_fast() -> None:
    devices = (
        Device(name="a", servers=2),
        Device(name="b", servers=3, discipline="ps"),
        Device(name="c", servers=2, speedup=(1.0, 0.75), discipline="priority"),
        Device(name="d", servers=2, speedup=(0.5, 0.25), discipline="ps"),
    )
    chain = Chain(
        name="c",
        arrivals=Poisson(rate=0.1),
        fragments=(Fragment(name="f", service=Deterministic(mean=1.0)),),
    )
    problem = Problem(devices=devices, chains=(chain,))
    other = Deployment(problem=replace(problem, devices=devices[:1]), placement={"c": (("a",),)})
    sharing = sharing_of(pack([other, Deployment(problem=problem, placement={"c": (("a",),)})]), 1)
    assert sharing.shares.tolist() == [False, True, True, True]
    assert sharing.welcomes.tolist() == [False, True, False, True]
    assert sharing.members.tolist() == [1, 2, 3]
    assert sharing.together.tolist() == [2.0, 3.0, 1.5, 0.5]
    assert sharing.pace.tolist() == [[1, 1, 1], [1, 1, 1], [1, 0.75, 1], [0.5, 0.25, 1]]


def test_the_unloaded_latency_is_that_of_a_job_alone() -> None:
    device = Device(name="d", servers=2, speedup=(0.5, 0.5), speed=2.0)
    chain = Chain(
        name="c",
        arrivals=Poisson(rate=1e-3),
        fragments=(Fragment(name="f", service=Deterministic(mean=3.0)),),
    )
    problem = Problem(devices=(device,), chains=(chain,))
    deployment = Deployment(problem=problem, placement={"c": (("d",),)})
    measures = simulate([deployment], horizon=2e6)[0].chains["c"]
    assert measures.latency == pytest.approx(3.0, rel=1e-2)
    assert measures.latency_ratio * measures.latency == pytest.approx(3.0, rel=1e-12)
