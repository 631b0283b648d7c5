from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic.arrival_counts import deterministic_counts, gamma_counts
from datagen.analytic.markovian import erlang_b, mmck
from datagen.analytic.mg1k import mg1k
from datagen.analytic.tabulated import (
    loss_and_jobs,
    loss_probability,
    loss_probability_multi,
    mean_jobs,
    mean_jobs_multi,
)
from datagen.errors import InvalidInputError
from tests.datagen.analytic.phase_type import erlang_phases, mphck

SMALLEST_LOSS = 1e-6
"""Accuracy is promised for losses above this one; below it they are called none."""

CAPACITIES = (2, 3, 4, 5, 7, 11, 13, 17, 25, 40, 70, 130, 300)


def worst_errors(scv: float, loads: np.ndarray) -> tuple[float, float]:
    """Largest relative error of loss and of mean jobs against exact gamma M/G/1/K."""
    losses, jobs = [0.0], [0.0]
    for capacity in CAPACITIES:
        for load in loads:
            exact = mg1k(
                1.0,
                gamma_counts(load, scv, capacity) if scv else deterministic_counts(load, capacity),
            )
            loss, mean = loss_and_jobs(load, scv, capacity)
            jobs.append(abs(float(mean) / exact.mean_jobs - 1.0))
            if exact.loss_probability > SMALLEST_LOSS:
                losses.append(abs(float(loss) / exact.loss_probability - 1.0))
    return max(losses), max(jobs)


def test_constant_service_to_a_thousandth() -> None:
    loads = np.exp(np.random.default_rng(1).uniform(np.log(1e-3), np.log(60.0), 60))
    near_one = np.array([0.97, 0.99, 0.999, 1.0, 1.004, 1.02])
    loss, jobs = worst_errors(0.0, np.concatenate([loads, near_one]))
    assert loss < 5e-4
    assert jobs < 1e-3


@pytest.mark.parametrize(
    ("scv", "loss_error", "jobs_error"), [(0.25, 0.01, 0.01), (0.5, 0.01, 0.01), (2.0, 0.01, 0.02)]
)
def test_gamma_service_at_moderate_and_high_load(
    scv: float, loss_error: float, jobs_error: float
) -> None:
    loss, jobs = worst_errors(scv, np.array([0.65, 0.8, 0.9, 0.97, 1.0, 1.05, 1.2, 2.0, 8.0]))
    assert loss < loss_error
    assert jobs < jobs_error


@pytest.mark.parametrize("scv", [0.25, 0.5, 2.0])
def test_gamma_service_at_small_load(scv: float) -> None:
    loss, jobs = worst_errors(scv, np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]))
    assert loss < 0.2
    assert jobs < 0.02


@pytest.mark.parametrize("servers", [1, 2, 5])
def test_exponential_service_is_exact(servers: int) -> None:
    for load in (1e-3, 0.4, 0.99, 1.0, 1.7, 30.0):
        for capacity in (servers, servers + 1, servers + 6, servers + 400):
            exact = mmck(load * servers, 1.0, servers, capacity)
            loss, jobs = loss_and_jobs(load, 1.0, capacity, servers)
            assert loss == pytest.approx(exact.loss_probability, rel=1e-9, abs=1e-250)
            assert jobs == pytest.approx(exact.mean_jobs, rel=1e-9)


@pytest.mark.parametrize("scv", [0.0, 0.4, 3.0])
def test_no_room_to_wait_is_erlang_b(scv: float) -> None:
    servers = np.array([1, 2, 7, 20])
    for load in (0.01, 0.8, 1.0, 3.0):
        loss = loss_probability_multi(load, scv, servers, servers)
        np.testing.assert_allclose(loss, erlang_b(servers, load * servers), rtol=1e-9)
        np.testing.assert_allclose(
            mean_jobs_multi(load, scv, servers, servers), load * servers * (1 - loss), rtol=1e-7
        )


def test_servers_beyond_the_capacity_never_work() -> None:
    np.testing.assert_allclose(loss_probability_multi(0.5, 0.3, 2, 8), erlang_b(2, 4.0), rtol=1e-12)


@pytest.mark.parametrize("scv", [0.0, 0.5, 1.0, 6.0])
@pytest.mark.parametrize("load", [1e-3, 0.3, 0.8, 0.99])
def test_unlimited_capacity_is_pollaczek_khinchine(load: float, scv: float) -> None:
    assert loss_probability(load, scv, np.inf) == 0.0
    jobs = load + load**2 * (1 + scv) / (2 * (1 - load))
    assert mean_jobs(load, scv, np.inf) == pytest.approx(jobs, rel=1e-6)


