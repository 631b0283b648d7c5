"""Cases of the benchmark of batching accelerators, and the systems that face them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import Arrivals, MarkovModulated, Periodic, Poisson
from datagen.deployment import BatchConfig, Chain, Deployment, Device, Exit, Fragment, Npu, Problem
from datagen.distributions import Deterministic
from datagen.exits import ExitMix
from datagen.npu import (
    ARRAYS,
    NETWORKS,
    VARIANTS,
    BatchTable,
    network,
    processing_array,
    segment_seconds,
)
from datagen.npu.arrays import DEFAULT_ARRAY

__all__ = [
    "ARRIVALS",
    "LINE_LOADS",
    "LINE_POLICIES",
    "LOADS",
    "MIXES",
    "OBJECTIVES",
    "OURS",
    "SETUPS",
    "SYSTEMS",
    "Case",
    "all_cases",
    "alone",
    "deployment",
    "some_cases",
    "straight_line",
]

FIXED, FLUID, STACKABLE = VARIANTS

MAX_BATCH = 8
"""Largest batch of every policy but serial: what an edge accelerator has buffers for."""

CAPACITY = 64
"""Samples that the accelerator and its queue hold: eight full batches."""

SOURCES = 8
"""Cameras where several feed one accelerator."""

MIXES = {
    "even": (0.25, 0.25, 0.25, 0.25),
    "early": (0.55, 0.2, 0.15, 0.1),
    "late": (0.1, 0.1, 0.1, 0.7),
}
"""Share of the samples that leave at each of four exits."""

LOADS = (0.3, 0.5, 0.7, 0.9, 1.1)
"""Arrival rate times the mean time of a sample that is served alone on the fixed array."""

OBJECTIVES = (2.0, 4.0, 8.0)
"""Deadlines over the time of a sample that passes the whole network alone on the fixed array."""

ARRIVALS = ("poisson", "bursts", "cameras")

BURST, SHARE, JOBS = 3.0, 0.2, 40.0
"""Bursts: rate over the mean, share of the time, and mean number of samples in one."""

SETUPS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Cost of a batch over the cost of each sample in it, of arrays made up to be straight lines."""

LINE_LOADS = (0.3, 0.6, 0.9)
"""Loads of these: of what full batches can serve."""

LINE_POLICIES = ("greedy", "lazy", "exit_aware")

WAIT = 0.5
"""Time-out of ``dynamic`` over the time of a sample alone."""

