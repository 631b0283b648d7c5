"""A change played in one simulation: phases are what separate simulations say of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from datagen.arrivals import PiecewisePoisson, Poisson, Renewal
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic
from datagen.errors import InvalidInputError
from datagen.simulator import simulate
from surrogate.optimizers.lookup import scaled
from surrogate.optimizers.migration import Outage
from surrogate.optimizers.transition import Change, Timeline, change_deployment, simulate_change

TIMELINE = Timeline(warmup=500.0, change=4500.0, moved=4600.0, end=8600.0)


def deployment(*hosts: str, rate: float) -> Deployment:
    """Two chains of one fragment on two boards of unlike speed and room."""
    problem = Problem(
        devices=(Device(name="a", capacity=3), Device(name="b", speed=2.0, capacity=6)),
        chains=tuple(
            Chain(
                name=name,
                arrivals=Poisson(rate=rate),
                fragments=(Fragment(name="f", service=Deterministic(mean=0.5)),),
            )
            for name in ("x", "y")
        ),
    )
    places = zip(("x", "y"), hosts, strict=True)
    return Deployment(problem=problem, placement={name: ((host,),) for name, host in places})


@pytest.fixture(scope="module")
def change() -> Change:
    outages = (Outage(chain="y", start=0.0, end=100.0),)
    return simulate_change(
        deployment("a", "a", rate=0.8),
        deployment("a", "b", rate=1.4),
        outages,
        TIMELINE,
        seed=4,
    )


def test_phases_lose_what_separate_simulations_lose(change: Change) -> None:
    before, _, after = change.phases
    for phase, row in (
        (before, deployment("a", "a", rate=0.8)),
        (after, deployment("a", "b", rate=1.4)),
    ):
        expected = simulate([row], horizon=2e5, seed=9).deployment
        error = math.hypot(phase.standard_error, float(expected["loss_ratio_se"][0]))
        assert error < 0.03 * phase.loss_ratio
        assert abs(phase.loss_ratio - expected["loss_ratio"][0]) < 4 * error
        assert phase.refused == 0


def test_requests_of_a_chain_that_is_away_are_refused(change: Change) -> None:
    moving = change.phases[1]
    assert moving.refused == pytest.approx(140.0)
    # The other chain goes on: as many requests come, of which its own loss alone.
    assert moving.offered - moving.refused == pytest.approx(140.0, rel=0.1)
    alone = simulate([deployment("a", "b", rate=1.4)], horizon=1e5).chain["loss_ratio"][0]
    assert moving.lost / 140.0 == pytest.approx(alone, abs=0.1)
    assert change.since.refused == moving.refused
    assert change.since.offered == pytest.approx(moving.offered + change.phases[2].offered)


def test_nothing_moved_is_a_change_of_load_alone() -> None:
    old, new = deployment("a", "b", rate=0.8), deployment("a", "b", rate=1.4)
    timeline = replace(TIMELINE, moved=TIMELINE.change)
    found = simulate_change(old, new, (), timeline, seed=1)
    before, moving, after = found.phases
    assert moving.offered == 0
    assert math.isnan(moving.loss_ratio)
    assert found.to_dict()["moving"]["loss_ratio"] is None
    assert before.loss_ratio < 0.5 * after.loss_ratio


def lost_just_after(rate_before: float) -> float:
    """Loss ratio of five requests per second in the second after a change, on a board for two."""
    jammed, calm = deployment("a", "a", rate=rate_before), deployment("a", "a", rate=0.01)
    timeline = Timeline(warmup=1.0, change=20.0, moved=20.0, end=21.0)
    played = change_deployment(jammed, calm, (), timeline)
    soon = PiecewisePoisson(times=(0.0, 20.0, 21.0, 200.0), rates=(0.0, 5.0, 0.0, 1e-9))
    chains = tuple(
        replace(chain, arrivals=soon) if chain.name == "x@after" else chain
        for chain in played.problem.chains
    )
    row = replace(played, problem=replace(played.problem, chains=chains))
    runs = [
        simulate([row], horizon=21.0, replications=1, warmup=0.9, seed=seed)[0].chains["x@after"]
        for seed in range(40)
    ]
    return float(np.nansum([run.lost for run in runs]) / np.nansum([run.offered for run in runs]))


def test_queues_go_on_across_the_change() -> None:
    """A full buffer is not forgotten at the change: it has no room for those who come after."""
    assert lost_just_after(20.0) > lost_just_after(0.01) + 0.2


def test_refused_timelines_and_arrivals() -> None:
    with pytest.raises(InvalidInputError, match="timeline must ascend"):
        Timeline(warmup=5.0, change=4.0, moved=4.0, end=6.0)
    old = deployment("a", "a", rate=1.0)
    chains = tuple(
        replace(chain, arrivals=Renewal(mean=1.0, scv=0.5)) for chain in old.problem.chains
    )
    other = replace(old, problem=replace(old.problem, chains=chains))
    with pytest.raises(InvalidInputError, match=r"x\.arrivals must be Poisson"):
        simulate_change(old, other, (), TIMELINE, seed=0)
    one = replace(old.problem, chains=old.problem.chains[:1])
    fewer = Deployment(problem=one, placement={"x": (("a",),)})
    with pytest.raises(InvalidInputError, match="after must have the chains"):
        change_deployment(old, fewer, (), TIMELINE)


def test_the_same_requests_come_whatever_follows() -> None:
    base = deployment("a", "a", rate=0.8)
    busy = scaled(base, 1.5)
    timeline = Timeline(warmup=10.0, change=200.0, moved=210.0, end=400.0)
    away = (Outage(chain="x", start=0.0, end=10.0),)
    moved = replace(busy, placement={"x": (("b",),), "y": (("a",),)})
    ways = [
        simulate_change(base, after, outages, timeline, seed=3).phases[0]
        for after, outages in ((busy, ()), (moved, away))
    ]
    assert ways[0] == ways[1]
