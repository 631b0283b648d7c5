"""Early exit: networks with intermediate classifiers, cut over devices, that jobs leave early.

The numbers are of the order of CEED's published profile, a ResNet-50 with nine exits on a small
device: 0.8 s for the whole network, heads below 2 ms, times that are lognormal with squared
coefficients of variation from 0.003 to 0.1 behind the first layers, and 12 kB to 1 MB between
layers. Every chain starts on its gateway; some choose between two ways on, a near edge and a far
one, say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment, Problem
from datagen.distributions import Deterministic, LogNormal
from datagen.errors import require
from datagen.evaluation.expanded_deployment import expanded_deployment
from datagen.exits import ExitMix
from datagen.scenarios.base import Range, Scenario, WholeRange, log_uniform, require_range
from datagen.scenarios.building import renumbered

__all__ = ["EarlyExitScenario", "drawn_mix", "segmented_path"]

Floats = NDArray[np.float64]
Path = tuple[int, ...]

LEAST_ROUTED = 0.02
"""Smallest share of a chain's jobs that takes either of its ways."""


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


def segmented_path(rng: np.random.Generator, length: int, devices: int, segments: int) -> Path:
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
        segments: Devices that one path is cut over, whole, >= 1, uniform, kept possible.
        two_ways: Share of chains with a second path from the same gateway, in [0, 1].
        speed: Speed of a device, > 0, log-uniform.
        capacity: Buffer of a device in jobs, the one in service included, whole, >= 1, uniform.
        counts_bytes: Share of deployments whose buffers count bytes, in [0, 1]: a job then takes
            the bytes that enter the step it is at, and a device has room for ``capacity`` jobs of
            the mean size of those that visit it, or for one of the largest.
        size: Bytes that enter a fragment, whole, >= 1, log-uniform.
        work: Mean work of a whole network without heads [s at speed 1], > 0, log-uniform.
        service_scv: Squared coefficient of variation of a fragment's lognormal work, > 0,
            log-uniform.
        head: Work of a classifier [s at speed 1], > 0, log-uniform.
        evenness: Dirichlet parameter of the exit mix of a chain, > 0, log-uniform.
        accuracy_first: Share of right answers at the first exit, in [0, 1], uniform.
        accuracy_last: Share of right answers at the last exit, in [0, 1], uniform; exits between
            lie between.
        load: Load factor, > 0, log-uniform: the load of the busiest device if all jobs left at the
            last exit and none were lost.
        rate_spread: Largest ratio of two chains' arrival rates, >= 1.
        expanded: Whether every path and exit of a chain becomes a chain of its own, with labels of
            its own: what networks are trained on.
    """

    name: ClassVar[str] = "early_exit"
    chains: WholeRange = (1, 4)
    length: WholeRange = (2, 9)
    devices: WholeRange = (1, 8)
    segments: WholeRange = (1, 4)
    two_ways: float = 0.4
    speed: Range = (0.5, 4.0)
    capacity: WholeRange = (2, 50)
    counts_bytes: float = 0.4
    size: WholeRange = (12_000, 1_050_000)
    work: Range = (0.05, 2.0)
    service_scv: Range = (0.003, 0.1)
    head: Range = (0.0003, 0.002)
    evenness: Range = (0.1, 5.0)
    accuracy_first: Range = (0.5, 0.8)
    accuracy_last: Range = (0.85, 0.97)
    load: Range = (0.3, 2.5)
    rate_spread: float = 10.0
    expanded: bool = False

    def __post_init__(self) -> None:
        for field in ("chains", "devices", "segments", "capacity", "size"):
            require_range(field, getattr(self, field), 1, whole=True)
        require_range("length", self.length, 2, whole=True)
        for field in ("speed", "work", "service_scv", "head", "evenness", "load"):
            require_range(field, getattr(self, field), 0)
            require(getattr(self, field)[0] > 0, field, "be > 0", getattr(self, field))
        for field in ("accuracy_first", "accuracy_last"):
            require_range(field, getattr(self, field), 0)
            require(getattr(self, field)[1] <= 1, field, "be <= 1", getattr(self, field))
        for field in ("two_ways", "counts_bytes"):
            require(0 <= getattr(self, field) <= 1, field, "lie in [0, 1]", getattr(self, field))
        require(self.rate_spread >= 1, "rate_spread", "be >= 1", self.rate_spread)

    def draw(self, rng: np.random.Generator) -> Deployment:
        """Draw a deployment from a stream of its own."""
        count = int(rng.integers(*self.chains, endpoint=True))
        lengths = rng.integers(*self.length, endpoint=True, size=count).tolist()
        paths = self._paths(rng, lengths)
        routing = [self._routing(rng, len(own)) for own in paths]
        speeds = log_uniform(rng, self.speed, 1 + max(d for own in paths for p in own for d in p))
        works = [self._works(rng, length) for length in lengths]
        heads = [log_uniform(rng, self.head, length - 1) for length in lengths]
        exits = {f"c{n}": self._exits(rng, length) for n, length in enumerate(lengths)}
        rates = np.exp(rng.uniform(0.0, np.log(self.rate_spread), size=count))
        offered = np.zeros(len(speeds))
        for rate, own, shares, *parts in zip(rates, paths, routing, works, heads, strict=True):
            for path, share in zip(own, shares, strict=True):
                needed = parts[0] + np.append(parts[1], 0.0)
                np.add.at(offered, list(path), rate * share * needed / speeds[list(path)])
        rates *= float(log_uniform(rng, self.load)) / offered.max()
        sizes = self._sizes(rng, lengths)
        jobs = rng.integers(*self.capacity, endpoint=True, size=len(speeds)).tolist()
        devices = tuple(
            Device(name=f"d{n}", speed=speed, capacity=room)
            for n, (speed, room) in enumerate(
                zip(speeds.tolist(), _rooms(jobs, paths, sizes), strict=True)
            )
        )
        chains = tuple(
            Chain(
                name=f"c{n}",
                arrivals=Poisson(rate=rate),
                fragments=self._fragments(rng, works[n], heads[n], sizes[n]),
            )
            for n, rate in enumerate(rates.tolist())
        )
        deployment = Deployment(
            problem=Problem(devices=devices, chains=chains),
            placement={
                f"c{n}": tuple(tuple(f"d{d}" for d in path) for path in own)
                for n, own in enumerate(paths)
            },
            routing={f"c{n}": shares for n, shares in enumerate(routing)},
            exits=exits,
        )
        return expanded_deployment(deployment) if self.expanded else deployment

    def _paths(self, rng: np.random.Generator, lengths: list[int]) -> list[list[Path]]:
        """Draw the ways of each chain; devices are numbered from 0 without gaps."""
        devices = int(rng.integers(*self.devices, endpoint=True))
        paths: list[Path] = []
        ways = 1 + (rng.uniform(size=len(lengths)) < self.two_ways)
        for length, count in zip(lengths, ways.tolist(), strict=True):
            wanted = rng.integers(*self.segments, endpoint=True, size=count).tolist()
            gateway: int | None = None
            for segments in wanted:
                path = segmented_path(rng, length, devices, min(segments, length, devices))
                if gateway is not None:  # where the first way begins, the second one does too
                    swapped = {path[0]: gateway, gateway: path[0]}
                    path = tuple(swapped.get(device, device) for device in path)
                gateway = path[0]
                paths.append(path)
        numbered = iter(renumbered(paths))
        return [[next(numbered) for _ in range(count)] for count in ways.tolist()]

    @staticmethod
    def _routing(rng: np.random.Generator, ways: int) -> tuple[float, ...]:
        share = float(rng.uniform(LEAST_ROUTED, 1.0 - LEAST_ROUTED))
        return (1.0,) if ways == 1 else (share, 1.0 - share)

    def _works(self, rng: np.random.Generator, length: int) -> Floats:
        # A Dirichlet parameter of 1: any split of the whole is as likely as any other.
        return np.asarray(float(log_uniform(rng, self.work)) * rng.dirichlet(np.ones(length)))

    def _sizes(self, rng: np.random.Generator, lengths: list[int]) -> list[list[int]]:
        """Draw the units that a job takes at each fragment: one, or bytes."""
        if rng.uniform() >= self.counts_bytes:
            return [[1] * length for length in lengths]
        return [log_uniform(rng, self.size, n).astype(np.int64).tolist() for n in lengths]

    def _fragments(
        self, rng: np.random.Generator, works: Floats, heads: Floats, sizes: list[int]
    ) -> tuple[Fragment, ...]:
        scvs = log_uniform(rng, self.service_scv, len(works)).tolist()
        classifiers = [Exit(head=Deterministic(mean=mean)) for mean in heads.tolist()]
        return tuple(
            Fragment(name=f"f{n}", service=LogNormal(mean=mean, scv=scv), demand=size, exit=head)
            for n, (mean, scv, size, head) in enumerate(
                zip(works.tolist(), scvs, sizes, [*classifiers, None], strict=True)
            )
        )

    def _exits(self, rng: np.random.Generator, length: int) -> ExitMix:
        first, last = rng.uniform(*self.accuracy_first), rng.uniform(*self.accuracy_last)
        between = np.sort(rng.uniform(size=length - 2))
        accuracy = first + (last - first) * np.array([0.0, *between.tolist(), 1.0])
        p = drawn_mix(rng, length, self.evenness)
        return ExitMix(p=p, accuracy=tuple(accuracy.tolist()))


def _rooms(jobs: list[int], paths: list[list[Path]], sizes: list[list[int]]) -> list[int]:
    """Return the units that each device has room for."""
    taken: list[list[int]] = [[] for _ in jobs]
    for own, units in zip(paths, sizes, strict=True):
        for path in own:
            begin = 0
            for stop in range(1, len(path) + 1):
                if stop == len(path) or path[stop] != path[begin]:
                    taken[path[begin]].append(max(units[begin:stop]))
                    begin = stop
    return [
        max(round(count * sum(units) / len(units)), *units, 1)
        for count, units in zip(jobs, taken, strict=True)
    ]
