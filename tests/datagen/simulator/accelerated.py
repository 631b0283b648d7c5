"""Random deployments with accelerators, and hand-made ones, shared by these tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import Arrivals, MarkovModulated, Periodic, Poisson
from datagen.deployment import (
    BatchConfig,
    Chain,
    Deployment,
    Device,
    Exit,
    Fragment,
    Link,
    Npu,
    Problem,
)
from datagen.distributions import Deterministic, Exponential
from datagen.exits import ExitMix, Thresholds
from datagen.npu import BATCH_POLICIES, BatchTable
from tests.datagen.simulator.systems import BURSTY, CHANGES, GRID, MIXES, ROUTING, TAUS, TRACES

Item = TypeVar("Item")

WAITS = ("dynamic", "edf", "lazy", "exit_aware")

GROWTH = ((0, 0, 0, 0, 0), (0, 1, 0, 1, 0), (1, 1, 1, 1, 1), (0, 0, 2, 0, 0), (0, 0, 0, 0, 0))
"""What each sample more adds to the time of a batch, in multiples of GRID: from nothing to all."""


class _Draw:
    """Draws from lists, all items alike."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def any(self, items: Sequence[Item]) -> Item:
        return items[int(self.rng.integers(len(items)))]

    def flag(self) -> bool:
        return bool(self.rng.random() < 0.5)

    def number(self, least: int, most: int) -> int:
        return int(self.rng.integers(least, most + 1))


def _configuration(draw: _Draw) -> BatchConfig:
    """Any policy with any of its options; those that interrupt are frequent."""
    policy = draw.any([*BATCH_POLICIES, "exit_aware", "exit_aware", "lazy"])
    return BatchConfig(
        policy=policy,
        max_batch=1 if policy == "serial" else draw.any([2, 3, 6, 6]),
        timeout=draw.any([0.0, 0.0, GRID, 1.1]) if policy in WAITS else 0.0,
        compaction=draw.flag(),
        survivors=draw.any(["worst", "expected"]) if policy == "exit_aware" else "worst",
    )


def _table(draw: _Draw, fragments: int) -> BatchTable:
    """Times on the grid that batching makes anything from useless to nearly free."""
    first = draw.rng.integers(1, 3, size=(fragments, 1))
    return BatchTable(seconds=(first + np.cumsum([0, *draw.any(GROWTH)])) * GRID)


def _process(draw: _Draw) -> Arrivals:
    gap = draw.any([0.15, 0.3, 0.7, 1.0])
    kinds = [Poisson(rate=1.0 / gap), Periodic(period=gap), BURSTY[MarkovModulated](gap)]
    return draw.any(kinds)


def _devices(draw: _Draw, lengths: dict[str, int]) -> tuple[Device, ...]:
    accelerators = [
        Device(
            name=f"npu{k}",
            capacity=draw.any([1, 3, 8, 20, None]),
            npu=Npu(table={model: _table(draw, length) for model, length in lengths.items()}),
        )
        for k in range(draw.number(1, 2))
    ]
    others = [
        Device(
            name=f"d{k}",
            servers=draw.number(1, 2),
            capacity=draw.any([1, 3, None]),
            discipline=draw.any(["fcfs", "priority"]),
        )
        for k in range(draw.number(0, 2))
    ]
    return (*accelerators, *others)


def _paths(draw: _Draw, devices: Sequence[Device], length: int) -> tuple[tuple[str, ...], ...]:
    """One or two paths; most stay on one accelerator, some go anywhere."""
    names = [device.name for device in devices]
    accelerators = [device.name for device in devices if device.npu is not None]
    return tuple(
        tuple(draw.any(names) for _ in range(length))
        if draw.number(0, 3) == 0
        else (draw.any(accelerators),) * length
        for _ in range(draw.any([1, 1, 2]))
    )


