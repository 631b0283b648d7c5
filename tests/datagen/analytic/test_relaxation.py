"""Relaxation times against exact ones of birth and death processes."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic.relaxation import (
    passage_time,
    relaxation_rate,
    relaxation_times,
    settling_times,
)
from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic, Exponential, Law
from datagen.evaluation import pack


def line(
    means: list[float], rate: float, *, capacity: int | None = 40, law: type[Law] = Deterministic
) -> Deployment:
    """Return a chain that visits one device after another."""
    names = [f"d{place}" for place in range(len(means))]
    fragments = tuple(
        Fragment(name=f"f{place}", service=law(mean=mean))  # type: ignore[call-arg]
        for place, mean in enumerate(means)
    )
    chain = Chain(name="c", arrivals=Poisson(rate=rate), fragments=fragments)
    devices = tuple(Device(name=name, capacity=capacity) for name in names)
    problem = Problem(devices=devices, chains=(chain,))
    return Deployment(problem=problem, placement={"c": (tuple(names),)})


def markov_queue(load: float, room: int) -> np.ndarray:
    """Return the generator of M/M/1/K with services of mean 1 [K + 1, K + 1]."""
    up, down = np.full(room, load), np.ones(room)
    rates = np.diag(up, 1) + np.diag(down, -1)
    return np.asarray(rates - np.diag(rates.sum(axis=1)))


@pytest.mark.parametrize(("load", "room"), [(0.8, 60), (0.95, 40), (1.0, 30), (1.1, 50)])
def test_the_rate_is_near_the_spectral_gap_of_a_markov_queue(load: float, room: int) -> None:
    exact = np.sort(-np.linalg.eigvals(markov_queue(load, room)).real)[1]
    found = relaxation_rate(np.array([load - 1.0]), np.array([1.0 + load]), np.array([room + 1.0]))
    assert found[0] == pytest.approx(exact, rel=0.12)


@pytest.mark.parametrize(("load", "room"), [(1.0, 30), (1.02, 40), (1.2, 40), (2.0, 60)])
def test_the_passage_takes_as_long_as_that_of_a_markov_queue(load: float, room: int) -> None:
    steps = markov_queue(load, room)[:-1, :-1]  # until the buffer is full
    exact = np.linalg.solve(-steps, np.ones(room))[0]
    found = passage_time(np.array([load - 1.0]), np.array([1.0 + load]), np.array([float(room)]))
    assert found[0] == pytest.approx(exact, rel=0.1)


def test_the_passage_time_has_no_jump_where_the_drift_vanishes() -> None:
    drift = np.array([0.0, 1e-7, 1e-5, 1.3e-5, 1e-4])
    times = passage_time(drift, np.full(5, 0.5), np.full(5, 20.0))
    assert times[0] == pytest.approx(800.0)
    assert np.all(np.abs(np.diff(times)) < 3.0)
    assert np.all(np.diff(times) <= 0.0)


def test_a_slow_device_behind_a_regular_stream_decides() -> None:
    # The first device sends a job every 2 s; the second, two per cent slower, fills at two jobs in
    # a hundred: 40 jobs take 2,000 services.
    batch = pack([line([2.0, 2.04], rate=1.0)])
    first, second = relaxation_times(batch)
    assert second == pytest.approx(2000 * 2.04, rel=0.1)
    assert first < 0.1 * second
    assert settling_times(batch)[0] == second


def test_idle_devices_settle_at_once_and_growing_ones_never() -> None:
    busy = line([0.5], rate=1.0, law=Exponential)
    unused = Device(name="unused", capacity=3)
    problem = Problem(devices=(*busy.problem.devices, unused), chains=busy.problem.chains)
    assert relaxation_times(pack([Deployment(problem=problem, placement=busy.placement)]))[1] == 0.0
    growing = line([1.2], rate=1.0, capacity=None)
    assert settling_times(pack([growing]))[0] == np.inf


def test_times_scale_with_the_unit_of_time() -> None:
    one, other = (pack([line([2.0 * s, 2.04 * s], rate=1.0 / s)]) for s in (1.0, 10.0))
    assert settling_times(other)[0] == pytest.approx(10.0 * settling_times(one)[0], rel=1e-9)
