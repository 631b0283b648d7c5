"""Devices whose jobs change pace: processor sharing, and servers that slow each other down.

References:
    Kelly, Reversibility and Stochastic Networks, 1979, ch. 3 (symmetric queues).
    Gross, Shortle, Thompson and Harris, Fundamentals of Queueing Theory, 4th ed., 2008, ch. 2.
"""

from __future__ import annotations

from typing import Literal

from datagen.analytic.processor_sharing import mg1_ps_latency, mgck_ps
from datagen.analytic.slowed_servers import mmck_slowed
from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic, Exponential, Gamma, HyperExponential, Law
from datagen.theory.cases import Case, Exact, finite_queue, of_chain

__all__ = ["sharing_cases"]

SPEEDUP = (1.0, 0.8, 0.6)
"""Three cores on one memory bus, as relative speeds of each."""


def sharing_cases() -> tuple[Case, ...]:
    """Return the cases of devices whose jobs change pace."""
    laws = {
        "M": Exponential(mean=1.0),
        "D": Deterministic(mean=1.0),
        "G scv=4": HyperExponential(mean=1.0, scv=4.0),
    }
    unlimited = (_unlimited(name, law) for name, law in laws.items())
    return (*unlimited, _classes(None), _classes(SPEEDUP), _slowed())


def _shared(
    streams: dict[str, tuple[float, Law]],
    capacity: int | None,
    discipline: Literal["fcfs", "ps"] = "ps",
    servers: int = 1,
    speedup: tuple[float, ...] | None = None,
) -> Deployment:
    """Return chains of (rate, service) on one device d."""
    chains = tuple(
        Chain(
            name=name,
            arrivals=Poisson(rate=rate),
            fragments=(Fragment(name="f", service=law),),
        )
        for name, (rate, law) in streams.items()
    )
    device = Device(
        name="d", capacity=capacity, discipline=discipline, servers=servers, speedup=speedup
    )
    problem = Problem(devices=(device,), chains=chains)
    return Deployment(problem=problem, placement=dict.fromkeys(streams, (("d",),)))


def _unlimited(name: str, law: Law) -> Case:
    """Whatever the law of the service, its mean says all; a small job beside it stays briefly."""
    rate, small, rare = 0.6, 0.25, 0.2
    load = rate * law.mean + rare * small
    mean = load / (rate + rare)
    latencies = mg1_ps_latency(rate + rare, mean, [law.mean, small])
    return Case(
        name=f"M/{name}/1-PS load={load:g}",
        deployment=_shared(
            {"c": (rate, law), "small": (rare, Deterministic(mean=small))}, capacity=None
        ),
        exact=(
            of_chain("latency", float(latencies[0]), 0.01),
            of_chain("latency", float(latencies[1]), 0.01, "small"),
            Exact(measure="jobs", value=load / (1.0 - load), max_rel_se=0.01),
            Exact(measure="utilization", value=load),
        ),
    )


def _classes(speedup: tuple[float, ...] | None) -> Case:
    servers, capacity = len(SPEEDUP), 6
    streams: dict[str, tuple[float, Law]] = {
        "light": (1.8, Gamma(mean=0.5, scv=0.5)),
        "heavy": (0.8, HyperExponential(mean=2.0, scv=3.0)),
    }
    rates, means = zip(*((rate, law.mean) for rate, law in streams.values()), strict=True)
    found = mgck_ps(rates, means, servers, capacity, speedup)
    slowed = "" if speedup is None else ", slowed"
    by_class = [
        (of_chain("loss_ratio", one.loss_probability, 0.01, name),
         of_chain("latency", one.mean_latency, 0.01, name))
        for name, one in zip(streams, found, strict=True)
    ]  # fmt: skip
    return Case(
        name=f"M/G/{servers}/K-PS of two classes{slowed} K={capacity}",
        deployment=_shared(streams, capacity, servers=servers, speedup=speedup),
        exact=(
            *by_class[0],
            *by_class[1],
            Exact(measure="jobs", value=sum(one.mean_jobs for one in found)),
            Exact(measure="utilization", value=sum(one.utilization for one in found)),
        ),
    )


def _slowed() -> Case:
    rate, capacity, law = 1.5, 5, Exponential(mean=1.0)
    return Case(
        name=f"M/M/{len(SPEEDUP)}/K slowed K={capacity}",
        deployment=_shared({"c": (rate, law)}, capacity, "fcfs", len(SPEEDUP), SPEEDUP),
        exact=finite_queue(mmck_slowed(rate, 1.0 / law.mean, SPEEDUP, capacity)),
    )