def _links(draw: _Draw, devices: Sequence[Device]) -> tuple[Link, ...]:
    pairs = permutations([device.name for device in devices], 2)
    release = draw.any(["sent", "start"])
    linked = [pair for pair in pairs if draw.flag()] if draw.flag() else []
    return tuple(
        Link(source=a, target=b, bandwidth=4e6, latency=GRID, release=release) for a, b in linked
    )


def random_deployment(seed: int) -> Deployment:
    """1-2 accelerators and up to two other devices; chains 0 and 1 run one model, 2 another."""
    draw = _Draw(seed)
    lengths = {"m": draw.number(1, 4), "own": draw.number(1, 3)}
    kinds = {
        model: [draw.any([None, Exit(), Exit()]) for _ in range(length)]
        for model, length in lengths.items()
    }
    devices = _devices(draw, lengths)
    chains, placement, routing, exits = [], {}, {}, {}
    for index, model in enumerate(["m", "m", "own"][: draw.number(1, 3)]):
        name = f"c{index}"
        classifiers = sum(kind is not None for kind in kinds[model])
        fragments = tuple(
            Fragment(
                name=f"f{k}",
                service=Exponential(mean=0.2),
                demand=draw.any([1, 1, 2]),
                exit=kind,
                output=draw.any([0.0, 1e6]),
            )
            for k, kind in enumerate(kinds[model])
        )
        chains.append(
            Chain(
                name=name,
                model=model,
                arrivals=_process(draw),
                fragments=fragments,
                deadline=draw.any([None, 1.0, 3.0, 10.0]),
                trace=TRACES[classifiers].name,
                contexts=draw.any(CHANGES),
                priority=draw.number(-1, 1),
            )
        )
        if draw.number(0, 3):
            exits[name] = draw.any([MIXES[classifiers], Thresholds(tau=TAUS[:classifiers])])
        placement[name] = _paths(draw, devices, lengths[model])
        routing[name] = ROUTING[len(placement[name])]
    links = _links(draw, devices)
    problem = Problem(devices=devices, chains=tuple(chains), links=links, traces=TRACES)
    return Deployment(
        problem=problem,
        placement=placement,
        routing=routing,
        exits=exits,
        batching={own.name: _configuration(draw) for own in devices if own.npu is not None},
        fuse=draw.flag(),
    )


def one_accelerator(
    seconds: Sequence[Sequence[float]] | NDArray[np.float64],
    config: BatchConfig,
    *,
    rate: float = 1.0,
    capacity: int | None = 20,
    mix: Sequence[float] | None = None,
    deadline: float | None = None,
    chains: int = 1,
    power: tuple[float, ...] | None = None,
) -> Deployment:
    """Chains of one model on one accelerator, with a classifier after each fragment but the last.

    Args:
        seconds: Times by fragment and batch size less one [s].
        config: How batches are formed.
        rate: Poisson arrivals of each chain [1/s].
        capacity: Samples that the accelerator holds.
        mix: Share of the samples that leave at each exit, or None where nobody leaves early.
        deadline: Latency to meet [s], or None.
        chains: Number of chains.
        power: Watts idle and busy, or None.
    """
    table = BatchTable(seconds=np.array(seconds))
    last = table.segments - 1
    fragments = tuple(
        Fragment(name=f"f{k}", service=Deterministic(mean=1.0), exit=Exit() if k < last else None)
        for k in range(table.segments)
    )
    chain = Chain(
        name="c0",
        model="m",
        arrivals=Poisson(rate=rate),
        fragments=fragments,
        deadline=deadline,
    )
    several = tuple(replace(chain, name=f"c{k}") for k in range(chains))
    device = Device(name="npu", capacity=capacity, npu=Npu(table=table), power=power)
    problem = Problem(devices=(device,), chains=several)
    return Deployment(
        problem=problem,
        placement={own.name: (("npu",) * table.segments,) for own in several},
        exits=None if mix is None else {own.name: ExitMix(p=tuple(mix)) for own in several},
        batching={"npu": config},
    )