def test_unlimited_and_overloaded_never_settles() -> None:
    loss, jobs = loss_and_jobs([1.0, 1.5], 0.5, np.inf)
    np.testing.assert_allclose(loss, [0.0, 1 / 3], atol=1e-9)
    assert np.all(np.isinf(jobs))


@pytest.mark.parametrize(("stages", "servers"), [(2, 2), (2, 4), (4, 2), (4, 3)])
def test_several_servers_against_the_markov_chain(stages: int, servers: int) -> None:
    for room in (1, 3, 8):
        for load in (0.5, 0.8, 1.0, 1.3):
            exact_loss, exact_jobs = mphck(
                load * servers, erlang_phases(stages), servers, servers + room
            )
            loss, jobs = loss_and_jobs(load, 1 / stages, servers + room, servers)
            assert jobs == pytest.approx(exact_jobs, rel=0.01)
            if exact_loss > SMALLEST_LOSS:
                assert loss == pytest.approx(exact_loss, rel=0.05)


LOADS = np.exp(np.linspace(np.log(1e-6), np.log(1e3), 4001))
SCVS = np.array([0.0, 0.1, 0.5, 1.0, 2.0, 10.0, 20.0])
ROOMS = np.array([0.0, 0.5, 1.0, 1.5, 2, 3, 5, 9, 11, 14, 30, 99, 150, 400, 1500, np.inf])
ROUNDING = 1e-14
JOBS_DIP = {1: 5e-4, 3: 5e-3}
"""How far mean jobs may fall where they should rise, by servers: interpolation, and the fits."""


@pytest.mark.parametrize("servers", [1, 3])
def test_loss_is_physical_monotone_and_continuous(servers: int) -> None:
    load = LOADS[:, None, None]
    loss, jobs = loss_and_jobs(load, SCVS[None, :, None], servers + ROOMS, servers)
    assert np.all(loss >= np.maximum(0.0, 1.0 - 1.0 / load) - ROUNDING)
    assert np.all(loss < 1.0)
    assert np.all(np.diff(loss, axis=0) >= -ROUNDING * loss[1:])
    assert np.all(np.diff(loss, axis=1) >= -ROUNDING)
    assert np.all(np.diff(loss, axis=2) <= ROUNDING)
    # No loss climbs faster than the limit 1 - 1/load does at load 1, with slope 1 in log(load).
    assert np.abs(np.diff(loss, axis=0)).max() <= np.log(LOADS[1] / LOADS[0])
    assert np.all(jobs >= load * servers * (1.0 - loss) * (1.0 - ROUNDING))
    assert np.all(jobs <= (servers + ROOMS) * (1.0 + 100 * ROUNDING))
    finite = jobs[..., :-1]
    for axis in (0, 2):
        highest = np.maximum.accumulate(finite, axis=axis)
        assert np.all(finite >= (1.0 - JOBS_DIP[servers]) * highest)


def test_loss_is_continuous_in_capacity_across_the_nodes() -> None:
    capacity = np.linspace(1.0, 60.0, 20001)
    for load in (0.5, 1.0, 1.4):
        loss, jobs = loss_and_jobs(load, 0.3, capacity)
        assert np.abs(np.diff(np.log(loss))).max() < 0.02
        assert np.abs(np.diff(jobs)).max() < 0.02


def test_shapes_broadcast_and_elements_do_not_meet() -> None:
    rng = np.random.default_rng(3)
    load, scv = rng.uniform(0, 2, (5, 1)), rng.uniform(0, 3, (1, 4))
    capacity = rng.integers(4, 30, (5, 4))
    servers = rng.integers(1, 4, (5, 4))
    loss, jobs = loss_and_jobs(load, scv, capacity, servers)
    assert loss.shape == jobs.shape == (5, 4)
    alone = loss_and_jobs(load[2, 0], scv[0, 3], capacity[2, 3], servers[2, 3])
    assert (loss[2, 3], jobs[2, 3]) == alone
    assert loss_probability([], 1.0, 3).shape == (0,)


def test_an_idle_device_holds_nothing() -> None:
    loss, jobs = loss_and_jobs(0.0, 0.5, [1, 5, np.inf])
    assert np.all(loss < 1e-11)
    assert np.all(jobs < 1e-11)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-0.1, 0.0, 5, 1), "load must be >= 0, got load=-0.1."),
        ((np.nan, 0.0, 5, 1), "load must be >= 0, got load=nan."),
        ((0.5, -1.0, 5, 1), "scv must be >= 0, got scv=-1.0."),
        ((0.5, 0.0, 0, 1), "capacity must be >= 1, got capacity=0."),
        ((0.5, 0.0, 5, 0), "servers must be >= 1, got servers=0."),
    ],
)
def test_bad_arguments_are_named(arguments: tuple[float, float, float, int], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        loss_and_jobs(*arguments)
