"""Type I: the distribution of ChainNet's public training, validation and Type I test data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment
from datagen.distributions import Deterministic
from datagen.errors import require
from datagen.scenarios.base import Range, Scenario, WholeRange, require_range
from datagen.scenarios.building import distinct_paths, on_paths

__all__ = ["Type1Scenario"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Type1Scenario(Scenario):
    """Few short chains over few devices; chains draw their devices from a pool without repetition.

    Devices that no chain uses are left out, so a deployment has 2 to ``pool`` devices at the
    defaults, all used. All ranges are closed and drawn from uniformly.

    Args:
        chains: Number of chains, whole, >= 1.
        length: Fragments per chain, whole, >= 1, at most ``pool``.
        pool: Devices that chains draw from, >= 1.
        capacity: Buffer of a device in jobs, the one in service included, whole, >= 1.
        interarrival: Mean time between the Poisson arrivals of a chain [s], > 0.
        service: Deterministic work of a fragment [s], >= 0.
    """

    name: ClassVar[str] = "type1"
    chains: WholeRange = (1, 3)
    length: WholeRange = (2, 6)
    pool: int = 10
    capacity: WholeRange = (1, 50)
    interarrival: Range = (0.1, 10.0)
    service: Range = (0.0, 2.0)

    def __post_init__(self) -> None:
        require(self.pool >= 1, "pool", "be >= 1", self.pool)
        for field in ("chains", "length", "capacity"):
            require_range(field, getattr(self, field), 1, whole=True)
        for field in ("interarrival", "service"):
            require_range(field, getattr(self, field), 0)
        require(self.interarrival[0] > 0, "interarrival", "be > 0", self.interarrival)
        fits = self.length[1] <= self.pool
        require(fits, "length", f"be at most pool={self.pool}", self.length)

    def draw(self, rng: np.random.Generator) -> Deployment:
        """Draw a deployment from a stream of its own."""
        count = int(rng.integers(*self.chains, endpoint=True))
        lengths = rng.integers(*self.length, endpoint=True, size=count).tolist()
        paths = distinct_paths(rng, self.pool, lengths)

        def device(_: int, name: str) -> Device:
            return Device(name=name, capacity=int(rng.integers(*self.capacity, endpoint=True)))

        def chain(number: int, name: str) -> Chain:
            arrivals = Poisson(rate=1.0 / rng.uniform(*self.interarrival))
            works = rng.uniform(*self.service, size=lengths[number]).tolist()
            fragments = tuple(
                Fragment(name=f"f{position}", service=Deterministic(mean=work))
                for position, work in enumerate(works)
            )
            return Chain(name=name, arrivals=arrivals, fragments=fragments)

        return on_paths(paths, device, chain)
