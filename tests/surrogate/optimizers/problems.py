"""Small problems whose good placements are known, for the tests of searches."""

from __future__ import annotations

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic
from surrogate.optimizers import proof

UNIT = 10e6
"""Bytes of the lightest fragment."""


def short_proof() -> None:
    """Make selection and verification short: tests look at the rules, not at the figures."""
    proof.SELECTION_EVENTS = 3e4
    proof.VERIFICATION_EVENTS = 2e5


def small_problem(*, memory: float | None = 5 * UNIT, allowed: bool = True) -> Problem:
    """Three chains on four boards of different speeds; memory binds where it is given."""
    devices = [
        Device(name=f"d{i}", speed=speed, capacity=4 + i, memory=memory)
        for i, speed in enumerate((1.0, 0.8, 0.5, 0.3))
    ]
    chains = []
    for c, rate in enumerate((1.6, 1.2, 0.9)):
        fragments = [
            Fragment(
                name=f"f{j}",
                service=Deterministic(mean=0.08 + 0.05 * j + 0.02 * c),
                weights=UNIT * (1 + (j + c) % 2),
                allowed=("d0", "d1", "d3") if allowed and (c, j) == (1, 1) else None,
            )
            for j in range(3)
        ]
        chains.append(Chain(name=f"c{c}", arrivals=Poisson(rate=rate), fragments=tuple(fragments)))
    return Problem(devices=tuple(devices), chains=tuple(chains))


def poor_start(problem: Problem) -> Deployment:
    """A start that fits and loses much: the slow boards do most of the work."""
    placement = {
        "c0": (("d3", "d3", "d3"),),
        "c1": (("d2", "d3", "d2"),),
        "c2": (("d2", "d0", "d0"),),
    }
    return Deployment(problem=problem, placement=placement)
