"""Simulation against exact results of queueing theory, by independent replications."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from datagen.analytic.arrival_counts import gamma_counts, lognormal_counts
from datagen.analytic.finite_queue import FiniteQueueMeasures
from datagen.analytic.markovian import erlang_b, mm1k, mmck
from datagen.analytic.mg1k import md1k, mg1k
from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic, Exponential, Gamma, Law, LogNormal, Uniform
from datagen.evaluation import pack
from datagen.simulator.network import networks
from datagen.simulator.numba_engine import NumbaEngine
from datagen.simulator.sources import chain_draws
from datagen.simulator.tally import RunLength, Tally
from tests.helpers import assert_estimates

REPLICATIONS = 20
"""Enough for the standard error to be known to 16 %: four of them are then a fair allowance."""


def single(law: Law, rate: float, capacity: int | None, servers: int = 1) -> Deployment:
    """One device, one chain of one fragment."""
    return route([law], rate, [Device(name="d", capacity=capacity, servers=servers)], ["d"])


def route(
    laws: Sequence[Law], rate: float, devices: Sequence[Device], path: Sequence[str]
) -> Deployment:
    """One chain along a path."""
    fragments = tuple(Fragment(name=f"f{k}", service=law) for k, law in enumerate(laws))
    chain = Chain(name="c", arrivals=Poisson(rate=rate), fragments=fragments)
    problem = Problem(devices=tuple(devices), chains=(chain,))
    return Deployment(problem=problem, placement={"c": (tuple(path),)})


class Replications:
    """Measures of the only chain and of all devices, one row per independent run.

    Args:
        deployment: What to play.
        jobs: Expected arrivals, all runs together.
    """

    def __init__(self, deployment: Deployment, jobs: float = 1e6) -> None:
        batch = pack([deployment])
        network = networks(batch, "numba")[0]
        horizon = jobs / REPLICATIONS / float(batch.chain_rate[0])
        self.length = RunLength.of(0.05 * horizon, horizon)
        self.tallies: list[Tally] = []
        for replication in range(REPLICATIONS):
            sources = chain_draws(batch, 0, seed=11, replication=replication)
            self.tallies.append(NumbaEngine().run(network, sources, self.length).tally)

    def sums(self, field: str) -> NDArray[np.float64]:
        """Sums over batches or rows [R]."""
        return np.array([float(getattr(tally, field).sum()) for tally in self.tallies])

    def average(self, field: str, device: int = 0) -> NDArray[np.float64]:
        """Time averages of a device [R]."""
        window = self.length.horizon - self.length.warmup
        return np.array([getattr(tally, field)[device] / window for tally in self.tallies])

    @property
    def loss(self) -> NDArray[np.float64]:
        return self.sums("lost") / self.sums("offered")

    @property
    def latency(self) -> NDArray[np.float64]:
        return self.sums("latency") / self.sums("completed")


def assert_finite_queue(runs: Replications, exact: FiniteQueueMeasures, servers: int = 1) -> None:
    assert_estimates(runs.loss, exact.loss_probability, max_rel_se=0.01)
    assert_estimates(runs.latency, exact.mean_latency, max_rel_se=0.005)
    assert_estimates(runs.average("jobs"), exact.mean_jobs, max_rel_se=0.005)
    assert_estimates(runs.average("busy") / servers, exact.utilization, max_rel_se=0.005)
    window = runs.length.horizon - runs.length.warmup
    assert_estimates(runs.sums("completed") / window, exact.throughput, max_rel_se=0.005)


@pytest.mark.parametrize(("load", "capacity"), [(0.5, 1), (0.8, 3), (0.8, 5), (1.0, 4), (1.6, 3)])
def test_mm1k(load: float, capacity: int) -> None:
    runs = Replications(single(Exponential(mean=0.5), 2.0 * load, capacity))
    assert_finite_queue(runs, mm1k(2.0 * load, 2.0, capacity))


@pytest.mark.parametrize(("servers", "capacity"), [(2, 3), (3, 5)])
def test_mmck(servers: int, capacity: int) -> None:
    rate = 0.9 * servers
    runs = Replications(single(Exponential(mean=1.0), rate, capacity, servers))
    assert_finite_queue(runs, mmck(rate, 1.0, servers, capacity), servers)


@pytest.mark.parametrize(("load", "capacity"), [(0.7, 1), (0.9, 3), (1.3, 5)])
def test_md1k(load: float, capacity: int) -> None:
    runs = Replications(single(Deterministic(mean=0.25), 4.0 * load, capacity))
    assert_finite_queue(runs, md1k(4.0 * load, 0.25, capacity))


@pytest.mark.parametrize("scv", [0.4, 2.5])
def test_mg1k_with_gamma_service(scv: float) -> None:
    runs = Replications(single(Gamma(mean=1.0, scv=scv), 0.9, 4))
    assert_finite_queue(runs, mg1k(0.9, gamma_counts(0.9, scv, 4)))


def test_mg1k_with_lognormal_service() -> None:
    runs = Replications(single(LogNormal(mean=1.0, scv=2.0), 0.8, 4))
    assert_finite_queue(runs, mg1k(0.8, lognormal_counts(0.8, 2.0, 4)))


@pytest.mark.parametrize(
    "law",
    [
        Deterministic(mean=1.0),
        Exponential(mean=1.0),
        LogNormal(mean=1.0, scv=3.0),
        Uniform(low=0.0, high=2.0),
    ],
    ids=lambda law: law.name,
)
def test_erlangs_loss_formula_knows_the_mean_only(law: Law) -> None:
    runs = Replications(single(law, 3.0, 4, servers=4))
    exact = float(erlang_b(4, 3.0))
    assert_estimates(runs.loss, exact, max_rel_se=0.01)
    assert_estimates(runs.average("busy"), 3.0 * (1.0 - exact), max_rel_se=0.005)


def test_units_are_servers_in_erlangs_formula() -> None:
    # Jobs of two units in a buffer of eight, on servers enough: at most four at a time.
    fragment = Fragment(name="f", service=Exponential(mean=1.0), demand=2)
    chain = Chain(name="c", arrivals=Poisson(rate=3.0), fragments=(fragment,))
    problem = Problem(devices=(Device(name="d", capacity=8, servers=8),), chains=(chain,))
    runs = Replications(Deployment(problem=problem, placement={"c": (("d",),)}))
    assert_estimates(runs.loss, float(erlang_b(4, 3.0)), max_rel_se=0.01)
    assert_estimates(runs.average("units"), 6.0 * (1.0 - float(erlang_b(4, 3.0))), max_rel_se=0.005)


@pytest.mark.parametrize(
    "law",
    [Deterministic(mean=0.5), Uniform(low=0.2, high=0.8), LogNormal(mean=0.5, scv=1.5)],
    ids=lambda law: law.name,
)
def test_pollaczek_khinchine(law: Law) -> None:
    load = 1.2 * law.mean
    runs = Replications(single(law, 1.2, None))
    waiting = load * law.mean * (1.0 + law.scv) / (2.0 * (1.0 - load))
    assert_estimates(runs.latency, law.mean + waiting, max_rel_se=0.01)
    assert_estimates(runs.average("jobs"), 1.2 * (law.mean + waiting), max_rel_se=0.01)
    assert runs.loss.max() == 0.0


def test_jackson_tandem_with_a_return() -> None:
    # a - b - a: a is an M/M/1 queue of both visits together, and latencies add up.
    speeds = {"a": 3.0, "b": 1.5}
    devices = [Device(name=name, speed=speed) for name, speed in speeds.items()]
    runs = Replications(route([Exponential(mean=1.0)] * 3, 0.9, devices, "aba"))
    at_a, at_b = 1.0 / (3.0 - 1.8), 1.0 / (1.5 - 0.9)
    assert_estimates(runs.latency, 2.0 * at_a + at_b, max_rel_se=0.01)
    assert_estimates(runs.average("jobs", 0), 1.8 * at_a, max_rel_se=0.01)
    assert_estimates(runs.average("jobs", 1), 0.9 * at_b, max_rel_se=0.01)
    assert_estimates(runs.average("busy", 0), 0.6, max_rel_se=0.005)


def test_latency_of_mm1_is_exponential() -> None:
    deadline = 1.5
    fragment = Fragment(name="f", service=Exponential(mean=0.5))
    chain = Chain(name="c", arrivals=Poisson(rate=1.0), fragments=(fragment,), deadline=deadline)
    problem = Problem(devices=(Device(name="d"),), chains=(chain,))
    runs = Replications(Deployment(problem=problem, placement={"c": (("d",),)}))
    attained = runs.sums("on_time") / runs.sums("offered")
    assert_estimates(attained, 1.0 - math.exp(-deadline), max_rel_se=0.005)


def test_cobhams_waiting_times_by_priority() -> None:
    # Non-preemptive M/M/1 with classes high and low: W = R / ((1 - s_above) (1 - s_including)),
    # with R the mean residual service (Cobham, Operations Research 2, 1954).
    rates, mean = {"low": 0.5, "high": 0.3}, 1.0
    fragment = Fragment(name="f", service=Exponential(mean=mean))
    chains = tuple(
        Chain(name=name, arrivals=Poisson(rate=rate), fragments=(fragment,), priority=priority)
        for priority, (name, rate) in enumerate(rates.items())
    )
    problem = Problem(devices=(Device(name="d", discipline="priority"),), chains=chains)
    deployment = Deployment(problem=problem, placement=dict.fromkeys(rates, (("d",),)))
    runs = Replications(deployment, jobs=1e6)
    residual = sum(rates.values()) * mean**2
    exact = [residual / ((1.0 - 0.3) * (1.0 - 0.8)), residual / (1.0 - 0.3)]
    for chain, waiting in enumerate(exact):
        latency = [t.latency[chain].sum() / t.completed[chain].sum() for t in runs.tallies]
        assert_estimates(np.array(latency), mean + waiting, max_rel_se=0.01)


def test_thinned_arrivals_are_poisson_on_each_path() -> None:
    # 30 % over device a, 70 % over device b: two independent M/M/1/K queues.
    devices = tuple(Device(name=name, capacity=units) for name, units in (("a", 3), ("b", 5)))
    fragment = Fragment(name="f", service=Exponential(mean=1.0))
    chain = Chain(name="c", arrivals=Poisson(rate=1.5), fragments=(fragment,))
    deployment = Deployment(
        problem=Problem(devices=devices, chains=(chain,)),
        placement={"c": (("a",), ("b",))},
        routing={"c": (0.3, 0.7)},
    )
    runs = Replications(deployment, jobs=3e6)
    for index, (rate, capacity) in enumerate([(0.45, 3), (1.05, 5)]):
        exact = mm1k(rate, 1.0, capacity)
        lost = [t.step_lost[index] / t.step_offered[index] for t in runs.tallies]
        assert_estimates(np.array(lost), exact.loss_probability, max_rel_se=0.01)
        assert_estimates(runs.average("jobs", index), exact.mean_jobs, max_rel_se=0.01)
