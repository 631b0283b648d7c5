"""Deployments with early exits, small enough to simulate in a test."""

from __future__ import annotations

import numpy as np

from datagen.arrivals import Poisson, Renewal
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment, Link, Problem
from datagen.distributions import Deterministic, Exponential, LogNormal
from datagen.exits import ContextSwitching, ExitMix, ExitTrace, Thresholds

__all__ = ["gateway_with_trace", "two_ways"]


def two_ways(**changes: object) -> Deployment:
    """A chain of four fragments that goes on over one of two edges, and one that uses both."""
    fragments = (
        Fragment(name="a", service=LogNormal(mean=0.1, scv=0.3), demand=3, exit=Exit()),
        Fragment(
            name="b",
            service=Deterministic(mean=0.2),
            demand=5,
            exit=Exit(head=Deterministic(mean=0.01)),
        ),
        Fragment(name="c", service=Exponential(mean=0.3), demand=2),
        Fragment(name="d", service=Deterministic(mean=0.4), demand=4),
    )
    plain = (
        Fragment(name="x", service=Deterministic(mean=0.1), demand=2),
        Fragment(name="y", service=Exponential(mean=0.2), demand=1),
    )
    problem = Problem(
        devices=(
            Device(name="gateway", speed=1.0, capacity=20),
            Device(name="near", speed=0.8, capacity=9),
            Device(name="far", speed=2.0, capacity=12, servers=2),
        ),
        chains=(
            Chain(name="camera", arrivals=Poisson(rate=2.5), fragments=fragments, deadline=2.0),
            Chain(name="sensor", arrivals=Poisson(rate=0.8), fragments=plain),
        ),
        links=(Link(source="gateway", target="far", bandwidth=1e6, latency=0.05),),
    )
    decided: dict[str, object] = {
        "placement": {
            "camera": (("gateway", "gateway", "near", "near"), ("gateway", "far", "far", "near")),
            "sensor": (("near", "far"),),
        },
        "routing": {"camera": (0.6, 0.4)},
        "exits": {"camera": ExitMix(p=(0.3, 0.2, 0.5), accuracy=(0.6, 0.7, 0.9))},
    }
    return Deployment(problem=problem, **(decided | changes))  # type: ignore[arg-type]


def gateway_with_trace(*, holding: float | None, scv: float = 1.0) -> Deployment:
    """A gateway whose jobs leave early by thresholds: all of them if easy, none of them if hard.

    Args:
        holding: Mean while of either context [s]; None where jobs draw independently.
        scv: Of the times between arrivals.
    """
    easy = np.repeat([True, False], 10)
    trace = ExitTrace(
        name="trace",
        confidences=np.stack([np.where(easy, 0.9, 0.2), np.ones(20)], axis=1),
        correct=np.stack([np.tile([1, 1, 1, 1, 0], 4), np.tile([1, 0], 10)], axis=1),
        context=np.where(easy, 0, 1),
    )
    arrivals = Poisson(rate=1.6) if scv == 1.0 else Renewal(mean=1 / 1.6, scv=scv)
    chain = Chain(
        name="camera",
        arrivals=arrivals,
        fragments=(
            Fragment(name="a", service=Deterministic(mean=0.1), exit=Exit()),
            Fragment(name="b", service=Deterministic(mean=0.8)),
        ),
        trace="trace",
        contexts=None if holding is None else ContextSwitching(holding=(holding, holding)),
    )
    problem = Problem(
        devices=(Device(name="gateway", capacity=6),), chains=(chain,), traces=(trace,)
    )
    return Deployment(
        problem=problem,
        placement={"camera": (("gateway", "gateway"),)},
        exits={"camera": Thresholds(tau=(0.5,))},
    )
