"""From runs to measures: honest errors, labels, lengths, and what is undefined."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from datagen.analytic.markovian import mm1k
from datagen.arrivals import Arrivals, Periodic, PiecewisePoisson, Poisson, Recorded
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem, Variant
from datagen.distributions import Deterministic, Exponential, Law
from datagen.errors import InvalidInputError, NotSupportedError
from datagen.evaluation import Candidates, Measures, pack
from datagen.simulator import SimulationEvaluator, SimulationOptions, simulate, simulate_batch
from datagen.simulator.standard_errors import wilson


def single(
    law: Law, arrivals: Arrivals, capacity: int | None, deadline: float | None = None
) -> Deployment:
    fragment = Fragment(name="f", service=law)
    chain = Chain(name="c", arrivals=arrivals, fragments=(fragment,), deadline=deadline)
    problem = Problem(devices=(Device(name="d", capacity=capacity),), chains=(chain,))
    return Deployment(problem=problem, placement={"c": (("d",),)})


def queue(load: float = 0.8, capacity: int | None = 3) -> Deployment:
    """An M/M/1/K queue with a mean service of 1 s."""
    return single(Exponential(mean=1.0), Poisson(rate=load), capacity)


def two_cameras(arrivals: Arrivals, capacity: int) -> Deployment:
    """Two identical saturated boards, both handing over to a third that can serve one of them."""
    names = {"left": capacity, "right": capacity, "third": 1}
    work = tuple(Fragment(name=f"f{k}", service=Deterministic(mean=1.0)) for k in range(2))
    problem = Problem(
        devices=tuple(Device(name=name, capacity=units) for name, units in names.items()),
        chains=tuple(
            Chain(name=name, arrivals=arrivals, fragments=work) for name in ("left", "right")
        ),
    )
    placement = {name: ((name, "third"),) for name in ("left", "right")}
    return Deployment(problem=problem, placement=placement)


def tandem() -> Deployment:
    """Two chains over three devices with losses, a deadline and a revisit."""
    work = (Exponential(mean=0.3), Deterministic(mean=0.4), Exponential(mean=0.2))
    fragments = tuple(Fragment(name=f"f{k}", service=law) for k, law in enumerate(work))
    problem = Problem(
        devices=tuple(Device(name=name, capacity=3) for name in "abc"),
        chains=(
            Chain(name="x", arrivals=Poisson(rate=1.0), fragments=fragments, deadline=1.5),
            Chain(name="y", arrivals=Poisson(rate=0.7), fragments=fragments),
        ),
    )
    return Deployment(problem=problem, placement={"x": (tuple("aba"),), "y": (tuple("bbc"),)})


def same(one: Measures, other: Measures, rtol: float = 0.0) -> None:
    for level in ("deployment", "chain", "step", "device"):
        mine, theirs = getattr(one, level), getattr(other, level)
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_allclose(theirs[name], mine[name], rtol=rtol, atol=0, err_msg=name)


@pytest.mark.parametrize(
    ("arrivals", "capacity"), [(Periodic(period=0.5), 1), (Poisson(rate=2.0), 20)], ids=repr
)
def test_two_cameras_that_lock_their_phases(arrivals: Arrivals, capacity: int) -> None:
    deployment = two_cameras(arrivals, capacity)
    ratios, within = [], []
    for seed in range(6):
        alone = simulate([deployment], horizon=2000.0, replications=1, seed=seed).chain
        ratios.append(sorted(alone["throughput_ratio"]))
        within.append(alone["throughput_ratio_se"].max())
    # One camera gets everything and the other nothing; batch means of one run cannot tell.
    np.testing.assert_allclose(ratios, [[0.0, 0.5]] * 6, atol=0.03)
    assert max(within) < 0.015
    measures = simulate([deployment], horizon=8000.0, replications=4, seed=3)
    assert measures.deployment["phase_dependent"].all()
    assert measures.chain["throughput_ratio_se"].min() > 0.1
    assert measures.deployment["saturated"].all()


@pytest.mark.parametrize(
    "deployment",
    [queue(), queue(1.5, 2), single(Deterministic(mean=0.3), Periodic(period=1.0), 3)],
    ids=["queue", "saturated", "deterministic"],
)
def test_runs_that_forget_are_not_phase_dependent(deployment: Deployment) -> None:
    seeds = [simulate([deployment], horizon=4000.0, seed=seed) for seed in range(25)]
    assert not any(measures.deployment["phase_dependent"].any() for measures in seeds)


@pytest.mark.parametrize("capacity", [3, 5])
def test_intervals_cover_the_truth_as_often_as_they_say(capacity: int) -> None:
    exact = mm1k(0.8, 1.0, capacity)
    runs = 400
    options = SimulationOptions(engine="numba", events=20_000, seed=17)
    batch = pack([queue(0.8, capacity)] * runs)
    chain = simulate_batch(batch, options).chain
    covered = {
        "loss_ratio": (chain["loss_ratio_low"] <= exact.loss_probability)
        & (exact.loss_probability <= chain["loss_ratio_high"])
    }
    for name, truth in (
        ("latency", exact.mean_latency),
        ("throughput_ratio", 1.0 - exact.loss_probability),
        ("throughput", 0.8 * (1.0 - exact.loss_probability)),
    ):
        covered[name] = np.abs(chain[name] - truth) <= 1.96 * chain[f"{name}_se"]
    # The larger of two errors covers somewhat more than 95 %; four standard errors below it.
    for name, hits in covered.items():
        assert 0.95 - 4 * math.sqrt(0.95 * 0.05 / runs) <= hits.mean(), name
    assert covered["loss_ratio"].mean() < 0.999


def test_the_error_of_throughput_is_that_of_counts() -> None:
    # Nothing is lost: all the randomness of the throughput is that of the number of arrivals.
    measures = simulate([single(Deterministic(mean=0.1), Poisson(rate=1.0), None)], horizon=40_000)
    assert measures.chain["throughput_ratio_se"][0] == 0.0
    exact = 1.0 / math.sqrt(0.95 * 40_000)
    assert measures.chain["throughput_se"][0] == pytest.approx(exact, rel=0.5)
    regular = simulate([single(Deterministic(mean=0.1), Periodic(period=1.0), None)], horizon=4e4)
    assert regular.chain["throughput_se"][0] < 0.1 * exact


@pytest.mark.parametrize("engine", ["numba", "simpy"])
def test_what_takes_no_time_takes_none(engine: Any) -> None:
    deployment = single(Deterministic(mean=0.0), Poisson(rate=1.0), 3)
    measures = simulate([deployment], horizon=4000.0, engine=engine)
    chain = measures.chain
    for name in ("latency", "latency_se", "p50", "p95", "p99", "loss_ratio"):
        assert chain[name][0] == 0.0, name
    assert chain["throughput_ratio"][0] == 1.0
    assert np.isnan(chain["latency_ratio"][0])  # nothing over nothing
    assert measures.device["utilization"][0] == 0.0


def test_what_takes_hardly_any_time_is_told_apart_from_that() -> None:
    chain = simulate([single(Deterministic(mean=1.01e-9), Poisson(rate=1.0), 3)], horizon=400).chain
    # Arrival times near 100 s know no time finer than 1e-14 s; bins are 0.8 % wide.
    assert chain["p50"][0] == pytest.approx(1.01e-9, rel=0.01)


def test_wilson_bounds() -> None:
    low, high = wilson(np.array([0.0, 0.2, 1.0]), np.array([0.0, 0.04, 0.0]), np.full(3, 100.0))
    # By hand at n = 100: 0.2 -> (0.13337, 0.28883); none seen -> z^2 / (n + z^2).
    np.testing.assert_allclose([low[1], high[1]], [0.133367, 0.288829], atol=1e-6)
    none = 1.959964**2 / (100 + 1.959964**2)
    np.testing.assert_allclose([low[0], high[0]], [0.0, none], atol=1e-7)
    np.testing.assert_allclose([low[2], high[2]], [1.0 - none, 1.0], atol=1e-7)


def test_a_loss_that_was_not_seen_may_still_be() -> None:
    chain = simulate([queue(0.1, 30)], horizon=5000.0).chain
    assert chain["lost"][0] == 0
    assert chain["loss_ratio_low"][0] == 0
    assert 0.5 / chain["offered"][0] < chain["loss_ratio_high"][0] < 20 / chain["offered"][0]


def test_a_larger_spread_widens_the_bounds() -> None:
    ratio, offered = np.full(3, 0.1), np.full(3, 1e4)
    low, high = wilson(ratio, np.array([0.003, 0.01, 0.03]), offered)
    assert (np.diff(high - low) > 0).all()
    assert ((low < ratio) & (ratio < high)).all()


def test_measures_hang_together() -> None:
    horizon = 20_000.0
    measures = simulate([tandem()], horizon=horizon, seed=2)
    chain, step, device = measures.chain, measures.step, measures.device
    window = 0.95 * horizon
    assert np.array_equal(chain["offered"], chain["completed"] + chain["lost"])
    np.testing.assert_allclose(chain["throughput"], chain["completed"] / window)
    np.testing.assert_allclose(chain["throughput_ratio"] + chain["loss_ratio"], 1.0)
    np.testing.assert_allclose(chain["throughput_ratio_se"], chain["loss_ratio_se"])
    total = chain["lost"].sum() / chain["offered"].sum()
    np.testing.assert_allclose(measures.deployment["loss_ratio"], total)
    np.testing.assert_allclose(chain["latency_ratio"] * chain["latency"], [0.9, 0.9])
    assert (chain["p50"] < chain["latency"]).all()
    assert (chain["latency"] < chain["p95"]).all()
    assert (chain["p95"] < chain["p99"]).all()
    assert 0 < chain["attainment"][0] < chain["throughput_ratio"][0]
    assert np.isnan(chain["attainment"][1])
    own = np.array([0, 0, 0, 1, 1])  # x: a, b, a; y: b (two fragments as one step), c
    assert np.array_equal(np.bincount(own, weights=step["lost"]), chain["lost"])
    latency = np.bincount(own, weights=step["sojourn_completed"])
    np.testing.assert_allclose(latency, chain["latency"])
    # Little's law, up to what is present at the ends of the runs.
    served = step["offered"] - step["lost"]
    jobs = np.bincount([0, 1, 0, 1, 2], weights=served * step["sojourn"]) / window
    np.testing.assert_allclose(device["jobs"], jobs, rtol=0.005)
    assert ((device["utilization"] > 0) & (device["utilization"] < 1)).all()
    np.testing.assert_allclose(device["units"], device["jobs"])
    assert measures.deployment["events"][0] > chain["offered"].sum()


def test_the_engine_does_not_matter() -> None:
    runs = [
        simulate([tandem(), queue()], events=20_000, seed=9, engine=engine)
        for engine in ("numba", "simpy", "auto")
    ]
    same(runs[0], runs[1], rtol=1e-9)  # standard errors are differences of sums equal to 1e-12
    same(runs[0], runs[2])


def test_rows_do_not_depend_on_their_neighbours() -> None:
    batch = pack([queue(0.5 + k / 10) for k in range(4)])
    options = SimulationOptions(events=5000, seed=4)
    together = simulate_batch(batch, options)
    for index in range(4):
        alone = simulate_batch(batch.select([index]), options)
        assert alone.chain["latency"][0] == together.chain["latency"][index]
        assert alone.device["jobs_se"][0] == together.device["jobs_se"][index]


def test_candidates_meet_the_same_random_numbers() -> None:
    slow, fast = Device(name="slow", capacity=3), Device(name="fast", capacity=3, speed=2.0)
    fragment = Fragment(name="f", service=Exponential(mean=1.0))
    chain = Chain(name="c", arrivals=Poisson(rate=0.8), fragments=(fragment,))
    base = Deployment(
        problem=Problem(devices=(slow, fast), chains=(chain,)), placement={"c": (("slow",),)}
    )
    candidates = Candidates(base=base, placement=np.array([[0], [1], [0]]))
    evaluator = SimulationEvaluator(SimulationOptions(events=20_000, seed=1))
    loss = evaluator.evaluate(candidates).chain
    assert loss["offered"][0] == pytest.approx(loss["offered"][1], abs=0)
    assert loss["lost"][0] == loss["lost"][2] > loss["lost"][1]
    other = evaluator.with_seed(2).evaluate(candidates).chain
    assert other["lost"][0] != loss["lost"][0]


def test_percentiles_of_exponential_latencies() -> None:
    chain = simulate([queue(0.5, None)], events=2e6, seed=6).chain
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        # Bins are 0.8 % wide; the rest is the noise of the run.
        assert chain[name][0] == pytest.approx(-2.0 * math.log(1.0 - share), rel=0.02)


def test_a_constant_latency_has_no_error_but_its_bin() -> None:
    deployment = single(Deterministic(mean=0.3), Periodic(period=1.0), 1, deadline=0.4)
    chain = simulate([deployment], horizon=4000.0).chain
    assert chain["latency"][0] == pytest.approx(0.3, rel=1e-12)
    assert chain["latency_se"][0] < 1e-12
    for name in ("p50", "p95", "p99"):
        assert chain[name][0] == pytest.approx(0.3, rel=2.0**-7)
    assert chain["attainment"][0] == 1.0
    assert chain["latency_ratio"][0] == pytest.approx(1.0)


def test_few_completed_jobs_have_no_latency() -> None:
    chain = simulate([single(Deterministic(mean=0.3), Periodic(period=1.0), 1)], horizon=20.0).chain
    assert 0 < chain["completed"][0] < 30
    assert np.isnan(chain["latency"][0])
    assert np.isnan(chain["latency_se"][0])
    assert np.isnan(chain["p50"][0])
    assert chain["throughput_ratio"][0] == 1.0


def test_nothing_offered_is_undefined() -> None:
    measures = simulate([single(Deterministic(mean=0.3), Poisson(rate=1e-6), 1)], horizon=1.0)
    assert measures.chain["offered"][0] == 0
    for name in ("throughput_ratio", "loss_ratio", "latency", "latency_ratio"):
        assert np.isnan(measures.chain[name][0]), name
    assert np.isnan(measures.deployment["loss_ratio"][0])


def test_nothing_completed_is_a_loss_of_one() -> None:
    fragment = Fragment(name="f", service=Deterministic(mean=0.3), demand=2)
    chain = Chain(name="c", arrivals=Poisson(rate=1.0), fragments=(fragment,))
    problem = Problem(devices=(Device(name="d", capacity=1),), chains=(chain,))
    lost = simulate([Deployment(problem=problem, placement={"c": (("d",),)})], horizon=100.0)
    assert lost.chain["loss_ratio"][0] == 1.0
    assert lost.chain["loss_ratio_high"][0] == 1.0
    assert np.isnan(lost.chain["latency"][0])


def test_a_cohort_that_does_not_leave_is_truncated() -> None:
    deployment = single(Deterministic(mean=1e4), Poisson(rate=0.1), 3)
    measures = simulate([deployment], horizon=400.0)
    assert measures.deployment["truncated"][0]
    assert measures.chain["offered"][0] > measures.chain["lost"][0] + measures.chain["completed"][0]


def test_an_unlimited_queue_without_a_steady_state_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="load"):
        simulate([queue(1.2, None)], horizon=10.0)


def test_evaluators_return_such_a_row_instead() -> None:
    deployments = [queue(), queue(1.2, None), queue(1.2, 5)]
    evaluator = SimulationEvaluator(SimulationOptions(events=4000))
    measures = evaluator.evaluate(deployments)
    assert measures.deployment["unstable"].tolist() == [False, True, False]
    assert measures.deployment["saturated"].tolist() == [False, False, True]
    assert np.isnan(measures.chain["loss_ratio"]).tolist() == [False, True, False]
    assert np.isnan(measures.device["jobs"]).tolist() == [False, True, False]


def test_precision_is_reached() -> None:
    measures = simulate([queue(0.9, 4)], precision=0.003, seed=5)
    assert measures.deployment["precise"][0]
    assert measures.deployment["events"][0] > 1e5
    for name in ("throughput_ratio", "latency"):
        assert 1.96 * measures.chain[f"{name}_se"][0] <= 0.003 * measures.chain[name][0]


def test_precision_out_of_reach_is_said() -> None:
    options = SimulationOptions(precision=1e-6, max_events=3e5)
    measures = simulate_batch(pack([queue()]), options)
    assert not measures.deployment["precise"][0]
    assert measures.deployment["events"][0] < 4e5


def test_lengths_by_events_and_by_offered_jobs() -> None:
    events = simulate([tandem()], events=50_000).deployment["events"][0]
    assert 30_000 < events < 55_000  # expected without losses
    options = SimulationOptions(offered=5000)
    offered = simulate_batch(pack([tandem()]), options).chain["offered"]
    assert offered.min() == pytest.approx(0.95 * 5000, rel=0.1)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"horizon": 10.0, "events": 10.0}, "length"),
        ({"horizon": -1.0}, "horizon"),
        ({"horizon": math.nan}, "horizon"),
        ({"events": 0.0}, "events"),
        ({"precision": math.inf}, "precision"),
        ({"replications": 0}, "replications"),
        ({"warmup": 1.0}, "warmup"),
        ({"seed": -1}, "seed"),
        ({"max_events": 0.0}, "max_events"),
        ({"engine": "ciw"}, "engine"),
    ],
)
def test_bad_options_are_named(options: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{field} must"):
        SimulationOptions(**options)


@pytest.mark.parametrize("engine", ["numba", "simpy"])
def test_what_engines_do_not_play_is_refused(engine: str) -> None:
    fragment = Fragment(name="f", service=Exponential(mean=0.5))
    small = Variant(name="small", fragments=(fragment,), accuracy=0.5)
    chain = Chain(name="c", arrivals=Poisson(rate=1.0), fragments=(fragment,), variants=(small,))
    problem = Problem(devices=(Device(name="d"),), chains=(chain,))
    deployment = Deployment(problem=problem, placement={"c": (("d",),)})
    with pytest.raises(NotSupportedError, match=f"{engine}: variants"):
        simulate([deployment], horizon=10.0, engine=engine)


def _single(arrivals: Arrivals) -> Deployment:
    fragment = Fragment(name="f", service=Deterministic(mean=0.5))
    chain = Chain(name="c", arrivals=arrivals, fragments=(fragment,))
    problem = Problem(devices=(Device(name="d", capacity=3),), chains=(chain,))
    return Deployment(problem=problem, placement={"c": (("d",),)})


def test_a_rate_schedule_is_played_to_its_end_in_every_run() -> None:
    schedule = PiecewisePoisson(times=(0.0, 5e3), rates=(0.1, 3.0))
    four = simulate([_single(schedule)], horizon=1e4, replications=4)[0].loss_ratio
    one = simulate([_single(schedule)], horizon=1e4, replications=1)[0].loss_ratio
    assert one > 0.3
    assert abs(four - one) < 0.02


def test_a_recording_counts_once() -> None:
    times = np.cumsum(np.random.default_rng(0).exponential(0.5, 4000))
    recorded = _single(Recorded(timestamps=tuple(times.tolist())))
    four, one = (simulate([recorded], horizon=1500.0, replications=r)[0] for r in (4, 1))
    assert one.loss_ratio_se > 0
    assert (four.loss_ratio, four.loss_ratio_se) == (one.loss_ratio, one.loss_ratio_se)


def test_what_never_passes_loads_nothing_behind_it() -> None:
    arrivals = Poisson(rate=2.0)
    fragments = (
        Fragment(name="large", service=Deterministic(mean=0.1), demand=2),
        Fragment(name="slow", service=Deterministic(mean=1.0)),
    )
    chain = Chain(name="c", arrivals=arrivals, fragments=fragments)
    devices = (Device(name="a", capacity=1), Device(name="b"))
    problem = Problem(devices=devices, chains=(chain,))
    measures = simulate([Deployment(problem=problem, placement={"c": (("a", "b"),)})], horizon=1e3)
    assert measures[0].loss_ratio == 1.0
