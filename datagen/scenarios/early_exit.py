"""Early exit: networks with intermediate classifiers, cut over devices, that jobs leave early.

The numbers are of the order of CEED's published profile, a ResNet-50 with nine exits on a small
device: 0.8 s for the whole network, heads below 2 ms, and times that are lognormal with squared
coefficients of variation from 0.003 to 0.1 behind the first layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment
from datagen.distributions import Deterministic, LogNormal
from datagen.errors import require
from datagen.exits import ExitMix
from datagen.scenarios.base import Range, Scenario, WholeRange, log_uniform, require_range
from datagen.scenarios.building import on_paths, renumbered

__all__ = ["EarlyExitScenario", "drawn_mix", "segmented_path"]

Floats = NDArray[np.float64]


def drawn_mix(rng: np.random.Generator, exits: int, evenness: Range) -> tuple[float, ...]:
    """Draw the shares of jobs that leave at each exit.

    Args:
        rng: The stream.
        exits: Number of exits, the final classifier included.
        evenness: Range of the Dirichlet parameter, log-uniform: below 1 a few exits take nearly
            all jobs, above 1 all take their share.

    Returns:
        Probabilities that sum to 1.
    """
    shares = rng.dirichlet(np.full(exits, float(log_uniform(rng, evenness))))
    shares = np.maximum(shares, 0.0)
    return tuple((shares / shares.sum()).tolist())


def segmented_path(
    rng: np.random.Generator, length: int, devices: int, segments: int
) -> tuple[int, ...]:
    """Cut a chain into runs of neighbours and place each on a device of its own.

    Args:
        rng: The stream.
        length: Fragments.
        devices: Devices to choose from.
        segments: Number of runs, at most ``length`` and ``devices``.

    Returns:
        Device of each fragment.
    """
    cuts = np.sort(rng.choice(np.arange(1, length), size=segments - 1, replace=False))
    sizes = np.diff([0, *cuts.tolist(), length])
    return tuple(np.repeat(rng.permutation(devices)[:segments], sizes).tolist())


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlyExitScenario(Scenario):
    """Early-exit networks over shared devices; every fragment but the last has a classifier.

    All ranges are closed.

    Args:
        chains: Number of chains, whole, >= 1, uniform.
        length: Fragments per chain, which is its number of exits, whole, >= 2, uniform.
        devices: Devices to place on, whole, >= 1, uniform; unused ones are left out.
        segments: Devices that one chain is cut over, whole, >= 1, uniform, kept possible.
        speed: Speed of a device, > 0, log-uniform.
        capacity: Buffer of a device in jobs, the one in service included, whole, >= 1, uniform.
        work: Mean work of a whole network without heads [s at speed 1], > 0, log-uniform.
        service_scv: Squared coefficient of variation of a fragment's lognormal work, > 0,
            log-uniform.
        head: Work of a classifier [s at speed 1], > 0, log-uniform.
        evenness: Dirichlet parameter of the exit mix of a chain, > 0, log-uniform.
        accuracy_first: Share of right answers at the first exit, in [0, 1], uniform.
        accuracy_last: Share of right answers at the last exit, in [0, 1], uniform; exits between
            lie between.
        load: Work offered per unit of total speed, > 0, log-uniform: the mean offered load.
        rate_spread: Largest ratio of two chains' arrival rates, >= 1.
    """

    name: ClassVar[str] = "early_exit"
    chains: WholeRange = (1, 4)
    length: WholeRange = (2, 9)
    devices: WholeRange = (2, 8)
    segments: WholeRange = (1, 4)
    speed: Range = (0.5, 4.0)
    capacity: WholeRange = (2, 50)
    work: Range = (0.05, 2.0)
    service_scv: Range = (0.003, 0.1)
    head: Range = (0.0003, 0.002)
    evenness: Range = (0.2, 5.0)
    accuracy_first: Range = (0.5, 0.8)
    accuracy_last: Range = (0.85, 0.97)
    load: Range = (0.05, 2.0)
    rate_spread: float = 10.0

    def __post_init__(self) -> None:
        for field in ("chains", "devices", "segments", "capacity"):
            require_range(field, getattr(self, field), 1, whole=True)
        require_range("length", self.length, 2, whole=True)
        for field in ("speed", "work", "service_scv", "head", "evenness", "load"):
            require_range(field, getattr(self, field), 0)
            require(getattr(self, field)[0] > 0, field, "be > 0", getattr(self, field))
        for field in ("accuracy_first", "accuracy_last"):
            require_range(field, getattr(self, field), 0)
            require(getattr(self, field)[1] <= 1, field, "be <= 1", getattr(self, field))
        require(self.rate_spread >= 1, "rate_spread", "be >= 1", self.rate_spread)

    def draw(self, rng: np.random.Generator) -> Deployment:
        """Draw a deployment from a stream of its own."""
        count = int(rng.integers(*self.chains, endpoint=True))
        lengths = rng.integers(*self.length, endpoint=True, size=count).tolist()
        paths = self._paths(rng, lengths)
        speeds = log_uniform(rng, self.speed, 1 + max(map(max, paths)))
        works = [self._works(rng, length) for length in lengths]
        heads = [log_uniform(rng, self.head, length - 1) for length in lengths]
        exits = [self._exits(rng, length) for length in lengths]
        rates = np.exp(rng.uniform(0.0, np.log(self.rate_spread), size=count))
        needed = [_mean_work(*parts) for parts in zip(works, heads, exits, strict=True)]
        rates *= float(log_uniform(rng, self.load)) * speeds.sum() / float(rates @ needed)

        def device(number: int, name: str) -> Device:
            capacity = int(rng.integers(*self.capacity, endpoint=True))
            return Device(name=name, speed=float(speeds[number]), capacity=capacity)

        def chain(number: int, name: str) -> Chain:
            scvs = log_uniform(rng, self.service_scv, lengths[number]).tolist()
            classifiers = [Exit(head=Deterministic(mean=mean)) for mean in heads[number].tolist()]
            fragments = tuple(
                Fragment(name=f"f{position}", service=LogNormal(mean=mean, scv=scv), exit=head)
                for position, (mean, scv, head) in enumerate(
                    zip(works[number].tolist(), scvs, [*classifiers, None], strict=True)
                )
            )
            arrivals = Poisson(rate=float(rates[number]))
            return Chain(name=name, arrivals=arrivals, fragments=fragments)

        return on_paths(
            paths, device, chain, {"exits": {f"c{n}": mix for n, mix in enumerate(exits)}}
        )

    def _paths(self, rng: np.random.Generator, lengths: list[int]) -> list[tuple[int, ...]]:
        devices = int(rng.integers(*self.devices, endpoint=True))
        wanted = rng.integers(*self.segments, endpoint=True, size=len(lengths)).tolist()
        paths = [
            segmented_path(rng, length, devices, min(segments, length, devices))
            for length, segments in zip(lengths, wanted, strict=True)
        ]
        return renumbered(paths)

    def _works(self, rng: np.random.Generator, length: int) -> Floats:
        # A Dirichlet parameter of 1: any split of the whole is as likely as any other.
        return np.asarray(float(log_uniform(rng, self.work)) * rng.dirichlet(np.ones(length)))

    def _exits(self, rng: np.random.Generator, length: int) -> ExitMix:
        first, last = rng.uniform(*self.accuracy_first), rng.uniform(*self.accuracy_last)
        between = np.sort(rng.uniform(size=length - 2))
        accuracy = first + (last - first) * np.array([0.0, *between.tolist(), 1.0])
        p = drawn_mix(rng, length, self.evenness)
        return ExitMix(p=p, accuracy=tuple(accuracy.tolist()))


def _mean_work(works: Floats, heads: Floats, exits: ExitMix) -> float:
    """Return the mean work of a job [s at speed 1]: of what it passes before it leaves."""
    passed = np.cumsum(works)
    passed[:-1] += np.cumsum(heads)
    passed[-1] += heads.sum()
    return float(passed @ np.asarray(exits.p))
