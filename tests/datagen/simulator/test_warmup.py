"""MSER-5: how long runs warm up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.arrivals import PiecewisePoisson, Poisson, Recorded
from datagen.deployment import Deployment, Problem
from datagen.distributions import Deterministic
from datagen.errors import InvalidInputError
from datagen.simulator import simulate
from datagen.simulator.warmup import mser
from tests.datagen.simulator.test_estimation import queue, single, tandem


@given(st.lists(st.floats(0, 10), min_size=2, max_size=40))
def test_the_cut_is_where_the_rest_is_surest(values: list[float]) -> None:
    series = np.array(values)
    errors = [
        ((series[d:] - series[d:].mean()) ** 2).sum() / (len(series) - d) ** 2
        for d in range(len(series) // 2 + 1)
    ]
    cut = mser(series)
    assert 0 <= cut <= len(series) // 2
    assert errors[cut] <= min(errors) + 1e-9


def filling() -> Any:
    """A long line that fills at 0.5 jobs per second for about 400 s, and stays full then."""
    return single(Deterministic(mean=1.0), Poisson(rate=1.5), 200)


@pytest.mark.parametrize("engine", ["numba", "simpy"])
def test_a_transient_is_cut_off(engine: Any) -> None:
    found = simulate([filling()], horizon=8000.0, warmup="mser5", engine=engine, seed=2)
    # The waiting time of an arriving job has settled once the line is full.
    assert 250.0 < found.deployment["warmup"][0] <= 1000.0
    assert found.chain["latency"][0] == pytest.approx(200.0, rel=0.01)
    none = simulate([filling()], horizon=8000.0, warmup=0.0, engine=engine, seed=2)
    assert none.chain["latency"][0] < 190.0


def test_a_pilot_that_is_too_short_is_played_on() -> None:
    # 20,000 s to fill: far beyond the first pilot of four runs, in which latency only rises.
    long = single(Deterministic(mean=1.0), Poisson(rate=1.5), 10_000)
    found = simulate([long], horizon=4e5, warmup="mser5", seed=2)
    assert 15_000.0 < found.deployment["warmup"][0] <= 50_000.0
    assert found.chain["latency"][0] == pytest.approx(10_000.0, rel=0.01)


def test_the_slowest_chain_counts() -> None:
    # The second chain has a job in 200 s, and its device fills for some 1e5 s.
    fast, slow = queue(0.5, 3).problem, single(Deterministic(mean=300.0), Poisson(rate=5e-3), 200)
    chains = (replace(fast.chains[0], name="fast"), slow.problem.chains[0])
    devices = (replace(fast.devices[0], name="e"), slow.problem.devices[0])
    both = Deployment(
        problem=Problem(devices=devices, chains=chains),
        placement={"fast": (("e",),), "c": (("d",),)},
    )
    found = simulate([both], horizon=4e6, warmup="mser5", seed=2)
    assert found.deployment["warmup"][0] > 5e4
    assert found.chain["latency"][1] == pytest.approx(200 * 300.0, rel=0.02)


def test_where_no_end_is_seen_half_is_cut_off() -> None:
    rising = single(Deterministic(mean=1.0), Poisson(rate=1.5), 10_000)
    found = simulate([rising], horizon=8000.0, replications=1, warmup="mser5", seed=2)
    assert found.deployment["warmup"][0] == 4000.0


def test_what_is_steady_from_the_start_loses_little() -> None:
    shares = [
        simulate([queue(0.5, 3)], horizon=20_000.0, warmup="mser5", seed=seed).deployment["warmup"]
        for seed in range(8)
    ]
    assert np.median(shares) < 0.2 * 5000.0
    assert max(shares) <= 2500.0


def test_the_warm_up_does_not_depend_on_the_engine() -> None:
    one, other = (
        simulate([tandem()], horizon=3000.0, warmup="mser5", engine=engine).deployment["warmup"][0]
        for engine in ("numba", "simpy")
    )
    assert one == other


def test_the_warm_up_is_said() -> None:
    assert simulate([queue()], horizon=4000.0, warmup=0.1).deployment["warmup"][0] == 100.0
    few = simulate([queue()], horizon=40.0, warmup="mser5")
    assert few.deployment["warmup"][0] == 0.0  # too few jobs to tell


@pytest.mark.parametrize(
    "arrivals",
    [
        PiecewisePoisson(times=(0.0, 100.0), rates=(0.1, 0.2)),
        Recorded(timestamps=(1.0, 2.0, 3.0)),
    ],
)
def test_schedules_have_no_warm_up_to_be_found(arrivals: Any) -> None:
    deployment = single(Deterministic(mean=0.5), arrivals, 3)
    with pytest.raises(InvalidInputError, match="warmup must be a share where"):
        simulate([deployment], horizon=1000.0, warmup="mser5")
