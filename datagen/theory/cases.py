"""What a theory case is: a deployment, and the exact values of some of its measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from datagen.analytic.finite_queue import FiniteQueueMeasures
from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Law

__all__ = ["FULL_JOBS", "Case", "Exact", "Level", "finite_queue", "of_chain", "single"]

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


def single(
    law: Law,
    rate: float,
    capacity: int | None,
    servers: int = 1,
    *,
    demand: int = 1,
    deadline: float | None = None,
) -> Deployment:
    """Return one device d with one chain c of one fragment.

    Args:
        law: Service law [s].
        rate: Poisson arrival rate [1/s].
        capacity: Units of the buffer, those in service included; None for unlimited.
        servers: Number of servers.
        demand: Units that a job takes.
        deadline: Latency to meet [s].

    Returns:
        The deployment.
    """
    fragment = Fragment(name="f", service=law, demand=demand)
    chain = Chain(name="c", arrivals=Poisson(rate=rate), fragments=(fragment,), deadline=deadline)
    device = Device(name="d", capacity=capacity, servers=servers)
    problem = Problem(devices=(device,), chains=(chain,))
    return Deployment(problem=problem, placement={"c": (("d",),)})


def of_chain(measure: str, value: float, max_rel_se: float = 0.005, name: str = "c") -> Exact:
    """Return an exact measure of a chain.

    Args:
        measure: As in :class:`Exact`.
        value: As in :class:`Exact`.
        max_rel_se: As in :class:`Exact`.
        name: The chain.

    Returns:
        The measure.
    """
    return Exact(measure=measure, value=value, max_rel_se=max_rel_se, level="chain", name=name)


def finite_queue(queue: FiniteQueueMeasures) -> tuple[Exact, ...]:
    """Return what theory says of device d with chain c alone on it.

    Args:
        queue: Exact measures of the device's queue.

    Returns:
        Measures of the chain and of the device.
    """
    return (
        of_chain("loss_ratio", queue.loss_probability, 0.01),
        of_chain("latency", queue.mean_latency),
        of_chain("throughput", queue.throughput),
        Exact(measure="jobs", value=queue.mean_jobs),
        Exact(measure="utilization", value=queue.utilization),
    )
