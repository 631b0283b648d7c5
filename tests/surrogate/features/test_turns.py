"""Whose turn it is: slow lines and late deadlines wait longer, as simulated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.deployment import BatchConfig, Deployment
from datagen.evaluation import pack
from datagen.evaluation.exit_paths import ExitPaths
from datagen.simulator import simulate
from surrogate.features.accelerators import said_of, visits
from surrogate.features.turns import precedence, waits
from tests.surrogate.features.npu_cases import two_cuts


def unlike(
    config: BatchConfig, rates: tuple[float, float], deadlines: tuple[float, ...]
) -> Deployment:
    """Two chains in lines of their own, the first one with twice as long batches."""
    deployment = two_cuts(True, config=config)
    chains = tuple(
        replace(chain, arrivals=Poisson(rate=rate), deadline=deadline)
        for chain, rate, deadline in zip(deployment.problem.chains, rates, deadlines, strict=True)
    )
    return replace(deployment, problem=replace(deployment.problem, chains=chains))


def told(deployment: Deployment, rates: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Stay of each chain on the accelerator [s], and how far others are ahead there."""
    batch = ExitPaths.of(pack([deployment])).batch
    found = visits(batch)
    assert found is not None
    rate = np.array(rates)[batch.step_chain[found.step]]
    given, said = said_of(batch, found, rate)
    order = np.argsort(batch.step_chain[found.step])
    stay = waits(batch, found, given, said, rate) + said.own
    return stay[order], precedence(batch, found, said, rate)[order]


def simulated(deployment: Deployment) -> np.ndarray:
    measured = simulate([deployment], events=2e5, replications=1, seed=3)
    return np.asarray(measured.step["sojourn_completed"][:2])


@pytest.mark.parametrize(
    ("config", "rates"),
    [
        (BatchConfig(policy="static", max_batch=4), (2.0, 0.5)),
        (BatchConfig(policy="dynamic", max_batch=4, timeout=1.0), (0.2, 2.0)),
    ],
)
def test_slow_lines_wait_for_company(config: BatchConfig, rates: tuple[float, float]) -> None:
    deployment = unlike(config, rates, (1e3, 1e3))
    stay, _ = told(deployment, rates)
    measured = simulated(deployment)
    assert stay == pytest.approx(measured, rel=0.2)
    assert stay.argmax() == measured.argmax()


def test_late_deadlines_wait_for_early_ones() -> None:
    config, rates = BatchConfig(policy="edf", max_batch=2), (2.0, 2.0)
    late, early = told(unlike(config, rates, (30.0, 0.5)), rates)[0]
    alike, ahead = told(unlike(config, rates, (5.0, 5.0)), rates)
    assert ahead == pytest.approx([0.0, 0.0])
    assert late > alike[0]
    assert early < alike[1]
    # Deadlines only say who goes first: all together wait as long.
    assert late + early == pytest.approx(alike.sum())
    measured = simulated(unlike(config, rates, (30.0, 0.5)))
    before, now = (np.abs(np.log(stay / measured)).sum() for stay in (alike, (late, early)))
    assert now < 0.7 * before


def test_precedence_is_a_matter_of_both_sides() -> None:
    rates = (1.0, 3.0)
    config = BatchConfig(policy="edf", max_batch=2)
    _, ahead = told(unlike(config, rates, (1e4, 0.1)), rates)
    assert ahead == pytest.approx([0.75, -0.25])
