"""Simulation against exact results of queueing theory, by independent replications.

The cases, and how sharply each measure must be known, are those of ``datagen theory``; the compiled
engine plays them at full length. The readable engine inherits by equality of event logs.
"""

from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic.markovian import mm1k
from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Exponential
from datagen.evaluation.measures import NamedMeasures
from datagen.simulator import SimulationOptions, simulate
from datagen.theory import FULL_JOBS, SEED, Case, jobs_played, oracle_cases, replicate
from tests.helpers import assert_estimates

CASES = oracle_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_compiled_engine_estimates_what_theory_says(case: Case) -> None:
    jobs = jobs_played("numba", short=False)
    assert jobs >= FULL_JOBS == 1e6  # the bounds on standard errors are meant for this many
    for exact, estimates in zip(case.exact, replicate(case, "numba", jobs), strict=True):
        if exact.value == 0.0:
            assert not estimates.any(), exact
        else:
            assert exact.max_rel_se <= 0.01, exact
            assert_estimates(estimates, exact.value, max_rel_se=exact.max_rel_se)


def test_replications_are_independent_and_their_own() -> None:
    one, other = (replicate(case, "numba", 2e3) for case in CASES[:2])
    assert len(np.unique(one[0])) > 1
    assert abs(np.corrcoef(one[0], other[0])[0, 1]) < 0.9
    np.testing.assert_array_equal(one, replicate(CASES[0], "numba", 2e3))


def test_replications_are_what_the_front_door_simulates() -> None:
    case = CASES[0]
    rate = case.deployment.problem.chains[0].arrivals.rate
    found = replicate(case, "simpy", 2e3)
    seed = int(np.random.SeedSequence([SEED, *case.name.encode()]).generate_state(1)[0])
    horizon = 2e3 / found.shape[1] / rate
    measures = simulate([case.deployment], horizon=horizon, replications=1, seed=seed)
    assert SimulationOptions().warmup > 0
    assert found[0, 0] == measures[0].chains["c"].loss_ratio


RUNS = 20
"""Enough for the standard error to be known to 16 %: four of them are then a fair allowance."""


def independent_runs(deployment: Deployment, jobs: float) -> list[NamedMeasures]:
    """Measures of runs with seeds of their own; ``jobs`` are the expected arrivals of all runs."""
    rate = sum(chain.arrivals.rate for chain in deployment.problem.chains)
    horizon = jobs / RUNS / rate
    return [
        simulate([deployment], horizon=horizon, replications=1, seed=seed)[0]
        for seed in range(RUNS)
    ]


def test_cobhams_waiting_times_by_priority() -> None:
    # Non-preemptive M/M/1 with classes high and low: W = R / ((1 - s_above) (1 - s_including)),
    # with R the mean residual service (Cobham, Operations Research 2, 1954).
    rates, mean = {"low": 0.5, "high": 0.3}, 1.0
    fragment = Fragment(name="f", service=Exponential(mean=mean))
    chains = tuple(
        Chain(name=name, arrivals=Poisson(rate=rate), fragments=(fragment,), priority=priority)
        for priority, (name, rate) in enumerate(rates.items())
    )
    problem = Problem(devices=(Device(name="d", discipline="priority"),), chains=chains)
    deployment = Deployment(problem=problem, placement=dict.fromkeys(rates, (("d",),)))
    runs = independent_runs(deployment, jobs=1e6)
    residual = sum(rates.values()) * mean**2
    waits = {"low": residual / ((1.0 - 0.3) * (1.0 - 0.8)), "high": residual / (1.0 - 0.3)}
    for chain, wait in waits.items():
        latency = np.array([run.chains[chain].latency for run in runs])
        assert_estimates(latency, mean + wait, max_rel_se=0.01)


def test_thinned_arrivals_are_poisson_on_each_path() -> None:
    # 30 % over device a, 70 % over device b: two independent M/M/1/K queues.
    devices = tuple(Device(name=name, capacity=units) for name, units in (("a", 3), ("b", 5)))
    fragment = Fragment(name="f", service=Exponential(mean=1.0))
    chain = Chain(name="c", arrivals=Poisson(rate=1.5), fragments=(fragment,))
    deployment = Deployment(
        problem=Problem(devices=devices, chains=(chain,)),
        placement={"c": (("a",), ("b",))},
        routing={"c": (0.3, 0.7)},
    )
    runs = independent_runs(deployment, jobs=3e6)
    for index, (rate, capacity) in enumerate([(0.45, 3), (1.05, 5)]):
        exact = mm1k(rate, 1.0, capacity)
        lost = np.array([run.steps[index].lost / run.steps[index].offered for run in runs])
        assert_estimates(lost, exact.loss_probability, max_rel_se=0.01)
        jobs = np.array([run.devices["ab"[index]].jobs for run in runs])
        assert_estimates(jobs, exact.mean_jobs, max_rel_se=0.01)
