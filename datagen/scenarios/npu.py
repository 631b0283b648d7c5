"""NPU: early-exit networks on batching accelerators and plain devices side by side.

Every deployment has one or two accelerators and up to four plain devices. Chains run one of a few
networks, cut into fragments with classifiers between them; a path may run on an accelerator alone,
on plain devices alone, or change between them. Half of the accelerators take their times from the
layers of a known network on a known array, the others from a made-up table: a start-up cost and a
cost per sample, as measured tables look.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import Arrivals, Poisson
from datagen.deployment import BatchConfig, Chain, Deployment, Device, Exit, Fragment, Npu, Problem
from datagen.distributions import Deterministic, LogNormal
from datagen.errors import require
from datagen.evaluation.loads import offered_load
from datagen.evaluation.packing import pack
from datagen.exits import ExitMix
from datagen.npu import (
    ARRAYS,
    BATCH_POLICIES,
    NETWORKS,
    VARIANTS,
    BatchTable,
    network,
    processing_array,
    segment_seconds,
)
from datagen.scenarios.base import Range, Scenario, WholeRange, log_uniform, require_range
from datagen.scenarios.bursty import burst_arrivals
from datagen.scenarios.early_exit import drawn_mix, segmented_path

__all__ = ["NpuScenario"]

Rng = np.random.Generator
Floats = NDArray[np.float64]
Path = tuple[int, ...]

LEAST_ROUTED = 0.05
"""Smallest share of a chain's jobs that takes either of its ways."""

