"""Runs that settle first: what fills slowly is full before anything is counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from datagen.analytic.relaxation import settling_times
from datagen.arrivals import PiecewisePoisson
from datagen.errors import InvalidInputError
from datagen.evaluation import pack
from datagen.simulator import SimulationOptions, simulate, simulate_batch
from tests.datagen.analytic.test_relaxation import line

SLOW = line([2.0, 2.04], rate=1.0)
"""Two jobs in a hundred stay behind at the second device, until its 40 places are taken."""

QUICK = line([0.5, 0.4], rate=1.0)


@pytest.mark.parametrize("engine", ["numba", "simpy"])
def test_a_settled_run_shows_the_steady_state(engine: Any) -> None:
    found, raw = (
        simulate([SLOW], horizon=4000.0, replications=1, engine=engine, settle=settle, seed=1)
        for settle in (2.0, 0.0)
    )
    full = 40 * 2.04
    assert found.step["sojourn"][1] == pytest.approx(full, rel=0.03)
    assert raw.step["sojourn"][1] < 0.7 * full
    warmup = 2.0 * settling_times(pack([SLOW]))[0]
    assert found.deployment["warmup"][0] == pytest.approx(warmup)


def test_the_counted_time_is_what_was_asked_for() -> None:
    options = SimulationOptions(horizon=4000.0, replications=2, settle=2.0, warmup=0.1)
    counted = simulate_batch(pack([SLOW]), options)
    # Jobs that arrive in the counted nine tenths of two runs of 2,000 s, at one a second.
    assert counted.chain["offered"][0] == pytest.approx(3600, abs=5 * np.sqrt(3600))


def test_what_settles_within_the_warmup_is_played_as_ever() -> None:
    with_settling = simulate([QUICK], horizon=4000.0, settle=3.0, seed=4)
    without = simulate([QUICK], horizon=4000.0, seed=4)
    for name, values in without.chain.items():
        np.testing.assert_array_equal(with_settling.chain[name], values, err_msg=name)


def test_engines_agree_on_settled_runs() -> None:
    one, other = (
        simulate([SLOW, QUICK], horizon=3000.0, settle=1.0, engine=engine, seed=5)
        for engine in ("numba", "simpy")  # type: ignore[misc]
    )
    for name, values in one.chain.items():
        np.testing.assert_allclose(other.chain[name], values, rtol=1e-9, err_msg=name)


def test_the_cap_on_events_holds() -> None:
    options = SimulationOptions(offered=500, replications=1, settle=50.0, max_events=3000)
    found = simulate_batch(pack([SLOW]), options)
    assert found.deployment["events"][0] < 3000 * 1.1
    assert found.deployment["warmup"][0] > 0.05 * 500


def test_a_schedule_begins_when_it_begins() -> None:
    chain = replace(
        SLOW.problem.chains[0],
        arrivals=PiecewisePoisson(times=(0.0, 400.0), rates=(0.5, 1.0)),
    )
    deployment = replace(SLOW, problem=replace(SLOW.problem, chains=(chain,)))
    found = simulate([deployment], horizon=4000.0, settle=3.0)
    assert found.deployment["warmup"][0] == pytest.approx(0.05 * 4000.0)


@pytest.mark.parametrize("settle", [-1.0, float("inf"), float("nan")])
def test_impossible_multiples_are_refused(settle: float) -> None:
    with pytest.raises(InvalidInputError, match="settle"):
        SimulationOptions(settle=settle)


def test_what_seems_never_to_settle_is_played_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    # As where classifiers, unknown to the approximation, take jobs off an unlimited buffer.
    never = np.array([np.inf])
    monkeypatch.setattr("datagen.simulator.simulation.settling_times", lambda batch: never)
    found = simulate([QUICK], horizon=4000.0, settle=3.0, seed=4)
    assert found.deployment["warmup"][0] == pytest.approx(0.05 * 1000.0)