SYSTEMS: dict[str, tuple[str, BatchConfig]] = {
    "serial": (FIXED, BatchConfig()),
    "static": (FIXED, BatchConfig(policy="static", max_batch=MAX_BATCH // 2)),
    "dynamic": (FIXED, BatchConfig(policy="dynamic", max_batch=MAX_BATCH, timeout=WAIT)),
    "greedy": (FIXED, BatchConfig(policy="dynamic", max_batch=MAX_BATCH)),
    "edf": (FIXED, BatchConfig(policy="edf", max_batch=MAX_BATCH)),
    "lazy": (FIXED, BatchConfig(policy="lazy", max_batch=MAX_BATCH)),
    "exit_aware": (FIXED, BatchConfig(policy="exit_aware", max_batch=MAX_BATCH)),
}
SYSTEMS |= {
    f"{name}+compaction": (
        FIXED,
        BatchConfig(policy=config.policy, max_batch=MAX_BATCH, compaction=True),
    )
    for name, (_, config) in SYSTEMS.items()
    if name in ("greedy", "exit_aware")
}
SYSTEMS |= {
    f"{name} on {STACKABLE}": (STACKABLE, config)
    for name, (_, config) in SYSTEMS.items()
    if "compaction" not in name
}
SYSTEMS |= {
    f"exit_aware on {FLUID}": (FLUID, SYSTEMS["exit_aware"][1]),
    f"expectant exit_aware on {STACKABLE}": (
        STACKABLE,
        BatchConfig(policy="exit_aware", max_batch=MAX_BATCH, survivors="expected"),
    ),
}
"""Variant of the array and batches of every system that is compared; a time-out counts in times of
a sample alone. Those without a variant in their name run on the fixed array."""

OURS = f"exit_aware on {STACKABLE}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What all systems have to deal with.

    Args:
        network: Name of the network.
        array: Name of the array.
        arrivals: One of :data:`ARRIVALS`.
        load: One of :data:`LOADS`.
        objective: One of :data:`OBJECTIVES`.
        mix: Name in :data:`MIXES`.
    """

    network: str
    array: str
    arrivals: str
    load: float
    objective: float
    mix: str = "even"


def all_cases() -> Iterator[Case]:
    """Yield every case: those of the even mix on all arrays, the others on the default one."""
    for name, array, arrivals, load, objective in product(
        NETWORKS, ARRAYS, ARRIVALS, LOADS, OBJECTIVES
    ):
        yield Case(network=name, array=array, arrivals=arrivals, load=load, objective=objective)
    for mix, name, arrivals, load in product(("early", "late"), NETWORKS, ARRIVALS, LOADS):
        yield Case(
            network=name,
            array=DEFAULT_ARRAY,
            arrivals=arrivals,
            load=load,
            objective=OBJECTIVES[1],
            mix=mix,
        )


def some_cases() -> Iterator[Case]:
    """Yield a few cases, for a first look."""
    for load in (0.5, 0.9):
        yield Case(
            network="resnet50", array=DEFAULT_ARRAY, arrivals="poisson", load=load, objective=4.0
        )


@cache
def alone(name: str, array: str, exits: int) -> NDArray[np.float64]:
    """Return the time of each segment for a sample that is alone on the fixed array [s]."""
    times = segment_seconds(network(name), exits, processing_array(array), FIXED, 1)
    return np.asarray(times[:, 0])


def _process(kind: str, rate: float) -> Arrivals:
    if kind == "bursts":
        slow = rate * (1.0 - SHARE * BURST) / (1.0 - SHARE)
        leave = BURST * rate / JOBS
        return MarkovModulated(
            rates=(BURST * rate, slow), switch=(leave, leave * SHARE / (1.0 - SHARE))
        )
    if kind == "cameras":
        return Periodic(period=1.0 / rate, jitter=1.0 / rate)
    return Poisson(rate=rate)


def straight_line(setup: float, load: float, policy: str) -> Deployment:
    """Return an accelerator whose batches of b take setup + b, in four equal segments.

    Args:
        setup: One of :data:`SETUPS`.
        load: One of :data:`LINE_LOADS`.
        policy: One of :data:`LINE_POLICIES`.

    Returns:
        The accelerator, which pays for those only who are left, and one chain without a deadline.
    """
    mix = MIXES["even"]
    times = (setup + np.arange(1, MAX_BATCH + 1)) / len(mix)
    table = BatchTable(seconds=np.tile(times, (len(mix), 1)))
    stays = 1.0 - np.cumsum((0.0, *mix[:-1]))
    rate = load * MAX_BATCH / (times[-1] * stays.sum())
    fragments = tuple(
        Fragment(
            name=f"segment{k}",
            service=Deterministic(mean=1.0),
            exit=Exit() if k + 1 < len(mix) else None,
        )
        for k in range(len(mix))
    )
    chain = Chain(name="source", arrivals=Poisson(rate=rate), fragments=fragments)
    device = Device(name="npu", capacity=CAPACITY, npu=Npu(table=table))
    known = SYSTEMS[policy][1].policy
    config = BatchConfig(policy=known, max_batch=MAX_BATCH, compaction=True)
    return Deployment(
        problem=Problem(devices=(device,), chains=(chain,)),
        placement={"source": (("npu",) * len(mix),)},
        exits={"source": ExitMix(p=mix)},
        batching={"npu": config},
    )


def deployment(case: Case, system: str) -> Deployment:
    """Return a system in a case.

    Args:
        case: The case.
        system: Name in :data:`SYSTEMS`.

    Returns:
        One accelerator, and the chains that feed it.
    """
    variant, config = SYSTEMS[system]
    mix = MIXES[case.mix]
    seconds = alone(case.network, case.array, len(mix))
    stays = 1.0 - np.cumsum((0.0, *mix[:-1]))
    rate = case.load / float(seconds @ stays)
    sources = SOURCES if case.arrivals == "cameras" else 1
    fragments = tuple(
        Fragment(
            name=f"segment{k}",
            service=Deterministic(mean=float(own)),
            exit=Exit() if k + 1 < len(mix) else None,
        )
        for k, own in enumerate(seconds)
    )
    chains = tuple(
        Chain(
            name=f"source{k}",
            model=case.network,
            arrivals=_process(case.arrivals, rate / sources),
            fragments=fragments,
            deadline=case.objective * float(seconds.sum()),
        )
        for k in range(sources)
    )
    npu = Npu(network=case.network, array=case.array, variant=variant)
    problem = Problem(devices=(Device(name="npu", capacity=CAPACITY, npu=npu),), chains=chains)
    waits = BatchConfig(
        policy=config.policy,
        max_batch=config.max_batch,
        timeout=config.timeout * float(seconds.sum()),
        compaction=config.compaction,
        survivors=config.survivors,
    )
    return Deployment(
        problem=problem,
        placement={chain.name: (("npu",) * len(mix),) for chain in chains},
        exits={chain.name: ExitMix(p=mix) for chain in chains},
        batching={"npu": waits},
    )
