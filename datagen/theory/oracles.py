"""Deployments whose measures theory knows exactly.

References:
    Gross, Shortle, Thompson and Harris, Fundamentals of Queueing Theory, 4th ed., 2008, ch. 2-5.
    Takagi, Queueing Analysis, vol. 2: Finite Systems, 1993, ch. 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from datagen.analytic.arrival_counts import discrete_counts, gamma_counts, lognormal_counts
from datagen.analytic.finite_queue import FiniteQueueMeasures
from datagen.analytic.markovian import erlang_b, mm1k, mmck
from datagen.analytic.mg1k import md1k, mg1k
from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic, Exponential, Gamma, Law, LogNormal, Uniform

__all__ = ["FULL_JOBS", "Case", "Exact", "Level", "oracle_cases"]

Level = Literal["chain", "device"]

FULL_JOBS = 1e6
"""Jobs of a case at which a standard error must be within the share its measure allows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exact:
    """The exact value of one measure of a deployment.

    Args:
        measure: Name in :data:`datagen.evaluation.measures.MEASURES`.
        value: Its steady-state value.
        max_rel_se: Largest standard error at ``FULL_JOBS`` jobs, as a fraction of the value.
        level: Whether a chain or a device has the measure.
        name: Name of that chain or device.
    """

    measure: str
    value: float
    max_rel_se: float = 0.005
    level: Level = "device"
    name: str = "d"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A deployment that theory knows.

    Args:
        name: What it is, with its parameters.
        deployment: The deployment.
        exact: What theory says about it.
    """

    name: str
    deployment: Deployment
    exact: tuple[Exact, ...]


def oracle_cases() -> tuple[Case, ...]:
    """Return every case."""
    return (
        *(_mm1k(load, capacity) for load, capacity in _MM1K),
        *(_mmck(servers, capacity) for servers, capacity in _MMCK),
        *(_md1k(load, capacity) for load, capacity in _MD1K),
        *(_mg1k_gamma(scv) for scv in _GAMMA_SCV),
        _mg1k_lognormal(),
        _mixed_works(),
        *(_erlang_loss(law) for law in _ERLANG_LAWS),
        _erlang_units(),
        _mmc(),
        *(_pollaczek_khinchine(law) for law in _PK_LAWS),
        _mm1_latency(),
        _jackson(),
    )


_MM1K = ((0.5, 1), (0.8, 3), (0.8, 5), (1.0, 4), (1.6, 3))
_MMCK = ((2, 3), (3, 5))
_MD1K = ((0.7, 1), (0.9, 3), (1.3, 5))
_GAMMA_SCV = (0.4, 2.5)
_ERLANG_LAWS: tuple[Law, ...] = (
    Deterministic(mean=1.0),
    Exponential(mean=1.0),
    LogNormal(mean=1.0, scv=3.0),
    Uniform(low=0.0, high=2.0),
)
_PK_LAWS: tuple[Law, ...] = (
    Deterministic(mean=0.5),
    Uniform(low=0.2, high=0.8),
    LogNormal(mean=0.5, scv=1.5),
)


def _single(
    law: Law,
    rate: float,
    capacity: int | None,
    servers: int = 1,
    *,
    demand: int = 1,
    deadline: float | None = None,
) -> Deployment:
    """One device d, one chain c of one fragment."""
    fragment = Fragment(name="f", service=law, demand=demand)
    chain = Chain(name="c", arrivals=Poisson(rate=rate), fragments=(fragment,), deadline=deadline)
    device = Device(name="d", capacity=capacity, servers=servers)
    problem = Problem(devices=(device,), chains=(chain,))
    return Deployment(problem=problem, placement={"c": (("d",),)})


def _of_chain(measure: str, value: float, max_rel_se: float = 0.005, name: str = "c") -> Exact:
    return Exact(measure=measure, value=value, max_rel_se=max_rel_se, level="chain", name=name)


def _finite_queue(queue: FiniteQueueMeasures) -> tuple[Exact, ...]:
    return (
        _of_chain("loss_ratio", queue.loss_probability, 0.01),
        _of_chain("latency", queue.mean_latency),
        _of_chain("throughput", queue.throughput),
        Exact(measure="jobs", value=queue.mean_jobs),
        Exact(measure="utilization", value=queue.utilization),
    )


def _mm1k(load: float, capacity: int) -> Case:
    return Case(
        name=f"M/M/1/K load={load} K={capacity}",
        deployment=_single(Exponential(mean=0.5), 2.0 * load, capacity),
        exact=_finite_queue(mm1k(2.0 * load, 2.0, capacity)),
    )


def _mmck(servers: int, capacity: int) -> Case:
    rate = 0.9 * servers
    return Case(
        name=f"M/M/c/K load=0.9 c={servers} K={capacity}",
        deployment=_single(Exponential(mean=1.0), rate, capacity, servers),
        exact=_finite_queue(mmck(rate, 1.0, servers, capacity)),
    )


def _md1k(load: float, capacity: int) -> Case:
    return Case(
        name=f"M/D/1/K load={load} K={capacity}",
        deployment=_single(Deterministic(mean=0.25), 4.0 * load, capacity),
        exact=_finite_queue(md1k(4.0 * load, 0.25, capacity)),
    )


def _mg1k_gamma(scv: float) -> Case:
    return Case(
        name=f"M/G/1/K gamma scv={scv} load=0.9 K=4",
        deployment=_single(Gamma(mean=1.0, scv=scv), 0.9, 4),
        exact=_finite_queue(mg1k(0.9, gamma_counts(0.9, scv, 4))),
    )


def _mg1k_lognormal() -> Case:
    return Case(
        name="M/G/1/K lognormal scv=2.0 load=0.8 K=4",
        deployment=_single(LogNormal(mean=1.0, scv=2.0), 0.8, 4),
        exact=_finite_queue(mg1k(0.8, lognormal_counts(0.8, 2.0, 4))),
    )


def _mixed_works() -> Case:
    """Two chains of constant works on one device: both lose alike and wait alike."""
    rates, works, capacity = (1.0, 0.5), (0.4, 1.2), 4
    total = sum(rates)
    shares = [rate / total for rate in rates]
    loads = [total * work for work in works]
    queue = mg1k(total, discrete_counts(loads, shares, capacity))
    waiting = queue.mean_latency - sum(p * work for p, work in zip(shares, works, strict=True))
    names = ("short", "long")
    problem = Problem(
        devices=(Device(name="d", capacity=capacity),),
        chains=tuple(
            Chain(
                name=name,
                arrivals=Poisson(rate=rate),
                fragments=(Fragment(name="f", service=Deterministic(mean=work)),),
            )
            for name, rate, work in zip(names, rates, works, strict=True)
        ),
    )
    return Case(
        name="M/G/1/K two chains of constant works K=4",
        deployment=Deployment(problem=problem, placement={name: (("d",),) for name in names}),
        exact=(
            *(_of_chain("loss_ratio", queue.loss_probability, 0.01, name) for name in names),
            *(
                _of_chain("latency", waiting + work, 0.005, name)
                for name, work in zip(names, works, strict=True)
            ),
            Exact(measure="jobs", value=queue.mean_jobs),
            Exact(measure="utilization", value=queue.utilization),
        ),
    )


def _erlang_loss(law: Law) -> Case:
    """Erlang's loss formula knows the mean of the service law only."""
    loss = float(erlang_b(4, 3.0))
    return Case(
        name=f"M/G/c/c {law.name} load=3.0 c=4 (Erlang B)",
        deployment=_single(law, 3.0, 4, servers=4),
        exact=(
            _of_chain("loss_ratio", loss, 0.01),
            Exact(measure="utilization", value=3.0 * (1.0 - loss) / 4.0),
        ),
    )


