"""Random deployments with accelerators, and hand-made ones, shared by these tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from datagen.arrivals import Poisson
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
from datagen.distributions import Deterministic
from datagen.exits import ExitMix, Thresholds
from datagen.npu import BatchTable
from datagen.policies import BATCH_POLICIES
from tests.datagen.simulator.systems import (
    CHANGES,
    GRID,
    MIXES,
    ROUTING,
    TAUS,
    TRACES,
    laws,
    processes,
)

WAITS = ("dynamic", "edf", "lazy", "exit_aware")


@st.composite
def configurations(draw: st.DrawFn) -> BatchConfig:
    """Any policy with any of its options."""
    policy = draw(st.sampled_from([*BATCH_POLICIES, "exit_aware", "lazy"]))
    return BatchConfig(
        policy=policy,
        max_batch=1 if policy == "serial" else draw(st.sampled_from([1, 2, 3, 6])),
        timeout=draw(st.sampled_from([0.0, 0.0, GRID, 1.1])) if policy in WAITS else 0.0,
        compaction=draw(st.booleans()),
        survivors=draw(st.sampled_from(["worst", "expected"]))
        if policy == "exit_aware"
        else "worst",
    )


@st.composite
def tables(draw: st.DrawFn, fragments: int) -> BatchTable:
    """Times on the grid that batching makes anything from useless to nearly free."""
    first = draw(st.lists(st.integers(1, 3), min_size=fragments, max_size=fragments))
    steps = draw(
        st.sampled_from([(0, 0, 0, 0, 0), (0, 1, 0, 1, 0), (1, 1, 1, 1, 1), (0, 0, 2, 0, 0)])
    )
    grown = np.cumsum([0, *steps])
    return BatchTable(seconds=(np.array(first)[:, None] + grown) * GRID)


@st.composite
def accelerated(draw: st.DrawFn) -> Deployment:
    """1-2 accelerators and up to two other devices; chains share models, and come back.

    Chains 0 and 1 run one model, chain 2 another one.
    """
    lengths = {"m": draw(st.integers(1, 4)), "own": draw(st.integers(1, 3))}
    accelerators = tuple(
        Device(
            name=f"npu{k}",
            capacity=draw(st.sampled_from([1, 3, 8, 20, None])),
            npu=Npu(table={model: draw(tables(length)) for model, length in lengths.items()}),
        )
        for k in range(draw(st.integers(1, 2)))
    )
    others = tuple(
        Device(
            name=f"d{k}",
            servers=draw(st.integers(1, 2)),
            capacity=draw(st.sampled_from([1, 3, None])),
            discipline=draw(st.sampled_from(["fcfs", "priority"])),
        )
        for k in range(draw(st.integers(0, 2)))
    )
    names = [device.name for device in (*accelerators, *accelerators, *others)]
    kinds = {
        model: draw(st.lists(st.sampled_from([None, Exit()]), min_size=length, max_size=length))
        for model, length in lengths.items()
    }
    chains, placement, routing, exits = [], {}, {}, {}
    for index, model in enumerate(["m", "m", "own"][: draw(st.integers(1, 3))]):
        name, length = f"c{index}", lengths[model]
        classifiers = sum(kind is not None for kind in kinds[model])
        chains.append(
            Chain(
                name=name,
                model=model,
                arrivals=draw(processes()),
                fragments=tuple(
                    Fragment(
                        name=f"f{k}",
                        service=draw(laws()),
                        demand=draw(st.sampled_from([1, 1, 2])),
                        exit=kinds[model][k],
                        output=draw(st.sampled_from([0.0, 1e6])),
                    )
                    for k in range(length)
                ),
                deadline=draw(st.sampled_from([None, 1.0, 3.0, 10.0])),
                trace=TRACES[classifiers].name,
                contexts=draw(st.sampled_from(CHANGES)),
                priority=draw(st.integers(-1, 1)),
            )
        )
        if draw(st.integers(0, 3)):
            exits[name] = draw(
                st.sampled_from([MIXES[classifiers], Thresholds(tau=TAUS[:classifiers])])
            )
        whole = st.sampled_from(names).map(lambda host, length=length: (host,) * length)
        mixed = st.lists(st.sampled_from(names), min_size=length, max_size=length).map(tuple)
        paths = draw(st.lists(whole | whole | mixed, min_size=1, max_size=2))
        placement[name], routing[name] = tuple(paths), ROUTING[len(paths)]
    hosts = sorted({*names})
    linked = [pair for pair in permutations(hosts, 2) if draw(st.booleans())]
    release = draw(st.sampled_from(["sent", "start"]))
    links = tuple(
        Link(source=a, target=b, bandwidth=4e6, latency=GRID, release=release) for a, b in linked
    )
    problem = Problem(
        devices=(*accelerators, *others),
        chains=tuple(chains),
        links=draw(st.sampled_from([(), links])),
        traces=TRACES,
    )
    return Deployment(
        problem=problem,
        placement=placement,
        routing=routing,
        exits=exits,
        batching={device.name: draw(configurations()) for device in accelerators},
        fuse=draw(st.booleans()),
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
