"""A stand-in for a real system: boards that are not what their data sheet says, and its log."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from datagen import simulate
from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic, Gamma
from datagen.documents import to_yaml
from datagen.evaluation import Measures

SLOWER = 1.15
"""Every second board takes so much longer than its data sheet says."""

SPREAD = 0.5
"""SCV of service times that the data sheet says are constant."""

HORIZON = 2e4
"""How long each deployment is observed [s]: some ten thousand requests."""


def sheet(boards: int = 5, chains: int = 3, fragments: int = 3) -> Problem:
    """What is known of the system."""
    return Problem(
        devices=tuple(
            Device(name=f"board{n}", speed=0.6 + 0.2 * n, capacity=4 + 3 * n) for n in range(boards)
        ),
        chains=tuple(
            Chain(
                name=f"camera{n}",
                arrivals=Poisson(rate=0.5 + 0.2 * n),
                fragments=tuple(
                    Fragment(name=f"part{k}", service=Deterministic(mean=0.2 + 0.15 * k))
                    for k in range(fragments)
                ),
            )
            for n in range(chains)
        ),
    )


def placements(problem: Problem, count: int, seed: int) -> list[Deployment]:
    """Random deployments of the system, no device twice in a chain."""
    rng = np.random.default_rng(seed)
    names = [device.name for device in problem.devices]
    return [
        Deployment(
            problem=problem,
            placement={
                chain.name: (tuple(map(str, rng.permutation(names)[: len(chain.fragments)])),)
                for chain in problem.chains
            },
        )
        for _ in range(count)
    ]


def really(deployment: Deployment) -> Deployment:
    """The same deployment on the boards as they are."""
    problem = deployment.problem
    devices = tuple(
        replace(device, speed=device.speed / SLOWER) if number % 2 else device
        for number, device in enumerate(problem.devices)
    )
    chains = tuple(
        replace(
            chain,
            fragments=tuple(
                replace(part, service=Gamma(mean=part.service.mean, scv=SPREAD))
                for part in chain.fragments
            ),
        )
        for chain in problem.chains
    )
    return replace(deployment, problem=replace(problem, devices=devices, chains=chains))


def observed(deployments: list[Deployment], seed: int) -> Measures:
    """What is measured where deployments run."""
    return simulate([really(item) for item in deployments], horizon=HORIZON, seed=seed)


def write_log(folder: Path, deployments: list[Deployment], measures: Measures) -> Path:
    """Write deployments, and throughput and mean latency of their chains, as an operator would."""
    folder.mkdir(parents=True)
    file = folder / "measured.csv"
    with file.open("w", newline="", encoding="utf-8") as text:
        writer = csv.writer(text)
        writer.writerow(["deployment", "chain", "throughput", "latency"])
        for number, (deployment, seen) in enumerate(zip(deployments, measures, strict=True)):
            (folder / f"{number}.yaml").write_text(to_yaml(deployment), encoding="utf-8")
            for name, chain in seen.chains.items():
                latency = "" if np.isnan(chain.latency) else chain.latency
                writer.writerow([f"{number}.yaml", name, chain.throughput, latency])
    return file
