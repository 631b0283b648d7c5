"""When simulation stops: by counts, by precision, at caps; and what it refuses to begin."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from datagen.arrivals import PiecewisePoisson, Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic
from datagen.errors import InvalidInputError
from datagen.evaluation import Measures, pack
from datagen.simulator import SimulationOptions, simulate_batch
from datagen.simulator.options import MOST_EVENTS
from datagen.simulator.stopping import NEGLIGIBLE_LOSS
from tests.datagen.simulator.test_estimation import queue, single, tandem


def run(*deployments: Deployment, **options: Any) -> Measures:
    return simulate_batch(pack(deployments), SimulationOptions(**options))


def lossy() -> Deployment:
    """Nine of ten jobs of the first chain are lost; the second is slow and loses nothing."""
    problem = Problem(
        devices=(Device(name="a", capacity=1), Device(name="b")),
        chains=tuple(
            Chain(
                name=name,
                arrivals=Poisson(rate=rate),
                fragments=(Fragment(name="f", service=Deterministic(mean=0.9)),),
            )
            for name, rate in (("x", 10.0), ("y", 0.5))
        ),
    )
    return Deployment(problem=problem, placement={"x": (("a",),), "y": (("b",),)})


@pytest.mark.parametrize("warmup", [0.05, 0.5])
def test_counts_are_reached_by_every_chain(warmup: float) -> None:
    measures = run(tandem(), counts=True, warmup=warmup, seed=3)
    chain = measures.chain
    assert chain["offered"].min() >= 10_000
    assert chain["completed"].min() >= 1_000
    assert chain["offered"].min() < 13_000  # and not by far
    assert measures.deployment["precise"][0]


def test_completed_jobs_may_take_longer() -> None:
    few = run(lossy(), counts=True, min_offered=200, min_completed=0)
    many = run(lossy(), counts=True, min_offered=200, min_completed=1500)
    assert 200 <= few.chain["offered"].min() < 300
    assert many.chain["completed"].min() >= 1500
    assert many.deployment["precise"][0]


def test_counts_out_of_reach_are_said() -> None:
    fragment = Fragment(name="f", service=Deterministic(mean=0.3), demand=2)
    chain = Chain(name="c", arrivals=Poisson(rate=1.0), fragments=(fragment,))
    problem = Problem(devices=(Device(name="d", capacity=1),), chains=(chain,))
    never = Deployment(problem=problem, placement={"c": (("d",),)})
    measures = run(never, queue(), counts=True, max_events=6e4, min_offered=500)
    assert measures.deployment["precise"].tolist() == [False, True]
    # Half of the expected events are completions, of which there are none.
    assert measures.deployment["events"][0] == pytest.approx(3e4, rel=0.05)


@pytest.mark.parametrize(
    "options", [{"counts": True, "min_offered": 3000}, {"precision": 0.03}, {"warmup": "mser5"}]
)
def test_rules_do_not_depend_on_the_neighbours(options: dict[str, Any]) -> None:
    batch = pack([queue(0.5), tandem(), lossy()])
    given = SimulationOptions(seed=4, **options)
    together = simulate_batch(batch, given)
    for index in range(3):
        alone = simulate_batch(batch.select([index]), given)
        assert alone.deployment["events"][0] == together.deployment["events"][index]
        rows = slice(together.chain_start[index], together.chain_start[index + 1])
        assert np.array_equal(alone.chain["latency"], together.chain["latency"][rows])


def test_the_engine_does_not_matter() -> None:
    one, other = (
        run(tandem(), counts=True, min_offered=1500, min_completed=100, engine=engine)
        for engine in ("numba", "simpy")
    )
    for name, values in one.chain.items():
        np.testing.assert_allclose(other.chain[name], values, rtol=1e-9, err_msg=name)


def test_losses_are_known_as_well_as_asked() -> None:
    measures = run(queue(0.8, 3), loss_precision=0.02, seed=1)
    chain = measures.chain
    half = 0.5 * (chain["loss_ratio_high"] - chain["loss_ratio_low"])
    assert half[0] <= 0.02 * chain["loss_ratio"][0]
    assert measures.deployment["precise"][0]
    rough = run(queue(0.8, 3), loss_precision=0.2, seed=1)
    assert rough.deployment["events"][0] < measures.deployment["events"][0]
    both = run(queue(0.8, 3), loss_precision=0.2, precision=0.003, seed=1)
    assert both.deployment["events"][0] > rough.deployment["events"][0]


def test_losses_that_do_not_matter_need_no_precision() -> None:
    measures = run(queue(0.2, 12), loss_precision=0.01, seed=1)
    assert measures.deployment["precise"][0]
    assert measures.chain["loss_ratio_high"][0] < NEGLIGIBLE_LOSS
    assert measures.deployment["events"][0] < 1e6
    hard = run(queue(0.5, 8), loss_precision=0.01, max_events=3e5, seed=1)
    assert not hard.deployment["precise"][0]


def test_the_last_round_uses_all_of_the_cap() -> None:
    measures = run(queue(), precision=1e-6, max_events=3e5)
    assert 2.5e5 < measures.deployment["events"][0] < 3.2e5


def test_jobs_that_the_cap_cut_off_are_said() -> None:
    measures = run(queue(), offered=1e6, max_events=1e4)
    assert not measures.deployment["precise"][0]
    assert run(queue(), offered=1e3).deployment["precise"][0]


@pytest.mark.parametrize(
    ("options", "field"),
    [({"horizon": 1e12}, "horizon"), ({"events": 1e11}, "events"), ({"horizon": 1e300}, "horizon")],
)
def test_what_would_take_for_ever_is_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"{field} must mean at most 1e\+10 expected ev"):
        run(queue(), **options)
    with pytest.raises(InvalidInputError, match="max_events must be > 0 and at most"):
        SimulationOptions(max_events=MOST_EVENTS * 2)


def test_the_cap_follows_schedules() -> None:
    # Hardly anything arrives in the long run, but far too much before.
    rush = PiecewisePoisson(times=(0.0, 1e5), rates=(1e6, 1e-3))
    with pytest.raises(InvalidInputError, match="horizon must mean at most"):
        run(single(Deterministic(mean=1.0), rush, 3), horizon=1e5)


def test_windows_play_the_whole_horizon_and_the_cap_knows() -> None:
    rate = 1.6  # events per second of the queue
    horizon = 0.5 * MOST_EVENTS / rate
    with pytest.raises(InvalidInputError, match="horizon must mean"):
        run(queue(), horizon=horizon, windows=4)
    shared, whole = (run(queue(), events=2e4, windows=w).deployment["events"][0] for w in (None, 2))
    assert whole == pytest.approx(shared, rel=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"counts": True, "events": 10.0}, "length must be one of horizon"),
        ({"loss_precision": 0.1, "horizon": 10.0}, "length must be one of horizon"),
        ({"loss_precision": math.nan}, "loss_precision must be finite and > 0"),
        ({"horizon": 1e-320}, "horizon must be at least 1e-100, got horizon=1e-320"),
        ({"min_offered": 0}, "min_offered must be >= 1"),
        ({"min_completed": -1}, "min_completed must be >= 0"),
        ({"warmup": "mser"}, "warmup must be a share or mser5, got warmup='mser'"),
        ({"warmup": -0.1}, r"warmup must lie in \[0, 1\)"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        SimulationOptions(**options)
