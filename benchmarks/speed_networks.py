"""The networks that simulators are timed on: one device, a row, shared devices, Type I, rings."""

from __future__ import annotations

from collections.abc import Sequence

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic, Exponential, Law
from datagen.scenarios.type1 import Type1Scenario

TYPE1_SEED = 1
TYPE1_INDEX = 0
"""Row of the Type I scenario that stands for what data sets are made of."""


def chain_of(name: str, rate: float, laws: Sequence[Law]) -> Chain:
    """Return a chain with one fragment per law."""
    fragments = tuple(Fragment(name=f"f{k}", service=law) for k, law in enumerate(laws))
    return Chain(name=name, arrivals=Poisson(rate=rate), fragments=fragments)


def single() -> Deployment:
    """M/M/1/10 at load 0.9."""
    chain = chain_of("c", 0.9, [Exponential(mean=1.0)])
    problem = Problem(devices=(Device(name="d", capacity=10),), chains=(chain,))
    return Deployment(problem=problem, placement={"c": (("d",),)})


def tandem() -> Deployment:
    """Three devices in a row, each with a finite buffer, at load 0.9."""
    names = ("a", "b", "c")
    chain = chain_of("c", 0.9, [Exponential(mean=1.0)] * len(names))
    problem = Problem(
        devices=tuple(Device(name=name, capacity=10) for name in names), chains=(chain,)
    )
    return Deployment(problem=problem, placement={"c": (names,)})


def shared() -> Deployment:
    """Two chains in opposite directions over three unlimited devices, one with two servers."""
    devices = (Device(name="a"), Device(name="b", servers=2), Device(name="c"))
    constant, exponential = Deterministic(mean=0.8), Exponential(mean=0.8)
    chains = (
        chain_of("there", 0.5, [constant, exponential, constant]),
        chain_of("back", 0.5, [exponential, constant, exponential]),
    )
    problem = Problem(devices=devices, chains=chains)
    placement = {"there": (("a", "b", "c"),), "back": (("c", "b", "a"),)}
    return Deployment(problem=problem, placement=placement)


def type1() -> Deployment:
    """A deployment of ChainNet's Type I: finite buffers, constant works, shared devices."""
    return Type1Scenario().sample(TYPE1_INDEX, TYPE1_SEED)


def ring(devices: int) -> Deployment:
    """As many chains as devices, each over three devices apart, at load 0.8 everywhere."""
    names = [f"d{index}" for index in range(devices)]
    chains, placement = [], {}
    for index in range(devices):
        chains.append(chain_of(f"c{index}", 0.8 / 3.0, [Deterministic(mean=1.0)] * 3))
        hosts = ((index + offset) % devices for offset in (0, devices // 3, 2 * devices // 3))
        placement[f"c{index}"] = (tuple(names[host] for host in hosts),)
    problem = Problem(
        devices=tuple(Device(name=name, capacity=10) for name in names), chains=tuple(chains)
    )
    return Deployment(problem=problem, placement=placement)


def event_rate(deployment: Deployment) -> float:
    """Return the events per simulated second if nothing were lost."""
    return sum(
        chain.arrivals.rate * (1 + len(chain.fragments)) for chain in deployment.problem.chains
    )
