"""Type II: the distribution of ChainNet's test of larger systems than a model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment
from datagen.distributions import Deterministic, HyperExponential
from datagen.errors import require
from datagen.scenarios.base import Scenario, WholeRange, require_range
from datagen.scenarios.building import distinct_paths, on_paths

__all__ = ["Type2Scenario"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Type2Scenario(Scenario):
    """Up to a dozen long chains over dozens of devices, with heavy-tailed rates and services.

    The published figures fit hyperexponential times (of balanced means) that are cut off below:
    57 % of the interarrival times at their floor, 5 % above 8.1 s, 1 % above 25 s, at most 94 s;
    a chain's mean service time with median 0.072 s, 1 % above 0.71 s, at most 3.9 s. Devices that
    no chain visits are left out.

    Args:
        chains: Number of chains, whole, >= 1.
        decline: By how much each number of chains is less likely than the one before, relative to
            the first, >= 0, less than 1 / (highest - lowest).
        length: Fragments per chain, whole, >= 1, uniform, at most ``pool``.
        pool: Devices that chains draw from without repetition, >= 1.
        capacity: Buffer of a device in jobs, the one in service included, whole, >= 1, uniform.
        interarrival_floor: Least mean time between the Poisson arrivals of a chain [s], > 0.
        interarrival_mean: Mean of that time before it is cut off [s], > 0.
        interarrival_scv: Its squared coefficient of variation, >= 1.
        service_floor: Least deterministic work of a fragment [s], >= 0.
        service_mean: Mean of the work before it is cut off [s], > 0.
        service_scv: Its squared coefficient of variation, >= 1.
    """

    name: ClassVar[str] = "type2"
    chains: WholeRange = (1, 12)
    decline: float = 0.03
    length: WholeRange = (2, 12)
    pool: int = 80
    capacity: WholeRange = (1, 100)
    interarrival_floor: float = 1.0
    interarrival_mean: float = 2.0
    interarrival_scv: float = 5.0
    service_floor: float = 0.05
    service_mean: float = 0.1
    service_scv: float = 10.0

    def __post_init__(self) -> None:
        for field in ("chains", "length", "capacity"):
            require_range(field, getattr(self, field), 1, whole=True)
        fits = self.length[1] <= self.pool
        require(fits, "length", f"be at most pool={self.pool}", self.length)
        most = self.chains[1] - self.chains[0]
        proper = 0 <= self.decline * max(most, 1) < 1
        require(proper, "decline", "be >= 0 and leave every number of chains likely", self.decline)
        for field in ("interarrival_floor", "interarrival_mean", "service_mean"):
            value = getattr(self, field)
            require(bool(np.isfinite(value)) and value > 0, field, "be finite and > 0", value)
        for field in ("interarrival_scv", "service_scv"):
            value = getattr(self, field)
            require(bool(np.isfinite(value)) and value >= 1, field, "be finite and >= 1", value)
        require(self.service_floor >= 0, "service_floor", "be >= 0", self.service_floor)

    def draw(self, rng: np.random.Generator) -> Deployment:
        """Draw a deployment from a stream of its own."""
        counts = np.arange(self.chains[0], self.chains[1] + 1)
        weights = 1.0 - self.decline * np.arange(len(counts))
        count = int(rng.choice(counts, p=weights / weights.sum()))
        lengths = rng.integers(*self.length, endpoint=True, size=count).tolist()
        paths = distinct_paths(rng, self.pool, lengths)
        times = HyperExponential(mean=self.interarrival_mean, scv=self.interarrival_scv)
        interarrival = np.maximum(times.quantile(rng.random(count)), self.interarrival_floor)
        works = HyperExponential(mean=self.service_mean, scv=self.service_scv)
        service = [
            np.maximum(works.quantile(rng.random(length)), self.service_floor).tolist()
            for length in lengths
        ]

        def device(_: int, name: str) -> Device:
            return Device(name=name, capacity=int(rng.integers(*self.capacity, endpoint=True)))

        def chain(number: int, name: str) -> Chain:
            fragments = tuple(
                Fragment(name=f"f{position}", service=Deterministic(mean=work))
                for position, work in enumerate(service[number])
            )
            arrivals = Poisson(rate=1.0 / float(interarrival[number]))
            return Chain(name=name, arrivals=arrivals, fragments=fragments)

        return on_paths(paths, device, chain)
