"""Simulation against exact results of queueing theory, by independent replications.

The cases, and how sharply each measure must be known, are those of ``datagen theory``; the compiled
engine plays them at full length. The readable engine inherits by equality of event logs.
"""

from __future__ import annotations

import numpy as np
import pytest

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
