"""Difficulty that drifts: the contexts of consecutive jobs, and what they do to a queue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.evaluation import pack
from datagen.exits import Contexts, ContextSchedule, ContextSwitching, ExitTrace, Thresholds
from datagen.simulator import SimulationOptions, simulate, simulate_batch
from datagen.simulator.contexts import context_path
from datagen.simulator.randomness import stream
from datagen.simulator.sources import chain_draws
from tests.datagen.exits.test_contexts import drifting


def contexts_at(process: Contexts, arrivals: np.ndarray) -> np.ndarray:
    return context_path(process, stream(3, 0, 0, "difficulty")).next(arrivals)


TICKS = np.arange(1.0, 400_001.0)


@pytest.mark.parametrize("by", ["time", "jobs"])
def test_shares_and_memory_are_those_of_the_process(by: str) -> None:
    holding = np.array([30.0, 12.0])
    process = ContextSwitching(holding=tuple(holding), by=by)
    found = contexts_at(process, TICKS)
    share = holding / holding.sum()
    leave = 1.0 / holding
    # The correlation after one second, or job, of a two-state chain.
    kept = np.exp(-leave.sum()) if by == "time" else 1.0 - leave.sum()
    centred = found - share[1]
    variance = share.prod()
    for lag in (1, 5, 20):
        correlation = (centred[:-lag] * centred[lag:]).mean() / variance
        assert correlation == pytest.approx(kept**lag, abs=0.02)
    # Standard error of a share: variance times the sum of all correlations, over the jobs.
    error = np.sqrt(variance * (1 + kept) / (1 - kept) / len(TICKS))
    assert abs(found.mean() - share[1]) <= 4 * error


def test_any_other_context_may_follow() -> None:
    process = ContextSwitching(holding=(5.0, 10.0, 20.0, 1.0), by="jobs")
    found = contexts_at(process, TICKS)
    moves = np.zeros((4, 4))
    np.add.at(moves, (found[:-1], found[1:]), 1)
    np.fill_diagonal(moves, 0.0)
    shares = moves / moves.sum(axis=1, keepdims=True)
    assert shares == pytest.approx((1 - np.eye(4)) / 3, abs=0.02)
    # The one that holds for one job never stays.
    assert not np.any((found[:-1] == 3) & (found[1:] == 3))
    assert np.bincount(found) / len(found) == pytest.approx(np.array([5, 10, 20, 1]) / 36, abs=0.01)


@pytest.mark.parametrize(
    "process",
    [
        ContextSwitching(holding=(3.0, 1.0, 0.2)),
        ContextSwitching(holding=(3.0, 1.0, 40.0), by="jobs"),
        ContextSchedule(times=(0.0, 50.0, 300.0), contexts=(2, 0, 1)),
    ],
)
def test_chunks_do_not_matter(process: Contexts) -> None:
    arrivals = np.cumsum(np.random.default_rng(0).exponential(0.3, 3000))
    whole = contexts_at(process, arrivals)
    path = context_path(process, stream(3, 0, 0, "difficulty"))
    parts = [path.next(part) for part in np.split(arrivals, [1, 2, 70, 1500])]
    assert np.concatenate(parts).tolist() == whole.tolist()
    assert set(whole.tolist()) == {0, 1, 2}


def test_a_schedule_is_kept() -> None:
    process = ContextSchedule(times=(0.0, 10.0, 20.0), contexts=(1, 0, 1))
    arrivals = np.array([0.0, 9.99, 10.0, 19.0, 20.0, 1e9])
    assert contexts_at(process, arrivals).tolist() == [1, 1, 0, 0, 1, 1]


def test_the_first_context_is_drawn_by_the_long_run_shares() -> None:
    process = ContextSwitching(holding=(1e6, 3e6))
    first = [
        int(context_path(process, stream(seed, 0, 0, "difficulty")).next(np.array([0.5]))[0])
        for seed in range(400)
    ]
    assert abs(np.mean(first) - 0.75) <= 4 * np.sqrt(0.75 * 0.25 / 400)


def test_samples_are_those_of_the_context() -> None:
    # Context 0: samples leaving at exit 0 (wrong, right) or rightly at the end; context 1: the end.
    process = ContextSchedule(times=(0.0, 5000.0, 10_000.0), contexts=(0, 1, 0))
    chunk = chain_draws(pack([drifting(process)]), 0, seed=1, replication=0)[0].next_chunk(3000)
    early = chunk.arrivals < 5000.0
    late = ~early & (chunk.arrivals < 10_000.0)
    assert set(chunk.route[late].tolist()) == {3}
    shares = np.bincount(chunk.route[~late], minlength=4) / (~late).sum()
    assert shares == pytest.approx([1 / 3, 1 / 3, 0.0, 1 / 3], abs=0.05)


def test_arrivals_and_works_are_those_without_contexts() -> None:
    alike, changing = (
        chain_draws(pack([drifting(process)]), 0, seed=1, replication=0)[0].next_chunk(2000)
        for process in (None, ContextSwitching(holding=(50.0, 50.0)))
    )
    assert alike.arrivals.tobytes() == changing.arrivals.tobytes()
    stays = (alike.route >= 2) & (changing.route >= 2)
    assert np.array_equal(alike.service[:, stays], changing.service[:, stays])


def test_decisions_do_not_change_what_jobs_meet() -> None:
    # Context 0 is answered rightly at either exit, context 1 wrongly: the route tells the context.
    confidences = [[0.9, 1.0], [0.3, 1.0], [0.6, 1.0], [0.1, 1.0]]
    trace = ExitTrace(
        name="t", confidences=confidences, correct=[[1, 1], [0, 0]] * 2, context=[0, 1, 0, 1]
    )
    base = drifting(ContextSwitching(holding=(30.0, 60.0)), trace)
    devices = (*base.problem.devices, replace(base.problem.devices[0], name="e", speed=2.0))
    base = replace(base, problem=replace(base.problem, devices=devices))
    variants = [replace(base, exits={"c": Thresholds(tau=(tau,))}) for tau in (0.2, 0.5, 0.8, 2.0)]
    variants.append(replace(base, placement={"c": (("e", "d"),)}))
    drawn = [
        chain_draws(pack([variant]), 0, seed=7, replication=2)[0].next_chunk(3000)
        for variant in variants
    ]
    for chunk in drawn:
        assert chunk.arrivals.tobytes() == drawn[0].arrivals.tobytes()
        assert np.array_equal(chunk.route % 2, drawn[0].route % 2)
    assert len({tuple(chunk.route) for chunk in drawn[:4]}) == 4
    assert np.array_equal(drawn[4].route, drawn[1].route)
    assert np.mean(drawn[0].route % 2) == pytest.approx(1 / 3, abs=0.1)


HARD = ExitTrace(
    name="t",
    confidences=[[0.9, 1.0], [0.1, 1.0]],
    correct=[[1, 1], [1, 1]],
    context=[0, 1],
)


def test_difficulty_that_drifts_slowly_costs_more() -> None:
    # Services of 1 s or 2 s, equally often: a load of 0.83 on average either way. Hard times have
    # one of 1.1, and lose.
    def loss(contexts: Contexts | None) -> tuple[float, float]:
        deployment = drifting(contexts, HARD)
        chain = replace(deployment.problem.chains[0], arrivals=Poisson(rate=0.55))
        problem = replace(deployment.problem, chains=(chain,))
        options = SimulationOptions(events=2e6, seed=2)
        measures = simulate_batch(pack([replace(deployment, problem=problem)]), options)
        return measures.chain["loss_ratio"][0], measures.chain["loss_ratio_se"][0]

    alike, alike_se = loss(None)
    slow, slow_se = loss(ContextSwitching(holding=(200.0, 200.0)))
    quick, quick_se = loss(ContextSwitching(holding=(1.0, 1.0), by="jobs"))
    assert slow - alike > 6 * np.hypot(slow_se, alike_se)
    # Hard and easy jobs in turn are smoother than the same mix at random.
    assert alike - quick > 4 * np.hypot(quick_se, alike_se)


def test_the_engine_does_not_matter() -> None:
    deployments = [
        drifting(ContextSwitching(holding=(40.0, 20.0))),
        drifting(ContextSchedule(times=(0.0, 2000.0), contexts=(1, 0))),
    ]
    one, other = (
        simulate(deployments, horizon=8000.0, engine=engine, seed=4)
        for engine in ("numba", "simpy")
    )
    for name, values in one.chain.items():
        np.testing.assert_allclose(other.chain[name], values, rtol=1e-9, err_msg=name)


def test_a_schedule_is_played_whole_in_every_run() -> None:
    process = ContextSchedule(times=(0.0, 7500.0), contexts=(0, 1))
    measures = simulate([drifting(process)], horizon=10_000.0, replications=4)
    # A quarter of the horizon alone would never see the second context.
    early = 2 / 3 * (7500 - 500) / 9500
    offered = measures.chain["offered"][0]
    assert offered == pytest.approx(4 * 950, rel=0.06)
    mean_steps = measures.chain["latency"][0]
    assert mean_steps == pytest.approx(2.0 - early, rel=0.15)
