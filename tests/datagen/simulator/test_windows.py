"""The course of measures over time, window by window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from datagen.analytic.mg1k import md1k
from datagen.arrivals import PiecewisePoisson
from datagen.distributions import Deterministic
from datagen.errors import InvalidInputError
from datagen.evaluation import pack
from datagen.simulator import SimulationOptions, simulate, simulate_batch
from tests.datagen.simulator.test_estimation import queue, single, tandem

ENGINES = pytest.mark.parametrize("engine", ["numba", "simpy"])


@ENGINES
@pytest.mark.parametrize("windows", [1, 4, 32])
def test_windows_add_up(engine: Any, windows: int) -> None:
    deployments = [tandem(), queue()]
    measures = simulate(deployments, horizon=1500.0, engine=engine, windows=windows)
    window, chain = measures.window, measures.chain
    assert measures.windows == windows
    assert measures.window_start.tolist() == [0, 2 * windows, 3 * windows]
    for name in ("offered", "completed", "lost"):
        assert np.array_equal(window[name].reshape(3, windows).sum(axis=1), chain[name])
    rate = window["throughput"].reshape(3, windows).mean(axis=1)
    np.testing.assert_allclose(rate, chain["throughput"])
    edges = np.linspace(75.0, 1500.0, windows + 1)  # every run plays all of the horizon
    np.testing.assert_allclose(window["start"].reshape(3, windows), [edges[:-1]] * 3)
    np.testing.assert_allclose(window["end"].reshape(3, windows), [edges[1:]] * 3)
    if windows == 1:
        for name in ("throughput", "loss_ratio", "latency"):
            for suffix in ("", "_se"):
                np.testing.assert_allclose(window[name + suffix], chain[name + suffix])


def test_windows_show_a_change() -> None:
    schedule = PiecewisePoisson(times=(0.0, 525.0, 1000.0), rates=(0.2, 3.0, 0.2))
    deployment = single(Deterministic(mean=0.5), schedule, 3)
    # Windows of 237.5 s from 50 s on: two of them before the rush hour, two of them in it.
    measures = simulate([deployment], horizon=1000.0, windows=4, replications=20)
    early, late = measures.window["loss_ratio"][:2], measures.window["loss_ratio"][2:]
    exact = md1k(3.0, 0.5, 3)
    assert (early < 0.01).all()
    assert late == pytest.approx([exact.loss_probability] * 2, abs=0.02)
    named = measures[0].windows["c"]
    assert [row.loss_ratio for row in named] == measures.window["loss_ratio"].tolist()
    rates = measures.window["throughput"]
    assert rates == pytest.approx([0.2, 0.2, exact.throughput, exact.throughput], abs=0.05)


def test_standard_errors_are_those_of_repeated_runs() -> None:
    batch = pack([queue(1.0, 3)] * 60)
    options = SimulationOptions(horizon=300.0, replications=8, windows=4, seed=5)
    window = simulate_batch(batch, options).window
    for name in ("loss_ratio", "throughput", "latency"):
        values, errors = window[name].reshape(60, 4), window[f"{name}_se"].reshape(60, 4)
        # The larger of two errors is somewhat too large on average.
        ratio = np.sqrt((errors**2).mean()) / values.std(axis=0, ddof=1).mean()
        assert 0.9 < ratio < 1.4, name


def test_one_batch_of_one_run_has_no_error() -> None:
    window = simulate([queue()], horizon=4000.0, replications=1, windows=32).window
    assert np.isnan(window["loss_ratio_se"]).all()
    assert np.isfinite(window["loss_ratio"]).all()
    two = simulate([queue()], horizon=4000.0, replications=1, windows=16).window
    assert (two["loss_ratio_se"] > 0).any()


def test_few_jobs_have_no_latency() -> None:
    window = simulate([queue()], horizon=200.0, replications=2, windows=16).window
    few = window["completed"] < 30
    assert few.any()
    assert np.array_equal(np.isnan(window["latency"]), few)


def test_the_engine_does_not_matter() -> None:
    one, other = (
        simulate([tandem()], horizon=800.0, windows=8, engine=engine)
        for engine in ("numba", "simpy")
    )
    assert one.window.keys() == other.window.keys()
    for name, values in one.window.items():
        np.testing.assert_allclose(other.window[name], values, rtol=1e-9, err_msg=name)


def test_unstable_rows_have_undefined_windows() -> None:
    batch = pack([queue(1.2, None), queue()])
    measures = simulate_batch(batch, SimulationOptions(horizon=500.0, windows=2))
    assert np.isnan(measures.window["offered"]).tolist() == [True, True, False, False]


def test_nothing_is_said_where_nothing_was_asked() -> None:
    measures = simulate([queue()], horizon=100.0)
    assert (measures.windows, measures.window.rows) == (0, 0)
    assert measures[0].windows == {"c": ()}


@pytest.mark.parametrize("windows", [0, 3, 64, -1, 2.0, 2.5])
def test_other_numbers_of_windows_are_refused(windows: Any) -> None:
    with pytest.raises(InvalidInputError, match="windows must be one of 1, 2, 4, 8, 16, 32, got"):
        SimulationOptions(windows=windows)