def _erlang_units() -> Case:
    """Jobs of two units in a buffer of eight, on servers enough: at most four at a time."""
    loss = float(erlang_b(4, 3.0))
    return Case(
        name="M/M/8 of two units each in eight (Erlang B of 4)",
        deployment=_single(Exponential(mean=1.0), 3.0, 8, servers=8, demand=2),
        exact=(
            _of_chain("loss_ratio", loss, 0.01),
            Exact(measure="units", value=6.0 * (1.0 - loss)),
        ),
    )


def _mmc() -> Case:
    """Unlimited buffer: a job waits with Erlang's C, and then for 1 / (c mu - lambda)."""
    rate, servers = 2.1, 3
    blocking = float(erlang_b(servers, rate))
    waits = blocking / (1.0 - rate / servers * (1.0 - blocking))
    latency = 1.0 + waits / (servers - rate)
    return Case(
        name="M/M/c load=0.7 c=3 (Erlang C)",
        deployment=_single(Exponential(mean=1.0), rate, None, servers),
        exact=(
            _of_chain("latency", latency, 0.01),
            Exact(measure="jobs", value=rate * latency, max_rel_se=0.01),
            Exact(measure="utilization", value=rate / servers),
        ),
    )


def _pollaczek_khinchine(law: Law) -> Case:
    rate = 1.2
    load = rate * law.mean
    latency = law.mean + load * law.mean * (1.0 + law.scv) / (2.0 * (1.0 - load))
    return Case(
        name=f"M/G/1 {law.name} scv={law.scv:.3g} load={load:.3g} (Pollaczek-Khinchine)",
        deployment=_single(law, rate, None),
        exact=(
            _of_chain("latency", latency, 0.01),
            _of_chain("loss_ratio", 0.0),
            Exact(measure="jobs", value=rate * latency, max_rel_se=0.01),
        ),
    )


def _mm1_latency() -> Case:
    """The latency of M/M/1 is exponential with rate mu - lambda."""
    deadline = 1.5
    percentiles = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
    return Case(
        name="M/M/1 load=0.5 (exponential latency)",
        deployment=_single(Exponential(mean=0.5), 1.0, None, deadline=deadline),
        exact=(
            _of_chain("attainment", 1.0 - math.exp(-deadline)),
            *(
                _of_chain(name, -math.log1p(-share), 0.01)
                for name, share in percentiles.items()
            ),
        ),
    )  # fmt: skip


def _jackson() -> Case:
    """Devices a - b - a: a is an M/M/1 queue of both visits together, and latencies add up."""
    rate, speed_a, speed_b = 0.9, 3.0, 1.5
    at_a, at_b = 1.0 / (speed_a - 2.0 * rate), 1.0 / (speed_b - rate)
    fragments = tuple(Fragment(name=f"f{k}", service=Exponential(mean=1.0)) for k in range(3))
    problem = Problem(
        devices=(Device(name="a", speed=speed_a), Device(name="b", speed=speed_b)),
        chains=(Chain(name="c", arrivals=Poisson(rate=rate), fragments=fragments),),
    )
    return Case(
        name="Jackson tandem with a return",
        deployment=Deployment(problem=problem, placement={"c": (("a", "b", "a"),)}),
        exact=(
            _of_chain("latency", 2.0 * at_a + at_b, 0.01),
            Exact(measure="jobs", value=2.0 * rate * at_a, max_rel_se=0.01, name="a"),
            Exact(measure="jobs", value=rate * at_b, max_rel_se=0.01, name="b"),
            Exact(measure="utilization", value=2.0 * rate / speed_a, name="a"),
        ),
    )
