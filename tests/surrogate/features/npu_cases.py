"""Deployments with an accelerator whose every number is plain."""

from __future__ import annotations

import numpy as np

from datagen.arrivals import Poisson
from datagen.deployment import BatchConfig, Chain, Deployment, Device, Fragment, Npu, Problem
from datagen.distributions import Deterministic
from datagen.npu import BatchTable

SEGMENT = BatchTable(seconds=np.tile(0.1 + 0.1 * np.arange(1, 9), (2, 1)))
"""Two segments; each takes 0.1 s and 0.1 s for each sample."""


def two_cuts(apart: bool, rate: float = 2.0, config: BatchConfig | None = None) -> Deployment:
    """Two chains of one network; the second one leaves the accelerator after its first segment."""
    fragments = tuple(Fragment(name=f"f{n}", service=Deterministic(mean=0.01)) for n in range(2))
    chains = tuple(
        Chain(name=f"c{n}", model="m", arrivals=Poisson(rate=rate), fragments=fragments)
        for n in range(2)
    )
    devices = (
        Device(name="npu", capacity=40, npu=Npu(table=SEGMENT)),
        Device(name="gate", capacity=40),
    )
    return Deployment(
        problem=Problem(devices=devices, chains=chains),
        placement={"c0": (("npu", "npu"),), "c1": (("npu", "gate" if apart else "npu"),)},
        batching={"npu": config or BatchConfig(policy="static", max_batch=4)},
    )


def feeding(
    config: BatchConfig, rate: float, capacity: int, service: float = 0.02, chains: int = 1
) -> Deployment:
    """Chains that share batches of 0.1 s and 0.1 s a sample, then a gate with constant service."""
    fragments = (
        Fragment(name="f0", service=Deterministic(mean=1.0)),
        Fragment(name="f1", service=Deterministic(mean=service)),
    )
    devices = (
        Device(name="npu", capacity=40, npu=Npu(table=SEGMENT)),
        Device(name="gate", capacity=capacity),
    )
    names = [f"c{n}" for n in range(chains)]
    return Deployment(
        problem=Problem(
            devices=devices,
            chains=tuple(
                Chain(
                    name=name,
                    model="m",
                    arrivals=Poisson(rate=rate / chains),
                    fragments=fragments,
                )
                for name in names
            ),
        ),
        placement={name: (("npu", "gate"),) for name in names},
        batching={"npu": config},
    )
