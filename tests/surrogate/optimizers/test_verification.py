"""Verification: its intervals contain the truth, also where devices remember for long."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from datagen import Chain, Deployment, Device, Fragment, Problem
from datagen.analytic import mm1k
from datagen.arrivals import Poisson
from datagen.distributions import Exponential
from datagen.evaluation import Candidates
from datagen.simulator import SimulationEvaluator
from surrogate.optimizers import PlacementSpace, verification
from surrogate.optimizers.verification import (
    LEAST_WARMUP,
    RUN_MEMORIES,
    WARMUP_MEMORIES,
    Verification,
    same_window,
)
from tests.surrogate.optimizers.problems import poor_start, small_problem

CAPACITY = 40
"""Jobs of the test's device: enough to remember hundreds of services near load 1."""

SHORT = Verification(events=4e3)
"""A verification of milliseconds, in which runs of the first length would be far too short."""

LEAST_COVERAGE = 0.93
"""Of intervals that say 95 %."""


def queue(load: float) -> Candidates:
    """One exponential server with a large buffer, whose loss is known exactly."""
    fragment = Fragment(name="f", service=Exponential(mean=1.0))
    chain = Chain(name="c", arrivals=Poisson(rate=load), fragments=(fragment,))
    problem = Problem(devices=(Device(name="d", capacity=CAPACITY),), chains=(chain,))
    space = PlacementSpace(Deployment(problem=problem, placement={"c": (("d",),)}))
    return space.repeated_start(1)


def held(load: float, seeds: range) -> NDArray[np.bool_]:
    """Tell of each seed whether the interval contains the exact loss ratio."""
    exact, candidates = mm1k(load, 1.0, CAPACITY).loss_probability, queue(load)
    found = [SHORT.measured(candidates, seed).deployment for seed in seeds]
    return np.array([
        row["loss_ratio_low"][0] <= exact <= row["loss_ratio_high"][0] for row in found
    ])


@pytest.mark.parametrize("load", [0.95, 1.0])
def test_what_remembers_long_is_played_long(load: float) -> None:
    assert held(load, range(40)).mean() >= LEAST_COVERAGE - 0.05  # forty tell no better


@pytest.mark.slow
def test_intervals_contain_exact_losses_as_often_as_they_say() -> None:
    by_load = {load: held(load, range(100)) for load in (0.8, 0.9, 0.97, 1.0, 1.05, 1.3)}
    shares = {load: float(inside.mean()) for load, inside in by_load.items()}
    assert np.mean(list(shares.values())) >= LEAST_COVERAGE, shares
    assert min(shares.values()) >= LEAST_COVERAGE - 0.05, shares


def test_runs_that_begin_empty_would_lose_too_little() -> None:
    """The reason for all this: as many runs of the first length miss the exact value."""
    load, exact = 1.0, mm1k(1.0, 1.0, CAPACITY).loss_probability
    base = queue(load)
    inside = []
    for seed in range(20):
        options = same_window(base.base.problem, events=SHORT.events, replications=8, seed=seed)
        row = SimulationEvaluator(options).evaluate(base).deployment
        inside.append(row["loss_ratio_low"][0] <= exact <= row["loss_ratio_high"][0])
    assert np.mean(inside) < 0.85


def test_windows_suit_the_memory_up_to_the_cap() -> None:
    problem = small_problem()
    plain = same_window(problem, events=1e4, replications=8, seed=3)
    assert plain.horizon is not None
    run = plain.horizon / 8

    short = SHORT.options(problem, 1e4, 1e6, 0.0, 3)
    assert (short.horizon, short.warmup) == (plain.horizon, LEAST_WARMUP)

    longer = SHORT.options(problem, 1e4, 1e6, run, 3)
    assert longer.horizon == pytest.approx(RUN_MEMORIES * plain.horizon)
    assert longer.warmup == pytest.approx(WARMUP_MEMORIES / RUN_MEMORIES)

    for memory in (1e6 * run, np.inf):
        capped = SHORT.options(problem, 1e4, 3e4, memory, 3)
        assert capped.horizon == pytest.approx(3.0 * plain.horizon)
        assert capped.warmup == pytest.approx(WARMUP_MEMORIES / RUN_MEMORIES)


def test_rounds_go_on_until_losses_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = PlacementSpace(poor_start(small_problem())).repeated_start(1)
    monkeypatch.setattr(verification, "settling_times", lambda batch: np.zeros(len(batch)))
    lengths: list[float] = []
    whole = SimulationEvaluator.evaluate

    def noting(self: SimulationEvaluator, some: Candidates) -> object:
        lengths.append(self.options.horizon or 0.0)
        return whole(self, some)

    monkeypatch.setattr(SimulationEvaluator, "evaluate", noting)
    rough = Verification(events=1e4, precision=0.5).measured(candidates, 1)
    assert len(lengths) == 1
    sharp = Verification(events=1e4, precision=0.02).measured(candidates, 1)
    assert 2 <= len(lengths[1:]) <= 3
    assert np.allclose(np.diff(np.log(lengths[1:])), np.log(4.0))
    width = [float(m.deployment["loss_ratio_se"][0]) for m in (rough, sharp)]
    assert width[1] < 0.7 * width[0]
    lengths.clear()
    Verification(events=1e4, precision=1e-9).measured(candidates, 1)
    assert max(lengths) / lengths[0] <= Verification().most
