"""A small early-exit network on a gateway, or on a gateway and two edges."""

from __future__ import annotations

import numpy as np

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment, Problem
from datagen.distributions import Deterministic, LogNormal
from datagen.exits import ExitTrace, Thresholds

__all__ = ["edges", "gateway", "small_trace"]


def small_trace(samples: int = 400) -> ExitTrace:
    """Four exits whose confidences are worth what they say."""
    rng = np.random.default_rng(3)
    difficulty = rng.uniform(size=(samples, 1))
    right = 1.0 / (1.0 + np.exp(8.0 * (difficulty - np.array([0.5, 0.7, 0.8, 0.9]))))
    correct = rng.uniform(size=right.shape) < right
    return ExitTrace(name="trace", confidences=right, correct=correct)


def _chain(rate: float, samples: int) -> tuple[Chain, ExitTrace]:
    means = (0.01, 0.06, 0.1, 0.2)
    fragments = tuple(
        Fragment(
            name=f"f{n}",
            service=LogNormal(mean=mean, scv=0.05),
            exit=Exit(head=Deterministic(mean=0.002)) if n < len(means) - 1 else None,
        )
        for n, mean in enumerate(means)
    )
    chain = Chain(name="camera", arrivals=Poisson(rate=rate), fragments=fragments, trace="trace")
    return chain, small_trace(samples)


def gateway(rate: float = 6.0, samples: int = 400) -> Deployment:
    """All on one device; nobody leaves early."""
    chain, trace = _chain(rate, samples)
    device = Device(name="gateway", capacity=8)
    problem = Problem(devices=(device,), chains=(chain,), traces=(trace,))
    return Deployment(
        problem=problem,
        placement={"camera": (("gateway",) * 4,)},
        exits={"camera": Thresholds(tau=(1.01,) * 3)},
    )


def edges(rate: float = 12.0, samples: int = 400) -> Deployment:
    """The first half on a gateway, the second on a near or a far edge."""
    chain, trace = _chain(rate, samples)
    devices = (
        Device(name="gateway", capacity=8),
        Device(name="near", capacity=8, speed=1.5),
        Device(name="far", capacity=8, speed=3.0),
    )
    problem = Problem(devices=devices, chains=(chain,), traces=(trace,))
    first = ("gateway",) * 2
    return Deployment(
        problem=problem,
        placement={"camera": ((*first, "near", "near"), (*first, "far", "far"))},
        routing={"camera": (0.5, 0.5)},
        exits={"camera": Thresholds(tau=(1.01,) * 3)},
    )
