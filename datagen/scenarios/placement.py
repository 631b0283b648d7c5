"""Placement: what a placement search visits, from random starts to nearly optimal ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic, Exponential, Law, LogNormal
from datagen.errors import require
from datagen.scenarios.annealing import PlacementTask, annealed, balanced, scattered
from datagen.scenarios.base import Range, Scenario, WholeRange, log_uniform, require_range

__all__ = ["PlacementScenario"]

Floats = NDArray[np.float64]

PLACERS: tuple[Callable[[PlacementTask, np.random.Generator, int], NDArray[np.int64]], ...] = (
    lambda task, rng, _: scattered(task, rng),
    lambda task, rng, _: balanced(task, rng),
    annealed,
)
"""Ways to place, each taken a third of the time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementScenario(Scenario):
    """Problems of all sizes placed at random, by balancing loads, or by a short annealing.

    Paths may come back to a device. All ranges are closed.

    Args:
        chains: Number of chains, whole, >= 1; its logarithm is uniform.
        length: Fragments per chain, whole, >= 1, uniform.
        devices: Number of devices, whole, >= 1.
        crowding: Fragments per device, > 0, log-uniform; with the number of fragments it gives the
            number of devices, kept inside ``devices``.
        most_per_device: Most fragments that any device gets, >= 1.
        speed: Speed of a device, > 0; the spread inside a problem is itself random.
        capacity: Buffer of a device in jobs, whole, >= 1; uniform or log-uniform by problem.
        work: Mean work of a fragment [s at speed 1], > 0, uniform.
        load: Work offered per unit of total speed, > 0, log-uniform: the mean offered load.
        rate_spread: Largest ratio of two chains' arrival rates before they are scaled to the load,
            >= 1.
        random_service: Share of problems with random service, in [0, 1]; the rest is deterministic.
        service_scv: Squared coefficient of variation of random service, > 0, log-uniform.
        moves: Moves of the annealing, whole, >= 1, log-uniform.
    """

    name: ClassVar[str] = "placement"
    chains: WholeRange = (1, 20)
    length: WholeRange = (1, 8)
    devices: WholeRange = (2, 60)
    crowding: Range = (0.5, 6.0)
    most_per_device: int = 12
    speed: Range = (0.25, 4.0)
    capacity: WholeRange = (1, 100)
    work: Range = (0.02, 2.0)
    load: Range = (0.03, 2.0)
    rate_spread: float = 30.0
    random_service: float = 0.15
    service_scv: Range = (0.02, 2.0)
    moves: WholeRange = (20, 600)

    def __post_init__(self) -> None:
        for field in ("chains", "length", "devices", "capacity", "moves"):
            require_range(field, getattr(self, field), 1, whole=True)
        for field in ("crowding", "speed", "work", "load", "service_scv"):
            require_range(field, getattr(self, field), 0)
            value = getattr(self, field)
            require(value[0] > 0, field, "be > 0", value)
        require(self.most_per_device >= 1, "most_per_device", "be >= 1", self.most_per_device)
        require(self.rate_spread >= 1, "rate_spread", "be >= 1", self.rate_spread)
        share = 0 <= self.random_service <= 1
        require(share, "random_service", "lie in [0, 1]", self.random_service)
        room = self.devices[1] * self.most_per_device
        most = self.chains[1] * self.length[1]
        require(most <= room, "devices", f"have room for {most} fragments", self.devices)

    def draw(self, rng: np.random.Generator) -> Deployment:
        """Draw a deployment from a stream of its own."""
        count = _whole(log_uniform(rng, (self.chains[0], self.chains[1] + 1)), self.chains)
        lengths = rng.integers(*self.length, endpoint=True, size=count)
        total = int(lengths.sum())
        work = rng.uniform(*self.work, size=total)
        speed, capacity = self._devices(rng, total)
        rates = np.exp(rng.uniform(0.0, np.log(self.rate_spread), size=count))
        chain = np.repeat(np.arange(count), lengths)
        offered = float((rates[chain] * work).sum() / speed.sum())
        rates *= log_uniform(rng, self.load) / offered
        task = PlacementTask(
            rate=rates[chain],
            work=work,
            speed=speed,
            capacity=capacity,
            most_per_device=self.most_per_device,
        )
        placer = PLACERS[rng.integers(len(PLACERS))]
        hosts = placer(task, rng, _whole(log_uniform(rng, self.moves), self.moves))
        return _deployment(lengths, rates, self._laws(rng, work), task, hosts)

    def _devices(
        self, rng: np.random.Generator, fragments: int
    ) -> tuple[Floats, NDArray[np.int64]]:
        least = max(self.devices[0], -(-fragments // self.most_per_device))
        wanted = round(float(fragments / log_uniform(rng, self.crowding)))
        count = int(min(max(wanted, least), self.devices[1]))
        # From all alike to the full range, so that speeds matter more in some problems than others.
        spread = rng.uniform()
        speed = log_uniform(rng, self.speed, count) ** spread
        if rng.uniform() < 0.5:
            return speed, rng.integers(*self.capacity, endpoint=True, size=count)
        drawn = log_uniform(rng, (self.capacity[0], self.capacity[1] + 1), count)
        return speed, np.minimum(drawn.astype(np.int64), int(self.capacity[1]))

    def _laws(self, rng: np.random.Generator, work: Floats) -> list[Law]:
        if rng.uniform() >= self.random_service:
            return [Deterministic(mean=mean) for mean in work.tolist()]
        if rng.uniform() < 0.5:
            return [Exponential(mean=mean) for mean in work.tolist()]
        scv = float(log_uniform(rng, self.service_scv))
        return [LogNormal(mean=mean, scv=scv) for mean in work.tolist()]


def _whole(value: NDArray[np.float64], bounds: Range) -> int:
    return int(min(float(value), bounds[1]))


def _deployment(
    lengths: NDArray[np.int64],
    rates: Floats,
    laws: list[Law],
    task: PlacementTask,
    hosts: NDArray[np.int64],
) -> Deployment:
    starts = np.cumsum(lengths) - lengths
    spans = [range(s, s + n) for s, n in zip(starts.tolist(), lengths.tolist(), strict=True)]
    devices = tuple(
        Device(name=f"d{number}", speed=speed, capacity=units)
        for number, (speed, units) in enumerate(
            zip(task.speed.tolist(), task.capacity.tolist(), strict=True)
        )
    )
    chains = tuple(
        Chain(
            name=f"c{number}",
            arrivals=Poisson(rate=rate),
            fragments=tuple(
                Fragment(name=f"f{position}", service=laws[row])
                for position, row in enumerate(spans[number])
            ),
        )
        for number, rate in enumerate(rates.tolist())
    )
    placement = {
        f"c{number}": (tuple(f"d{hosts[row]}" for row in span),)
        for number, span in enumerate(spans)
    }
    return Deployment(problem=Problem(devices=devices, chains=chains), placement=placement)
