"""Random deployments whose jobs block each other, run in branches, or queue for links."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from datagen.deployment import Deployment, Device, Link
from tests.datagen.simulator.accelerated import random_deployment
from tests.datagen.simulator.systems import deployments

LARGEST_DEMAND = 3
"""Of any fragment in the examples: a device with less room could never be entered."""


def blocking(deployment: Deployment) -> Deployment:
    """The same where senders wait for room, on devices that have room for any job."""
    problem = deployment.problem

    def roomy(device: Device) -> Device:
        if device.capacity is None:
            return device
        return replace(device, capacity=max(device.capacity, LARGEST_DEMAND))

    devices = tuple(roomy(device) for device in problem.devices)
    return replace(deployment, problem=replace(problem, devices=devices, overflow="block"))


def in_branches(deployment: Deployment, chains: list[bool]) -> Deployment:
    """The same with some chains parallel, from which nobody leaves early."""
    problem = deployment.problem
    chosen = {chain.name for chain, flag in zip(problem.chains, chains, strict=False) if flag}
    changed = tuple(
        replace(chain, parallel=chain.name in chosen, contexts=None)
        if chain.name in chosen
        else chain
        for chain in problem.chains
    )
    exits = {name: own for name, own in (deployment.exits or {}).items() if name not in chosen}
    return replace(deployment, problem=replace(problem, chains=changed), exits=exits)


@st.composite
def contended(draw: st.DrawFn) -> Deployment:
    """A deployment of which most block, and half have a parallel chain."""
    deployment = draw(deployments())
    parallel = draw(st.lists(st.booleans(), min_size=3, max_size=3))
    if any(parallel):
        deployment = in_branches(deployment, parallel)
    return blocking(deployment) if draw(st.integers(0, 3)) else deployment


@st.composite
def linked(draw: st.DrawFn) -> Deployment:
    """The same with links that queue, or ask for room ahead first."""
    deployment = draw(contended())

    def special(link: Link) -> Link:
        admission = draw(st.sampled_from(["on_arrival", "before_transfer"]))
        return replace(link, queueing=draw(st.booleans()), admission=admission)

    problem = deployment.problem
    return replace(deployment, problem=replace(problem, links=tuple(map(special, problem.links))))


@st.composite
def accelerated(draw: st.DrawFn) -> Deployment:
    """A deployment with accelerators that blocks."""
    return blocking(random_deployment(draw(st.integers(0, 100_000))))
