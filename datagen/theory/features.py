"""What the simulator plays beyond plain queues: arrivals, priorities, exits, paths and links.

References:
    Cobham, Priority assignment in waiting line problems, Operations Research 2, 1954.
    Gross, Shortle, Thompson and Harris, Fundamentals of Queueing Theory, 4th ed., 2008, ch. 5
    (renewal arrivals).
    Baskett, Chandy, Muntz and Palacios, Open, closed, and mixed networks of queues with different
    classes of customers, Journal of the ACM 22, 1975 (random routes, pure delays).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import lambertw

from datagen.analytic.early_exit import EarlyExitMeasures, early_exit_queue
from datagen.analytic.markov_arrivals import mapm1k
from datagen.analytic.markovian import mm1k
from datagen.analytic.priority import mg1_priority_waits, mm1k_priority
from datagen.arrivals import Arrivals, MarkovModulated, Periodic, Poisson
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment, Link, Problem
from datagen.distributions import Deterministic, Exponential, Gamma, HyperExponential, Law
from datagen.exits import ExitMix, ExitTrace, Thresholds
from datagen.theory.cases import Case, Exact, finite_queue, of_chain, single

__all__ = ["feature_cases"]


def feature_cases() -> tuple[Case, ...]:
    """Return the cases with other arrivals, priorities, early exits, several paths or links."""
    return (
        _bursts(),
        _periodic_arrivals(),
        _priority_waits(),
        _priority_finite(),
        _early_or_full(),
        _exit_mix(),
        _exit_thresholds(),
        _exit_before_a_link(),
        _two_paths(),
    )


def _fed_by(arrivals: Arrivals, service_rate: float, capacity: int | None) -> Deployment:
    """One device d with exponential service, one chain c with arrivals of its own."""
    fragment = Fragment(name="f", service=Exponential(mean=1.0 / service_rate))
    chain = Chain(name="c", arrivals=arrivals, fragments=(fragment,))
    problem = Problem(devices=(Device(name="d", capacity=capacity),), chains=(chain,))
    return Deployment(problem=problem, placement={"c": (("d",),)})


def _bursts() -> Case:
    arrivals, service_rate, capacity = MarkovModulated(rates=(0.3, 1.8), switch=(0.5, 0.8)), 1.2, 4
    return Case(
        name="MMPP/M/1/K K=4",
        deployment=_fed_by(arrivals, service_rate, capacity),
        exact=finite_queue(mapm1k(arrivals.as_map(), service_rate, capacity)),
    )


def _periodic_arrivals() -> Case:
    """A job finds n others with probability (1 - x) x^n, where x = exp(-(1 - x) / load)."""
    load, service_rate = 0.8, 1.0
    found = -load * float(lambertw(-math.exp(-1.0 / load) / load).real)
    latency = 1.0 / (service_rate * (1.0 - found))
    return Case(
        name="D/M/1 load=0.8",
        deployment=_fed_by(Periodic(period=1.0 / (load * service_rate)), service_rate, None),
        exact=(
            of_chain("latency", latency, 0.01),
            Exact(measure="jobs", value=load * service_rate * latency, max_rel_se=0.01),
        ),
    )


def _by_priority(classes: dict[str, tuple[float, Law]], capacity: int | None) -> Deployment:
    """Chains of (rate, service), from the highest priority to the lowest, on one device d."""
    chains = tuple(
        Chain(
            name=name,
            arrivals=Poisson(rate=rate),
            fragments=(Fragment(name="f", service=law),),
            priority=-place,
        )
        for place, (name, (rate, law)) in enumerate(classes.items())
    )
    device = Device(name="d", capacity=capacity, discipline="priority")
    problem = Problem(devices=(device,), chains=chains)
    return Deployment(problem=problem, placement=dict.fromkeys(classes, (("d",),)))


def _priority_waits() -> Case:
    classes: dict[str, tuple[float, Law]] = {
        "high": (0.4, Deterministic(mean=0.5)),
        "middle": (0.2, Gamma(mean=0.8, scv=2.0)),
        "low": (0.2, Exponential(mean=1.0)),
    }
    rates, laws = zip(*classes.values(), strict=True)
    means = [law.mean for law in laws]
    waits = mg1_priority_waits(rates, means, [law.scv for law in laws]).tolist()
    return Case(
        name="M/G/1 non-preemptive priorities load=0.56 (Cobham)",
        deployment=_by_priority(classes, None),
        exact=tuple(
            of_chain("latency", wait + mean, 0.01, name)
            for name, wait, mean in zip(classes, waits, means, strict=True)
        ),
    )


def _priority_finite() -> Case:
    rates, services, names = (0.5, 0.6), (2.0, 0.8), ("high", "low")
    pairs = zip(names, rates, services, strict=True)
    classes: dict[str, tuple[float, Law]] = {
        name: (rate, Exponential(mean=1.0 / service)) for name, rate, service in pairs
    }
    measures = mm1k_priority(rates, services, 5)
    exact = [
        (of_chain("loss_ratio", one.loss_probability, 0.01, name),
         of_chain("latency", one.mean_latency, 0.01, name))
        for name, one in zip(names, measures, strict=True)
    ]  # fmt: skip
    return Case(
        name="M/M/1/K non-preemptive priorities load=1.0 K=5",
        deployment=_by_priority(classes, 5),
        exact=(
            *exact[0],
            *exact[1],
            Exact(measure="jobs", value=sum(one.mean_jobs for one in measures)),
            Exact(measure="utilization", value=sum(one.utilization for one in measures)),
        ),
    )


def _early_or_full() -> Case:
    """Early or full service, drawn when a job starts, is a hyperexponential law."""
    law, rate, capacity = HyperExponential(mean=1.0, scv=3.0), 0.8, 5
    often = 0.5 * (1.0 + math.sqrt((law.scv - 1.0) / (law.scv + 1.0)))
    rates = (2.0 * often / law.mean, 2.0 * (1.0 - often) / law.mean)
    found = early_exit_queue(rate, rates, capacity, starts_early=often)
    return Case(
        name="M/M/1/K early or full service load=0.8 K=5",
        deployment=single(law, rate, capacity),
        exact=finite_queue(found.queue),
    )


TRUNK_RATE, REST_RATE = 2.0, 0.7
"""Service rates before and after the exit [1/s]; the exit itself costs nothing here."""

_TRACE = ExitTrace(
    name="trace",
    confidences=np.array([[0.9, 0.95], [0.8, 0.5], [0.7, 0.9], [0.4, 0.6], [0.3, 0.8]]),
    correct=np.array([[1, 1], [0, 1], [1, 1], [1, 1], [0, 0]], dtype=bool),
)
"""At threshold 0.5 three of five samples leave early, two of them right; of the others one is."""


def _with_exit(places: tuple[str, str], capacity: int | None, rate: float) -> Problem:
    """A trunk with an exit and a rest, on devices given once each."""
    fragments = (
        Fragment(name="trunk", service=Exponential(mean=1.0 / TRUNK_RATE), exit=Exit()),
        Fragment(name="rest", service=Exponential(mean=1.0 / REST_RATE)),
    )
    chain = Chain(name="c", arrivals=Poisson(rate=rate), fragments=fragments, trace=_TRACE.name)
    devices = tuple(Device(name=name, capacity=capacity) for name in dict.fromkeys(places))
    return Problem(devices=devices, chains=(chain,), traces=(_TRACE,))


def _exit_exact(found: EarlyExitMeasures, accuracy: float) -> tuple[Exact, ...]:
    offered = accuracy * (1.0 - found.queue.loss_probability)
    return (
        *finite_queue(found.queue),
        of_chain("accuracy_completed", accuracy),
        of_chain("accuracy_offered", offered),
    )


def _exit_mix() -> Case:
    capacity, rate, mix, accuracy = 4, 0.8, (0.6, 0.4), (0.7, 0.95)
    found = early_exit_queue(rate, (TRUNK_RATE, REST_RATE), capacity, goes_on=mix[1])
    return Case(
        name="M/M/1/K trunk, exit and rest, by a mix K=4",
        deployment=Deployment(
            problem=_with_exit(("d", "d"), capacity, rate),
            placement={"c": (("d", "d"),)},
            exits={"c": ExitMix(p=mix, accuracy=accuracy)},
        ),
        exact=_exit_exact(found, found.accuracy(*accuracy)),
    )


def _exit_thresholds() -> Case:
    capacity, rate = 5, 0.8
    found = early_exit_queue(rate, (TRUNK_RATE, REST_RATE), capacity, goes_on=0.4)
    return Case(
        name="M/M/1/K trunk, exit and rest, by a threshold K=5",
        deployment=Deployment(
            problem=_with_exit(("d", "d"), capacity, rate),
            placement={"c": (("d", "d"),)},
            exits={"c": Thresholds(tau=(0.5,))},
        ),
        exact=_exit_exact(found, found.accuracy(2 / 3, 1 / 2)),
    )


def _exit_before_a_link() -> Case:
    """Jobs that stay are sent on: Poisson streams, two M/M/1 queues and a pure delay."""
    rate, stays, delay = 1.0, 0.4, 0.5
    problem = _with_exit(("a", "b"), None, rate)
    link = Link(source="a", target="b", bandwidth=1.0, latency=delay)
    linked = Problem(
        devices=problem.devices, chains=problem.chains, links=(link,), traces=problem.traces
    )
    at_a, at_b = 1.0 / (TRUNK_RATE - rate), 1.0 / (REST_RATE - stays * rate)
    return Case(
        name="Jackson tandem with an exit before a link",
        deployment=Deployment(
            problem=linked,
            placement={"c": (("a", "b"),)},
            exits={"c": ExitMix(p=(1.0 - stays, stays))},
        ),
        exact=(
            of_chain("latency", at_a + stays * (delay + at_b), 0.01),
            Exact(measure="jobs", value=rate * at_a, max_rel_se=0.01, name="a"),
            Exact(measure="jobs", value=stays * rate * at_b, max_rel_se=0.01, name="b"),
            Exact(measure="utilization", value=stays * rate / REST_RATE, name="b"),
        ),
    )


def _two_paths() -> Case:
    """A stream split at random is Poisson on each path: two M/M/1/K queues."""
    rate, shares, capacities = 1.5, {"a": 0.3, "b": 0.7}, {"a": 3, "b": 5}
    queues = {name: mm1k(rate * share, 1.0, capacities[name]) for name, share in shares.items()}
    loss = sum(shares[name] * queue.loss_probability for name, queue in queues.items())
    chain = Chain(
        name="c",
        arrivals=Poisson(rate=rate),
        fragments=(Fragment(name="f", service=Exponential(mean=1.0)),),
    )
    devices = tuple(Device(name=name, capacity=units) for name, units in capacities.items())
    in_system = sum(queue.mean_jobs for queue in queues.values())
    return Case(
        name="M/M/1/K on two paths",
        deployment=Deployment(
            problem=Problem(devices=devices, chains=(chain,)),
            placement={"c": (("a",), ("b",))},
            routing={"c": tuple(shares.values())},
        ),
        exact=(
            of_chain("loss_ratio", loss, 0.01),
            of_chain("latency", in_system / (rate * (1.0 - loss))),
            *(
                Exact(measure="jobs", value=queue.mean_jobs, name=name)
                for name, queue in queues.items()
            ),
        ),
    )