LARGEST_ROOM = 64
"""Samples that an accelerator and its queue hold at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NpuScenario(Scenario):
    """Accelerators and plain devices, exits, bursts and deadlines.

    All ranges are closed.

    Args:
        chains: Number of chains, whole, >= 1, uniform.
        models: Number of networks that the chains run, whole, >= 1, uniform.
        length: Fragments of a network, which is the number of its exits, whole, >= 2, uniform.
        accelerators: Number of accelerators, whole, >= 1, uniform.
        devices: Number of plain devices, whole, >= 0, uniform; unused devices stay, idle.
        segments: Devices that one path is cut over, whole, >= 1, uniform, kept possible.
        accelerated: Share of the paths that are made to visit an accelerator, in (0, 1].
        two_ways: Share of chains with a second path, in [0, 1].
        tables: Share of accelerators with a made-up table, in [0, 1].
        setup: Cost of a batch over the cost of each sample in it of these, >= 0, log-uniform.
        max_batch: Largest batch of every policy but serial, whole, >= 2, log-uniform.
        timeout: Longest wait for company over the time of one sample alone, > 0, log-uniform.
        waits: Share of the accelerators whose policy has a time-out that have one, in [0, 1].
        room: Samples that an accelerator and its queue hold over its largest batch, >= 1,
            log-uniform; at most 64 or its largest batch.
        capacity: Jobs that fit in a plain device, whole, >= 1, uniform.
        service_scv: Squared coefficient of variation of lognormal works on plain devices, > 0,
            log-uniform.
        exits: Share of networks with classifiers, in [0, 1].
        evenness: Dirichlet parameter of their exit mix, > 0, log-uniform.
        load: Load of the busiest accelerator over what its best batches can serve, > 0,
            log-uniform.
        device_load: Load of a plain device, > 0, log-uniform.
        rate_spread: Largest ratio of two chains' arrival rates, >= 1.
        bursts: Share of chains with Markov-modulated arrivals, in [0, 1].
        burst_ratio: Arrival rate in a burst over that in calm, > 1, log-uniform.
        burst_share: Share of the time that bursts take, in (0, 1), uniform.
        burst_cycle: Mean arrivals in one calm and one burst together, > 0, log-uniform.
        deadline: Deadline of a chain over its latency on idle devices, > 0, log-uniform.
    """

    name: ClassVar[str] = "npu"
    chains: WholeRange = (1, 4)
    models: WholeRange = (1, 2)
    length: WholeRange = (2, 5)
    accelerators: WholeRange = (1, 2)
    devices: WholeRange = (0, 4)
    segments: WholeRange = (1, 3)
    accelerated: float = 0.8
    two_ways: float = 0.25
    tables: float = 0.5
    setup: Range = (0.2, 20.0)
    max_batch: WholeRange = (2, 16)
    timeout: Range = (0.1, 5.0)
    waits: float = 0.5
    room: Range = (1.0, 16.0)
    capacity: WholeRange = (2, 50)
    service_scv: Range = (0.003, 0.3)
    exits: float = 0.7
    evenness: Range = (0.2, 5.0)
    load: Range = (0.3, 1.5)
    device_load: Range = (0.1, 1.5)
    rate_spread: float = 10.0
    bursts: float = 0.4
    burst_ratio: Range = (2.0, 10.0)
    burst_share: Range = (0.1, 0.5)
    burst_cycle: Range = (10.0, 100.0)
    deadline: Range = (1.2, 20.0)

    def __post_init__(self) -> None:
        for field, least in (
            ("chains", 1),
            ("models", 1),
            ("length", 2),
            ("accelerators", 1),
            ("devices", 0),
            ("segments", 1),
            ("max_batch", 2),
            ("capacity", 1),
        ):
            require_range(field, getattr(self, field), least, whole=True)
        for field, above in (
            ("setup", 0),
            ("timeout", 0),
            ("service_scv", 0),
            ("evenness", 0),
            ("load", 0),
            ("device_load", 0),
            ("burst_ratio", 1),
            ("burst_share", 0),
            ("burst_cycle", 0),
            ("deadline", 0),
        ):
            require_range(field, getattr(self, field), above)
            require(getattr(self, field)[0] > above, field, f"be > {above}", getattr(self, field))
        require_range("room", self.room, 1)
        require(self.burst_share[1] < 1, "burst_share", "be < 1", self.burst_share)
        for field in ("accelerated", "two_ways", "tables", "waits", "exits", "bursts"):
            require(0 <= getattr(self, field) <= 1, field, "lie in [0, 1]", getattr(self, field))
        require(self.accelerated > 0, "accelerated", "be > 0", self.accelerated)
        require(self.rate_spread >= 1, "rate_spread", "be >= 1", self.rate_spread)

    def draw(self, rng: Rng) -> Deployment:
        """Draw a deployment from a stream of its own."""
        lengths = rng.integers(
            *self.length, endpoint=True, size=int(rng.integers(*self.models, endpoint=True))
        ).tolist()
        accelerators = int(rng.integers(*self.accelerators, endpoint=True))
        plain = int(rng.integers(*self.devices, endpoint=True))
        count = int(rng.integers(*self.chains, endpoint=True))
        models = rng.integers(len(lengths), size=count).tolist()
        placement = self._placement(rng, [lengths[m] for m in models], accelerators, plain)
        npus = [self._npu(rng, lengths) for _ in range(accelerators)]
        rates = np.exp(rng.uniform(0.0, np.log(self.rate_spread), size=count)).tolist()
        batching = {f"npu{n}": self._batching(rng, npu, lengths) for n, npu in enumerate(npus)}
        devices = [
            Device(name=name, npu=npu, capacity=self._room(rng, batching[name].max_batch))
            for name, npu in zip(batching, npus, strict=True)
        ]
        devices += [
            Device(name=f"d{n}", capacity=int(rng.integers(*self.capacity, endpoint=True)))
            for n in range(plain)
        ]
        classified = (rng.uniform(size=len(lengths)) < self.exits).tolist()
        exits = [
            self._exits(rng, lengths[model]) if classified[model] else None for model in models
        ]
        # Scale-free: times on plain devices follow from their loads, see _loaded.
        chains = [
            Chain(
                name=f"c{n}",
                model=f"m{model}",
                arrivals=Poisson(rate=rate),
                fragments=self._fragments(rng, lengths[model], classified=mix is not None),
            )
            for n, (model, rate, mix) in enumerate(zip(models, rates, exits, strict=True))
        ]
        deployment = Deployment(
            problem=Problem(devices=tuple(devices), chains=tuple(chains)),
            placement={
                chain.name: tuple(tuple(devices[d].name for d in path) for path in paths)
                for chain, paths in zip(chains, placement, strict=True)
            },
            routing={
                chain.name: self._routing(rng, len(paths))
                for chain, paths in zip(chains, placement, strict=True)
            },
            exits={c.name: mix for c, mix in zip(chains, exits, strict=True) if mix is not None},
            batching=batching,
        )
        return self._loaded(rng, deployment)

    def _placement(
        self, rng: Rng, lengths: list[int], accelerators: int, plain: int
    ) -> list[list[Path]]:
        """Draw the paths of each chain; the first one visits an accelerator."""
        devices = accelerators + plain
        placement = []
        for number, length in enumerate(lengths):
            paths = []
            for way in range(1 + (rng.uniform() < self.two_ways)):
                segments = int(rng.integers(*self.segments, endpoint=True))
                path = segmented_path(rng, length, devices, min(segments, length, devices))
                wanted = rng.uniform() < self.accelerated or (number == 0 and way == 0)
                if wanted and min(path) >= accelerators:
                    here, there = path[rng.integers(length)], int(rng.integers(accelerators))
                    path = tuple(there if device == here else device for device in path)
                paths.append(path)
            placement.append(paths)
        return placement

    @staticmethod
    def _routing(rng: Rng, ways: int) -> tuple[float, ...]:
        share = float(rng.uniform(LEAST_ROUTED, 1.0 - LEAST_ROUTED))
        return (1.0,) if ways == 1 else (share, 1.0 - share)

    def _npu(self, rng: Rng, lengths: list[int]) -> Npu:
        if rng.uniform() < self.tables:
            return Npu(table={f"m{n}": self._made_up(rng, own) for n, own in enumerate(lengths)})
        array, variant = list(ARRAYS)[rng.integers(len(ARRAYS))], str(rng.choice(VARIANTS))
        table = {
            f"m{n}": _modelled(str(rng.choice(NETWORKS)), array, variant, own, self.max_batch[1])
            for n, own in enumerate(lengths)
        }
        return Npu(table=table)

    def _made_up(self, rng: Rng, length: int) -> BatchTable:
        """Draw times that are straight lines in the size of the batch [s]."""
        size = np.arange(1, self.max_batch[1] + 1)
        setup = log_uniform(rng, self.setup, length)[:, None]
        share = rng.dirichlet(np.ones(length))[:, None]
        # Of a millisecond or so; deployments differ by the ratios of times only.
        return BatchTable(seconds=1e-3 * share * (setup + size) / (setup + 1.0))

    def _batching(self, rng: Rng, npu: Npu, lengths: list[int]) -> BatchConfig:
        policy = BATCH_POLICIES[rng.integers(len(BATCH_POLICIES))]
        low, high = self.max_batch
        size = int(np.floor(np.exp(rng.uniform(np.log(low), np.log(high + 1.0)))))
        alone = [
            float(npu.times(f"m{n}", (True,) * own, 1).seconds.sum())
            for n, own in enumerate(lengths)
        ]
        wait = float(log_uniform(rng, self.timeout)) * float(np.mean(alone))
        has_timeout = policy not in {"serial", "static"} and rng.uniform() < self.waits
        return BatchConfig(
            policy=policy,
            max_batch=1 if policy == "serial" else size,
            timeout=wait if has_timeout else 0.0,
            compaction=bool(rng.uniform() < 0.5),
            survivors="expected" if policy == "exit_aware" and rng.uniform() < 0.5 else "worst",
        )

    def _room(self, rng: Rng, max_batch: int) -> int:
        most = LARGEST_ROOM if max_batch > 1 else LARGEST_ROOM // 2
        room = round(max(max_batch, 2) * float(log_uniform(rng, self.room)))
        return max(min(room, most), max_batch)

    def _fragments(self, rng: Rng, length: int, *, classified: bool) -> tuple[Fragment, ...]:
        works = np.maximum(rng.dirichlet(np.ones(length)), 1e-3)
        scv = float(log_uniform(rng, self.service_scv))
        # A classifier takes little: one hundredth of the mean fragment.
        head = Exit(head=Deterministic(mean=0.01 / length)) if classified else None
        return tuple(
            Fragment(
                name=f"f{n}",
                service=LogNormal(mean=work, scv=scv),
                exit=head if n + 1 < length else None,
            )
            for n, work in enumerate(works.tolist())
        )

    def _exits(self, rng: Rng, length: int) -> ExitMix:
        return ExitMix(p=drawn_mix(rng, length, self.evenness))

    def _loaded(self, rng: Rng, deployment: Deployment) -> Deployment:
        """Scale arrival rates to the load of the accelerators, speeds to those of the others.

        Then deadlines are drawn, and bursts in place of Poisson arrivals.
        """
        batch, problem = pack([deployment]), deployment.problem
        load = offered_load(batch)
        fast = np.array([device.npu is not None for device in problem.devices])
        scale = float(log_uniform(rng, self.load)) / load[fast].max()
        wanted = log_uniform(rng, self.device_load, len(load))
        speeds = np.where((load > 0) & ~fast, load * scale / wanted, 1.0)
        # The longest path on idle devices.
        mean = batch.step_mean / speeds[batch.step_device]
        alone = np.add.reduceat(mean, batch.step_start[:-1])
        alone = np.maximum.reduceat(alone, batch.path_start[:-1])
        deadlines = (alone * log_uniform(rng, self.deadline, len(alone))).tolist()
        devices = tuple(
            device if device.npu is not None else replace(device, speed=speed)
            for device, speed in zip(problem.devices, speeds.tolist(), strict=True)
        )
        chains = tuple(
            replace(
                chain, arrivals=self._arrivals(rng, chain.arrivals.rate * scale), deadline=deadline
            )
            for chain, deadline in zip(problem.chains, deadlines, strict=True)
        )
        return replace(deployment, problem=replace(problem, devices=devices, chains=chains))

    def _arrivals(self, rng: Rng, rate: float) -> Arrivals:
        if rng.uniform() >= self.bursts:
            return Poisson(rate=rate)
        return burst_arrivals(
            rate,
            float(log_uniform(rng, self.burst_ratio)),
            float(rng.uniform(*self.burst_share)),
            float(log_uniform(rng, self.burst_cycle)),
        )


@cache
def _modelled(name: str, array: str, variant: str, length: int, max_batch: int) -> BatchTable:
    """Return the times of a known network that is cut into pieces with a classifier each.

    They are tabulated once for every deployment, since modelling them takes longer than drawing all
    the rest.
    """
    placed = processing_array(array)
    seconds = segment_seconds(network(name), length, placed, variant, max_batch)
    return BatchTable(seconds=seconds)
