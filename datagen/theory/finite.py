"""Finite buffers: M/M/1/K, M/M/c/K, M/D/1/K, M/G/1/K and Erlang's loss formula.

References:
    Gross, Shortle, Thompson and Harris, Fundamentals of Queueing Theory, 4th ed., 2008, ch. 2-5.
    Takagi, Queueing Analysis, vol. 2: Finite Systems, 1993, ch. 5.
"""

from __future__ import annotations

from datagen.analytic.arrival_counts import discrete_counts, gamma_counts, lognormal_counts
from datagen.analytic.markovian import erlang_b, mm1k, mmck
from datagen.analytic.mg1k import md1k, mg1k
from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic, Exponential, Gamma, Law, LogNormal, Uniform
from datagen.theory.cases import Case, Exact, finite_queue, of_chain, single

__all__ = ["finite_cases"]

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


def finite_cases() -> tuple[Case, ...]:
    """Return the cases of one device with a finite buffer."""
    return (
        *(_mm1k(load, capacity) for load, capacity in _MM1K),
        *(_mmck(servers, capacity) for servers, capacity in _MMCK),
        *(_md1k(load, capacity) for load, capacity in _MD1K),
        *(_mg1k_gamma(scv) for scv in _GAMMA_SCV),
        _mg1k_lognormal(),
        _mixed_works(),
        *(_erlang_loss(law) for law in _ERLANG_LAWS),
        _erlang_units(),
    )


def _mm1k(load: float, capacity: int) -> Case:
    return Case(
        name=f"M/M/1/K load={load} K={capacity}",
        deployment=single(Exponential(mean=0.5), 2.0 * load, capacity),
        exact=finite_queue(mm1k(2.0 * load, 2.0, capacity)),
    )


def _mmck(servers: int, capacity: int) -> Case:
    rate = 0.9 * servers
    return Case(
        name=f"M/M/c/K load=0.9 c={servers} K={capacity}",
        deployment=single(Exponential(mean=1.0), rate, capacity, servers),
        exact=finite_queue(mmck(rate, 1.0, servers, capacity)),
    )


def _md1k(load: float, capacity: int) -> Case:
    return Case(
        name=f"M/D/1/K load={load} K={capacity}",
        deployment=single(Deterministic(mean=0.25), 4.0 * load, capacity),
        exact=finite_queue(md1k(4.0 * load, 0.25, capacity)),
    )


def _mg1k_gamma(scv: float) -> Case:
    return Case(
        name=f"M/G/1/K gamma scv={scv} load=0.9 K=4",
        deployment=single(Gamma(mean=1.0, scv=scv), 0.9, 4),
        exact=finite_queue(mg1k(0.9, gamma_counts(0.9, scv, 4))),
    )


def _mg1k_lognormal() -> Case:
    return Case(
        name="M/G/1/K lognormal scv=2.0 load=0.8 K=4",
        deployment=single(LogNormal(mean=1.0, scv=2.0), 0.8, 4),
        exact=finite_queue(mg1k(0.8, lognormal_counts(0.8, 2.0, 4))),
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
            *(of_chain("loss_ratio", queue.loss_probability, 0.01, name) for name in names),
            *(
                of_chain("latency", waiting + work, 0.005, name)
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
        deployment=single(law, 3.0, 4, servers=4),
        exact=(
            of_chain("loss_ratio", loss, 0.01),
            Exact(measure="utilization", value=3.0 * (1.0 - loss) / 4.0),
        ),
    )


def _erlang_units() -> Case:
    """Jobs of two units in a buffer of eight, on servers enough: at most four at a time."""
    loss = float(erlang_b(4, 3.0))
    return Case(
        name="M/M/8 of two units each in eight (Erlang B of 4)",
        deployment=single(Exponential(mean=1.0), 3.0, 8, servers=8, demand=2),
        exact=(
            of_chain("loss_ratio", loss, 0.01),
            Exact(measure="units", value=6.0 * (1.0 - loss)),
        ),
    )
