"""Small hubs with an accelerator whose good settings are known, for the tests of searches."""

from __future__ import annotations

import numpy as np

from datagen.arrivals import Poisson
from datagen.deployment import BatchConfig, Chain, Deployment, Device, Exit, Fragment, Npu, Problem
from datagen.distributions import Deterministic
from datagen.exits import ExitTrace, Thresholds
from datagen.npu import BatchTable

SIZES = np.arange(1, 9)

TABLE = BatchTable(seconds=np.stack([0.04 + 0.002 * SIZES, 0.05 + 0.002 * SIZES]))
"""A call costs twenty times what a sample in it does: batches of eight serve six times as many."""


def trace() -> ExitTrace:
    """Confidences that say how likely an answer is right: seven in ten, then nine."""
    rng = np.random.default_rng(0)
    ease = rng.random((300, 1)) + np.array([[0.2, 0.4]])
    return ExitTrace(
        name="seen", confidences=ease.clip(0, 1), correct=rng.random((300, 2)) < ease.clip(0, 1)
    )


def hub(
    *, rate: float = 20.0, capacity: int = 20, batching: BatchConfig | None = None, cpus: int = 0
) -> Deployment:
    """One chain with an exit on an accelerator that serves one by one, and idle processors."""
    fragments = (
        Fragment(name="a", service=Deterministic(mean=0.1), weights=5.0, exit=Exit()),
        Fragment(name="b", service=Deterministic(mean=0.1), weights=5.0),
    )
    chain = Chain(
        name="camera", arrivals=Poisson(rate=rate), fragments=fragments, deadline=0.6, trace="seen"
    )
    devices = (
        Device(name="hub", capacity=capacity, npu=Npu(table=TABLE)),
        *(Device(name=f"cpu{k}", capacity=6, memory=20.0) for k in range(cpus)),
    )
    paths = (("hub", "hub"), ("hub", "cpu0")) if cpus else (("hub", "hub"),)
    return Deployment(
        problem=Problem(devices=devices, chains=(chain,), traces=(trace(),)),
        placement={"camera": paths},
        routing={"camera": (0.75, 0.25)} if cpus else None,
        exits={"camera": Thresholds(tau=(0.93,))},
        batching=None if batching is None else {"hub": batching},
    )


def array_hub(variant: str | None = None) -> Deployment:
    """One chain on an accelerator whose times follow from a network."""
    fragments = (Fragment(name="a", service=Deterministic(mean=0.1)),)
    chain = Chain(name="camera", arrivals=Poisson(rate=20.0), fragments=fragments)
    npu = Npu(network="mobilenetv2", array="narrow", variant=variant)
    return Deployment(
        problem=Problem(devices=(Device(name="hub", capacity=9, npu=npu),), chains=(chain,)),
        placement={"camera": (("hub",),)},
    )
