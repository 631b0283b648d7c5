"""Unlimited buffers: M/M/c, M/G/1, the latency of M/M/1, and networks in product form.

References:
    Gross, Shortle, Thompson and Harris, Fundamentals of Queueing Theory, 4th ed., 2008, ch. 2-5.
"""

from __future__ import annotations

import math

from datagen.analytic.markovian import erlang_b
from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic, Exponential, Law, LogNormal, Uniform
from datagen.theory.cases import Case, Exact, of_chain, single

__all__ = ["unlimited_cases"]

_PK_LAWS: tuple[Law, ...] = (
    Deterministic(mean=0.5),
    Uniform(low=0.2, high=0.8),
    LogNormal(mean=0.5, scv=1.5),
)


def unlimited_cases() -> tuple[Case, ...]:
    """Return the cases in which no job is lost."""
    return (
        _mmc(),
        *(_pollaczek_khinchine(law) for law in _PK_LAWS),
        _mm1_latency(),
        _jackson(),
    )


def _mmc() -> Case:
    """Unlimited buffer: a job waits with Erlang's C, and then for 1 / (c mu - lambda)."""
    rate, servers = 2.1, 3
    blocking = float(erlang_b(servers, rate))
    waits = blocking / (1.0 - rate / servers * (1.0 - blocking))
    latency = 1.0 + waits / (servers - rate)
    return Case(
        name="M/M/c load=0.7 c=3 (Erlang C)",
        deployment=single(Exponential(mean=1.0), rate, None, servers),
        exact=(
            of_chain("latency", latency, 0.01),
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
        deployment=single(law, rate, None),
        exact=(
            of_chain("latency", latency, 0.01),
            of_chain("loss_ratio", 0.0),
            Exact(measure="jobs", value=rate * latency, max_rel_se=0.01),
        ),
    )


def _mm1_latency() -> Case:
    """The latency of M/M/1 is exponential with rate mu - lambda."""
    deadline = 1.5
    percentiles = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
    return Case(
        name="M/M/1 load=0.5 (exponential latency)",
        deployment=single(Exponential(mean=0.5), 1.0, None, deadline=deadline),
        exact=(
            of_chain("attainment", 1.0 - math.exp(-deadline)),
            *(
                of_chain(name, -math.log1p(-share), 0.01)
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
            of_chain("latency", 2.0 * at_a + at_b, 0.01),
            Exact(measure="jobs", value=2.0 * rate * at_a, max_rel_se=0.01, name="a"),
            Exact(measure="jobs", value=rate * at_b, max_rel_se=0.01, name="b"),
            Exact(measure="utilization", value=2.0 * rate / speed_a, name="a"),
        ),
    )
