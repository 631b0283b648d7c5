"""Checks shared by tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic

Z_MAX = 4.0
"""Standard errors an estimate may be off: a right one fails less than once in 10,000 tests."""


def assert_estimates(replications: ArrayLike, exact: float, *, max_rel_se: float = 0.01) -> None:
    """Check that independent replications estimate ``exact``, and sharply enough to mean it.

    Args:
        replications: One estimate per independent replication, shape [R], R >= 2.
        exact: The value they estimate, not 0.
        max_rel_se: Largest standard error of their mean, as a fraction of ``exact``; a z-test alone
            passes anything when the runs are short.
    """
    x = np.asarray(replications, dtype=float)
    se = x.std(ddof=1) / np.sqrt(x.size)
    assert se <= max_rel_se * abs(exact), f"too noisy to test: {se=:.3g}, {exact=:.6g}"
    z = (x.mean() - exact) / se
    assert abs(z) <= Z_MAX, f"mean={x.mean():.6g}, {exact=:.6g}, {z=:.2f}"


def camera_document() -> dict[str, Any]:
    """A small deployment as a document: two devices, one chain of two fragments."""
    return {
        "devices": [
            {"name": "pi", "speed": 1.0, "capacity": 20},
            {"name": "zero", "speed": 0.4, "capacity": 10},
        ],
        "chains": [
            {
                "name": "camera",
                "arrivals": {"law": "poisson", "rate": 2.0},
                "fragments": [
                    {"name": "conv", "service": {"law": "deterministic", "mean": 0.12}},
                    {"name": "head", "service": {"law": "deterministic", "mean": 0.05}},
                ],
            }
        ],
        "placement": {"camera": ["pi", "zero"]},
    }


def tandem(*hosts: int, rate: float = 1.0, capacity: int | None = 5) -> Deployment:
    """One chain whose fragments of 0.1, 0.2, ... s run on the devices of the given numbers."""
    fragments = tuple(
        Fragment(name=f"f{position}", service=Deterministic(mean=0.1 * (position + 1)))
        for position in range(len(hosts))
    )
    problem = Problem(
        devices=tuple(Device(name=f"d{n}", capacity=capacity) for n in range(max(hosts) + 1)),
        chains=(Chain(name="c", arrivals=Poisson(rate=rate), fragments=fragments),),
    )
    return Deployment(problem=problem, placement={"c": (tuple(f"d{n}" for n in hosts),)})
