"""Contention: jobs that share processors, block each other, fork, or overtake by priority.

Half of the deployments are small as those of Type I, the others of the kind that a placement search
visits; each then gets some of the effects, or none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Chain, Deployment, Device
from datagen.errors import require
from datagen.scenarios.base import Range, Scenario, WholeRange, require_range
from datagen.scenarios.placement import PlacementScenario
from datagen.scenarios.type1 import Type1Scenario

__all__ = ["ContentionScenario"]

Rng = np.random.Generator

SHARES = ("sharing", "cores", "priority", "parallel", "blocking")
"""What a deployment may have beyond a plain network, each on its own."""

CLASSES = 3
"""Priorities that chains are drawn from: as many as a system usually tells apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContentionScenario(Scenario):
    """Plain networks of two kinds, with effects by which jobs get in each other's way.

    Each effect is in a share of the deployments, and there in a random share of the devices or
    chains. Where jobs block, chains visit devices in the order of their numbers, so that no circle
    of jobs can wait for each other. All ranges are closed.

    Args:
        small: Share of deployments drawn as Type I at its own ranges, in [0, 1]; the others are
            drawn as placements.
        chains: Number of chains of a placement, whole, >= 1; its logarithm is uniform.
        length: Fragments per chain of a placement, whole, >= 1, uniform.
        devices: Number of devices of a placement, whole, >= 1.
        sharing: Share of deployments where some devices share their processors, in [0, 1].
        cores: Share where some devices have several cores, in [0, 1]; a device's work per second
            stays what it was, if its cores do not slow each other down.
        priority: Share where some devices serve by priority, in [0, 1].
        parallel: Share where some chains start all their fragments at once, in [0, 1].
        blocking: Share where what does not fit waits at the sender, in [0, 1].
        servers: Cores of a device that has several, whole, >= 2, uniform.
        slowdown: How much longer work takes for every core that is busy beside it, >= 0, uniform:
            with n busy each has the relative speed 1 / (1 + slowdown * (n - 1)).
    """

    name: ClassVar[str] = "contention"
    small: float = 0.5
    chains: WholeRange = (1, 10)
    length: WholeRange = (1, 6)
    devices: WholeRange = (2, 30)
    sharing: float = 0.4
    cores: float = 0.4
    priority: float = 0.3
    parallel: float = 0.3
    blocking: float = 0.3
    servers: WholeRange = (2, 4)
    slowdown: Range = (0.0, 0.4)

    def __post_init__(self) -> None:
        for field in ("small", *SHARES):
            value = getattr(self, field)
            require(0 <= value <= 1, field, "lie in [0, 1]", value)
        require_range("servers", self.servers, 2, whole=True)
        require_range("slowdown", self.slowdown, 0)
        self._placements()

    def _placements(self) -> PlacementScenario:
        """Return what the larger deployments are drawn from."""
        return PlacementScenario(chains=self.chains, length=self.length, devices=self.devices)

    def draw(self, rng: Rng) -> Deployment:
        """Draw a deployment from a stream of its own."""
        kind = Type1Scenario() if rng.uniform() < self.small else self._placements()
        plain = kind.draw(rng)
        chances = rng.random(len(SHARES))
        has = {name: chances[n] < getattr(self, name) for n, name in enumerate(SHARES)}
        problem = plain.problem
        devices, chains = problem.devices, problem.chains
        if has["cores"]:
            devices = tuple(self._with_cores(rng, device) for device in devices)
        if has["priority"] or has["sharing"]:
            devices = _with_disciplines(rng, devices, has["priority"], has["sharing"])
        if has["priority"]:
            ranks = rng.integers(CLASSES, size=len(chains)).tolist()
            chains = tuple(replace(c, priority=p) for c, p in zip(chains, ranks, strict=True))
        if has["parallel"]:
            chains = _some_parallel(rng, chains)
        return Deployment(
            problem=replace(
                problem,
                devices=devices,
                chains=chains,
                overflow="block" if has["blocking"] else "drop",
            ),
            placement=_one_way(plain) if has["blocking"] else plain.placement,
        )

    def _with_cores(self, rng: Rng, device: Device) -> Device:
        """Give half of the devices several cores, and most of these a speed-up table."""
        servers = int(rng.integers(*self.servers, endpoint=True))
        slowdown, one, all_alike = rng.uniform(*self.slowdown), rng.uniform(), rng.uniform()
        if one < 0.5:
            return device
        table = tuple(1.0 / (1.0 + slowdown * busy) for busy in range(servers))
        return replace(
            device,
            servers=servers,
            speed=device.speed / servers,
            # A core that finds no room in the buffer would never be busy.
            capacity=max(device.capacity or servers, servers),
            speedup=None if all_alike < 0.25 else table,
        )


def _with_disciplines(
    rng: Rng, devices: tuple[Device, ...], priority: bool, sharing: bool
) -> tuple[Device, ...]:
    """Give every other device one of the disciplines that there are beside the usual one."""
    others = [name for name, some in (("priority", priority), ("ps", sharing)) if some]
    drawn = rng.integers(2 * len(others), size=len(devices)).tolist()
    return tuple(
        replace(device, discipline=others[own]) if own < len(others) else device
        for device, own in zip(devices, drawn, strict=True)
    )


def _some_parallel(rng: Rng, chains: tuple[Chain, ...]) -> tuple[Chain, ...]:
    """Let half of the chains of several fragments start them all at once."""
    flags: NDArray[np.bool_] = rng.random(len(chains)) < 0.5
    return tuple(
        replace(chain, parallel=True) if flag and len(chain.fragments) > 1 else chain
        for chain, flag in zip(chains, flags.tolist(), strict=True)
    )


def _one_way(plain: Deployment) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Return the placement with the devices of each path in the order of their numbers."""
    number = plain.problem.device_index()
    return {
        name: tuple(tuple(sorted(path, key=number.__getitem__)) for path in paths)
        for name, paths in plain.placement.items()
    }
