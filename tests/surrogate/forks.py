"""Deployments whose jobs get in each other's way, made of plain ones."""

from __future__ import annotations

from dataclasses import replace

from datagen.deployment import Deployment, Device


def forked(deployment: Deployment) -> Deployment:
    """The same with every other chain of several fragments parallel."""
    problem = deployment.problem
    chains = tuple(
        replace(chain, parallel=number % 2 == 0 and len(chain.fragments) > 1)
        for number, chain in enumerate(problem.chains)
    )
    return replace(deployment, problem=replace(problem, chains=chains))


def contended(deployment: Deployment) -> Deployment:
    """The same with forks, shared and slowed devices, priorities and blocking."""
    problem = forked(deployment).problem

    def changed(number: int, device: Device) -> Device:
        discipline = ("ps", "priority", "fcfs")[number % 3]
        table = tuple(1.0 / (1.0 + 0.2 * busy) for busy in range(device.servers))
        return replace(
            device,
            discipline=discipline,  # type: ignore[arg-type]
            speedup=table if number % 2 else None,
        )

    devices = tuple(changed(number, device) for number, device in enumerate(problem.devices))
    chains = tuple(
        replace(chain, priority=number % 3) for number, chain in enumerate(problem.chains)
    )
    crowded = replace(problem, devices=devices, chains=chains, overflow="block")
    return replace(deployment, problem=crowded)
