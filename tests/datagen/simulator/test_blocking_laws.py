"""Blocking against an exact Markov chain, and against laws of balance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Exponential
from datagen.evaluation import pack
from datagen.evaluation.loads import fluid_load, unstable
from datagen.simulator import simulate
from datagen.simulator.engine import Engine
from datagen.simulator.tally import RunLength
from tests.datagen.simulator.contended import contended
from tests.datagen.simulator.systems import ENGINES, GridDraws, as_sources, grid_sources, packed
from tests.datagen.simulator.test_blocking import blocking_network
from tests.datagen.simulator.test_engines_agree import SEEDS
from tests.datagen.simulator.test_semantics import INF

Z_MAX = 4.0
"""Standard errors by which right estimates differ less than once in 10,000 times."""

LONGEST = 120
"""Jobs at the first device up to which the exact chain goes; 0.6 ** 120 of the time is beyond."""


def tandem(rate: float, capacity: int, first: int | None = None) -> Deployment:
    """Exponential services of 1 s on two devices in a row, the second with a finite buffer."""
    fragments = tuple(Fragment(name=f"f{k}", service=Exponential(mean=1.0)) for k in range(2))
    chain = Chain(name="c", arrivals=Poisson(rate=rate), fragments=fragments)
    devices = (Device(name="a", capacity=first), Device(name="b", capacity=capacity))
    problem = Problem(devices=devices, chains=(chain,), overflow="block")
    return Deployment(problem=problem, placement={"c": (("a", "b"),)})


def exact_tandem(rate: float, capacity: int) -> tuple[float, float]:
    """Mean jobs on both devices of M/M/1 -> M/M/1/K with blocking after service, services of 1 s.

    States are the jobs at the first device and those at the second; one more than it holds says
    that the server of the first is held.
    """
    width = capacity + 2
    rates = np.zeros((LONGEST * width, LONGEST * width))

    def add(jobs: int, ahead: int, jobs_then: int, ahead_then: int, speed: float) -> None:
        if 0 <= jobs_then < LONGEST:
            rates[jobs * width + ahead, jobs_then * width + ahead_then] += speed

    for jobs in range(LONGEST):
        for ahead in range(width):
            held = ahead == capacity + 1
            if held and jobs == 0:
                continue
            add(jobs, ahead, jobs + 1, ahead, rate)
            if jobs > 0 and not held:
                add(jobs, ahead, jobs - (ahead < capacity), ahead + 1, 1.0)
            if held:
                add(jobs, ahead, jobs - 1, capacity, 1.0)
            elif ahead > 0:
                add(jobs, ahead, jobs, ahead - 1, 1.0)
    rates -= np.diag(rates.sum(axis=1))
    rates[width - 1, width - 1] = -1.0  # no such state: nobody holds a server of an empty device
    equations = np.vstack([rates.T, np.ones(len(rates))])
    share = np.linalg.lstsq(equations, np.append(np.zeros(len(rates)), 1.0), rcond=None)[0]
    by_jobs = share.reshape(LONGEST, width)
    numbers = np.minimum(np.arange(width), capacity)
    return float(by_jobs.sum(axis=1) @ np.arange(LONGEST)), float(by_jobs.sum(axis=0) @ numbers)


@pytest.mark.parametrize(("rate", "capacity"), [(0.5, 1), (0.6, 2)])
def test_a_blocking_tandem_is_its_markov_chain(rate: float, capacity: int) -> None:
    first, second = exact_tandem(rate, capacity)
    measures = simulate([tandem(rate, capacity)], events=4e6, seed=3)[0]
    chain = measures.chains["c"]
    exact = (first + second) / rate
    assert chain.throughput_ratio == 1.0
    assert chain.latency_se <= 0.01 * exact
    assert abs(chain.latency - exact) <= Z_MAX * chain.latency_se
    for name, jobs in (("a", first), ("b", second)):
        device = measures.devices[name]
        assert abs(device.jobs - jobs) <= Z_MAX * device.jobs_se
        assert device.utilization == pytest.approx(rate, rel=0.01)  # who waits for room is no work


def test_loads_where_senders_wait() -> None:
    # Nothing is lost between the devices: what an unlimited one is given, the other has to serve.
    full = tandem(1.5, 2, first=2)
    assert fluid_load(pack([full])).tolist() == pytest.approx([1.5, 1.0])
    assert not unstable(pack([full])).any()
    slow = replace(full.problem.devices[1], speed=0.5)
    fast = replace(full.problem.devices[0], speed=4.0, capacity=None)
    fed = replace(full, problem=replace(full.problem, devices=(fast, slow)))
    assert unstable(pack([fed])).all()
    dropping = replace(fed, problem=replace(fed.problem, overflow="drop"))
    assert not unstable(pack([dropping])).any()


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
@settings(max_examples=40)
@given(deployment=contended(), seed=SEEDS)
def test_jobs_and_branches_balance(engine: Engine, deployment: Deployment, seed: int) -> None:
    network, sources = packed(deployment, seed)
    if seed % 2:
        sources = grid_sources(network, seed)
    run = engine.run(network, sources, RunLength.of(5.0, 60.0), log=True)
    tally = run.tally
    if run.truncated or run.deadlock is not None:
        return
    assert np.array_equal(tally.offered, tally.completed + tally.lost)
    assert np.array_equal(tally.step_offered, tally.step_served + tally.step_lost)
    assert (tally.units <= network.capacity * 55.0 * (1.0 + 1e-12)).all()
    assert (tally.busy <= network.servers * 55.0 * (1.0 + 1e-12)).all()
    contention, features = network.contention, network.features
    if contention is None:
        return
    assert features is not None
    inner = ~np.isin(np.arange(network.steps), features.route_first)
    for chain in range(network.chains):
        steps = slice(network.chain_start[chain], network.chain_start[chain + 1])
        if contention.parallel[chain]:
            ways = slice(features.chain_route[chain], features.chain_route[chain + 1])
            for first, count in zip(
                features.route_first[ways], features.route_steps[ways], strict=True
            ):
                offered = tally.step_offered[first : first + count]
                assert (offered == offered[0]).all()
            assert tally.latency[chain].sum() <= tally.step_sojourn_completed[steps].sum() + 1e-9
            assert tally.lost[chain].sum() <= tally.step_lost[steps].sum()
        elif contention.blocks:
            assert tally.step_lost[steps][inner[steps]].sum() == 0


def test_littles_law(engine: Engine) -> None:
    # From empty to empty the sum of the times at a device is the integral of the jobs there, to the
    # last bit on grid times.
    network = blocking_network([(2, 3), (1, 2), (1, INF)], [[0, 1, 2], [1, 2]])
    sources = as_sources([_Ending(1, 3, longest_gap=6), _Ending(2, 2, longest_gap=9)])
    tally = engine.run(network, sources, RunLength.of(0.0, 2000.0)).tally
    sojourn = np.bincount(network.step_device, weights=tally.step_sojourn)
    assert tally.jobs.tolist() == sojourn.tolist()
    assert tally.units.tolist() == sojourn.tolist()
    assert tally.lost.sum() > 0


class _Ending(GridDraws):
    """Grid draws whose arrivals stop long before the horizon."""

    def chunk_in(self, arrivals):  # type: ignore[no-untyped-def]
        chunk = super().chunk_in(arrivals)
        chunk.arrivals[chunk.arrivals > 500.0] += 1e6
        return chunk
