"""Bursty: systems of Type I whose requests come in bursts and whose works vary widely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from datagen.arrivals import Arrivals, MarkovModulated, Renewal
from datagen.deployment import Chain, Deployment, Device, Fragment
from datagen.distributions import HyperExponential
from datagen.errors import require
from datagen.scenarios.base import Range, Scenario, WholeRange, log_uniform, require_range
from datagen.scenarios.building import distinct_paths, on_paths

__all__ = ["BurstyScenario", "burst_arrivals"]


def burst_arrivals(rate: float, ratio: float, share: float, cycle: float) -> MarkovModulated:
    """Return arrivals that alternate between calm and burst.

    Args:
        rate: Long-run arrival rate [1/s], > 0.
        ratio: Rate in a burst over the rate in calm, > 1.
        share: Share of the time that bursts take, in (0, 1).
        cycle: Mean number of arrivals in one calm and one burst together, > 0.

    Returns:
        The process: its rate is ``rate``.

    Example:
        >>> round(burst_arrivals(3.0, 10.0, 0.2, 50.0).rate, 9)
        3.0
    """
    calm = rate / (1.0 - share + ratio * share)
    seconds = cycle / rate
    return MarkovModulated(
        rates=(calm, ratio * calm), switch=(1 / (seconds * (1 - share)), 1 / (seconds * share))
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class BurstyScenario(Scenario):
    """Few short chains as in Type I; half with modulated, half with hyperexponential arrivals.

    All ranges are closed.

    Args:
        chains: Number of chains, whole, >= 1, uniform.
        length: Fragments per chain, whole, >= 1, uniform, at most ``pool``.
        pool: Devices that chains draw from without repetition, >= 1.
        capacity: Buffer of a device in jobs, the one in service included, whole, >= 1, uniform.
        interarrival: Mean time between arrivals of a chain [s], > 0, uniform.
        service: Mean work of a fragment [s], >= 0, uniform; works are hyperexponential.
        service_scv: Squared coefficient of variation of the works of a chain, >= 1, log-uniform.
        modulated: Share of chains whose arrivals are Markov-modulated, in [0, 1]; those of the
            others are independent.
        arrival_scv: Squared coefficient of variation of independent interarrival times, >= 1,
            log-uniform.
        burst_ratio: Arrival rate in a burst over that in calm, > 1, log-uniform.
        burst_share: Share of the time that bursts take, in (0, 1), uniform.
        burst_cycle: Mean arrivals in one calm and one burst together, > 0, log-uniform.
    """

    name: ClassVar[str] = "bursty"
    chains: WholeRange = (1, 3)
    length: WholeRange = (2, 6)
    pool: int = 10
    capacity: WholeRange = (1, 50)
    interarrival: Range = (0.1, 10.0)
    service: Range = (0.0, 2.0)
    service_scv: Range = (1.0, 10.0)
    modulated: float = 0.5
    arrival_scv: Range = (1.0, 20.0)
    burst_ratio: Range = (2.0, 20.0)
    burst_share: Range = (0.05, 0.5)
    burst_cycle: Range = (10.0, 300.0)

    def __post_init__(self) -> None:
        for field in ("chains", "length", "capacity"):
            require_range(field, getattr(self, field), 1, whole=True)
        fits = self.length[1] <= self.pool
        require(fits, "length", f"be at most pool={self.pool}", self.length)
        for field, least in (("service", 0), ("service_scv", 1), ("arrival_scv", 1)):
            require_range(field, getattr(self, field), least)
        for field, above in (
            ("interarrival", 0),
            ("burst_cycle", 0),
            ("burst_share", 0),
            ("burst_ratio", 1),
        ):
            require_range(field, getattr(self, field), above)
            require(getattr(self, field)[0] > above, field, f"be > {above}", getattr(self, field))
        require(self.burst_share[1] < 1, "burst_share", "be < 1", self.burst_share)
        require(0 <= self.modulated <= 1, "modulated", "lie in [0, 1]", self.modulated)

    def draw(self, rng: np.random.Generator) -> Deployment:
        """Draw a deployment from a stream of its own."""
        count = int(rng.integers(*self.chains, endpoint=True))
        lengths = rng.integers(*self.length, endpoint=True, size=count).tolist()
        paths = distinct_paths(rng, self.pool, lengths)

        def device(_: int, name: str) -> Device:
            return Device(name=name, capacity=int(rng.integers(*self.capacity, endpoint=True)))

        def chain(number: int, name: str) -> Chain:
            scv = float(log_uniform(rng, self.service_scv))
            works = rng.uniform(*self.service, size=lengths[number]).tolist()
            fragments = tuple(
                Fragment(name=f"f{position}", service=HyperExponential(mean=work, scv=scv))
                for position, work in enumerate(works)
            )
            return Chain(name=name, arrivals=self._arrivals(rng), fragments=fragments)

        return on_paths(paths, device, chain)

    def _arrivals(self, rng: np.random.Generator) -> Arrivals:
        mean = float(rng.uniform(*self.interarrival))
        if rng.uniform() >= self.modulated:
            return Renewal(mean=mean, scv=float(log_uniform(rng, self.arrival_scv)))
        return burst_arrivals(
            1.0 / mean,
            float(log_uniform(rng, self.burst_ratio)),
            float(rng.uniform(*self.burst_share)),
            float(log_uniform(rng, self.burst_cycle)),
        )
