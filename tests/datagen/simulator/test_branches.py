"""Parallel chains: what happens when, worked out by hand; both engines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment, Link, Npu, Problem
from datagen.distributions import Exponential
from datagen.errors import InvalidInputError, NotSupportedError
from datagen.evaluation import pack
from datagen.evaluation.expanded_deployment import expanded_deployment
from datagen.evaluation.loads import fluid_load
from datagen.exits import ExitMix
from datagen.npu import BatchTable
from datagen.simulator import simulate
from datagen.simulator.contention import NO_LINK, Contention
from datagen.simulator.engine import Engine
from datagen.simulator.network import Network
from tests.datagen.simulator.systems import FixedDraws, network_of, trace
from tests.datagen.simulator.test_semantics import INF, play

Z_MAX = 4.0
"""Standard errors by which right estimates differ less than once in 10,000 times."""


def branching_network(
    devices: list[tuple[int, float]], routes: list[list[int]], parallel: list[bool]
) -> Network:
    """A network as by ``network_of`` with parallel chains."""
    network = network_of(devices, routes, delays=[[0.0] * len(route) for route in routes])
    contention = Contention(
        blocks=False,
        parallel=np.array(parallel),
        step_link=np.full(network.steps, NO_LINK),
        step_asks=np.zeros(network.steps, dtype=bool),
    )
    return network._replace(contention=contention)


def test_all_branches_start_at_once_and_the_last_completes_the_job(engine: Engine) -> None:
    network = branching_network([(1, INF), (1, INF)], [[0, 1]], [True])
    run = play(engine, network, [FixedDraws([1.0, 2.0], [[3.0, 0.5], [1.0, 2.0]])])
    assert trace(run) == [
        (1.0, "arrived", 0, 0, 0, "started"),
        (1.0, "arrived", 0, 0, 1, "started"),
        (1.5, "finished", 0, 0, 1, "left"),
        (2.0, "arrived", 0, 1, 0, "queued"),
        (2.0, "arrived", 0, 1, 1, "started"),
        (4.0, "finished", 0, 0, 0, "left"),
        (4.0, "finished", 0, 1, 1, "left"),
        (5.0, "finished", 0, 1, 0, "left"),
    ]
    tally = run.tally
    assert (tally.offered.sum(), tally.completed.sum(), tally.lost.sum()) == (2, 2, 0)
    assert tally.latency.sum() == 3.0 + 3.0
    assert tally.step_sojourn_completed.tolist() == [6.0, 2.5]
    assert tally.jobs.tolist() == [6.0, 2.5]
    assert run.events == 2 + 4
    assert run.route_completed is not None
    assert run.route_completed.tolist() == [2]


def test_a_job_is_lost_with_its_first_lost_branch_and_the_others_run_on(engine: Engine) -> None:
    # Devices 0 and 2 have one place each: job 1 loses two branches, and counts as one lost job at
    # 2; its branch on device 1 is served to the end, which comes after that of the window.
    network = branching_network([(1, 1), (1, INF), (1, 1)], [[0, 1, 2]], [True])
    services = [[4.0, 1.0, 4.0], [1.0, 9.5, 1.0]]
    run = play(engine, network, [FixedDraws([1.0, 2.0], services)], horizon=10.0)
    assert trace(run) == [
        (1.0, "arrived", 0, 0, 0, "started"),
        (1.0, "arrived", 0, 0, 1, "started"),
        (1.0, "arrived", 0, 0, 2, "started"),
        (2.0, "finished", 0, 0, 1, "left"),
        (2.0, "arrived", 0, 1, 0, "lost"),
        (2.0, "arrived", 0, 1, 1, "started"),
        (2.0, "arrived", 0, 1, 2, "lost"),
        (5.0, "finished", 0, 0, 0, "left"),
        (5.0, "finished", 0, 0, 2, "left"),
        (11.5, "finished", 0, 1, 1, "left"),
    ]
    tally = run.tally
    assert (tally.offered.sum(), tally.completed.sum(), tally.lost.sum()) == (2, 1, 1)
    assert tally.step_offered.tolist() == [2, 2, 2]
    assert tally.step_lost.tolist() == [1, 0, 1]
    assert tally.step_served.tolist() == [1, 2, 1]
    assert tally.step_sojourn.tolist() == [4.0, 10.5, 4.0]
    assert tally.step_sojourn_completed.tolist() == [4.0, 1.0, 4.0]
    assert tally.latency.sum() == 4.0
    assert tally.busy.tolist() == [4.0, 9.0, 4.0]


def test_branches_without_work_start_all_before_any_ends(engine: Engine) -> None:
    network = branching_network([(1, 1)], [[0, 0]], [True])
    run = play(engine, network, [FixedDraws([1.0, 2.0], [[0.0, 0.0], [1.0, 0.0]])])
    assert trace(run) == [
        (1.0, "arrived", 0, 0, 0, "started"),
        (1.0, "arrived", 0, 0, 1, "lost"),
        (1.0, "finished", 0, 0, 0, "left"),
        (2.0, "arrived", 0, 1, 0, "started"),
        (2.0, "arrived", 0, 1, 1, "lost"),
        (3.0, "finished", 0, 1, 0, "left"),
    ]
    assert run.tally.lost.sum() == 2


def forked(
    rate: float, means: tuple[float, ...], servers: int = 1, capacity: int | None = None
) -> Deployment:
    """One parallel chain, each branch on its own device."""
    names = [f"d{k}" for k in range(len(means))]
    fragments = tuple(
        Fragment(name=f"f{k}", service=Exponential(mean=mean), output=1e6)
        for k, mean in enumerate(means)
    )
    chain = Chain(name="c", arrivals=Poisson(rate=rate), fragments=fragments, parallel=True)
    devices = tuple(Device(name=name, servers=servers, capacity=capacity) for name in names)
    links = (Link(source="d0", target="d1", bandwidth=1e3),)
    problem = Problem(devices=devices, chains=(chain,), links=links)
    return Deployment(problem=problem, placement={"c": (tuple(names),)})


def near(estimate: float, error: float, exact: float) -> bool:
    """Whether an estimate that is known to 1 % is within its errors."""
    return error <= 0.01 * exact and abs(estimate - exact) <= Z_MAX * error


def test_without_queues_the_latency_is_the_longest_of_the_branches() -> None:
    # Of two exponential times: E max = 1/a + 1/b - 1/(a + b). Servers for all; the link is unused.
    chain = simulate([forked(1.0, (1.0, 0.5), servers=40)], events=3e5, seed=2)[0].chains["c"]
    assert near(chain.latency, chain.latency_se, 1.0 + 0.5 - 1.0 / 3.0)
    # Unloaded, the expectation of the longest branch counts.
    assert chain.latency_ratio == pytest.approx(1.0 / chain.latency)


def test_two_exponential_queues_with_simultaneous_arrivals() -> None:
    # Flatto and Hahn; Nelson and Tantawi: the mean response of the fork-join queue of two M/M/1 is
    # (12 - rho) / 8 times that of one of them.
    chain = simulate([forked(0.5, (1.0, 1.0))], events=3e6, seed=2)[0].chains["c"]
    assert near(chain.latency, chain.latency_se, (12.0 - 0.5) / 8.0 * 2.0)


def test_branches_are_offered_all_jobs_whatever_others_lose() -> None:
    batch = pack([forked(4.0, (1.0, 0.5), capacity=2)])
    assert fluid_load(batch).tolist() == [4.0, 2.0]
    assert batch.step_delay.tolist() == [0.0, 0.0]
    assert batch.chain_parallel.tolist() == [1]


def test_what_is_undefined_for_parallel_chains_is_refused() -> None:
    base = forked(1.0, (1.0, 0.5))
    fragments = tuple(replace(f, exit=Exit()) for f in base.problem.chains[0].fragments)
    chains = (replace(base.problem.chains[0], fragments=fragments),)
    problem = replace(base.problem, chains=chains)
    with pytest.raises(InvalidInputError, match=r"exits\.c must be absent for a parallel chain"):
        replace(base, problem=problem, exits={"c": ExitMix(p=(0.5, 0.25, 0.25))})
    npu = Npu(table={"c": BatchTable(seconds=[[1.0], [1.0]])})
    devices = (Device(name="d0", npu=npu), base.problem.devices[1])
    with pytest.raises(InvalidInputError, match="must keep parallel chains off accelerators"):
        replace(base, problem=replace(base.problem, devices=devices))
    with pytest.raises(NotSupportedError, match="parallel=true"):
        expanded_deployment(base)
