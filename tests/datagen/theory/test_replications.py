"""The table of oracle cases, and the verdict on each of its rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from datagen.evaluation.measures import MEASURES
from datagen.theory import FULL_JOBS, Case, check, jobs_played, oracle_cases, replications

CASES = oracle_cases()


def test_cases_have_names_of_their_own_and_known_measures() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 20
    for case in CASES:
        problem = case.deployment.problem
        names = {
            "chain": {chain.name for chain in problem.chains},
            "device": {device.name for device in problem.devices},
        }
        assert case.exact
        for exact in case.exact:
            assert exact.measure in MEASURES[exact.level]
            assert exact.name in names[exact.level]
            assert np.isfinite(exact.value)


def test_every_case_is_simulated_by_both_engines() -> None:
    for case in (CASES[0], CASES[-1]):
        rows = [check([case], engine, short=True) for engine in ("numba", "simpy")]
        for mine, theirs in zip(*rows, strict=True):
            assert (mine.case, mine.measure) == (theirs.case, theirs.measure)
            assert (mine.engine, theirs.engine) == ("numba", "simpy")
            assert mine.passed
            assert theirs.passed


def verdict(monkeypatch: pytest.MonkeyPatch, estimates: list[float], exact: float) -> bool:
    """Whether replications with these estimates pass as estimates of a value."""

    def replicate(case: Case, engine: str, jobs: float) -> NDArray[np.float64]:
        return np.array([estimates])

    monkeypatch.setattr(replications, "replicate", replicate)
    case = replace(CASES[0], exact=(replace(CASES[0].exact[0], value=exact, max_rel_se=0.02),))
    (row,) = check([case], "numba", short=False)
    assert row.estimate == pytest.approx(np.mean(estimates), nan_ok=True)
    return row.passed


@pytest.mark.parametrize(
    ("estimates", "exact", "passes"),
    [
        ([0.99, 1.01], 1.0, True),
        ([0.99, 1.01], 1.03, True),
        ([0.99, 1.01], 1.05, False),
        ([0.9, 1.1], 1.0, False),
        ([0.0, 0.0], 0.0, True),
        ([0.0, 1e-6], 0.0, False),
        ([1.0, 1.0], 1.0 + 1e-9, False),
        ([float("nan"), 1.0], 1.0, False),
    ],
    ids=["close", "within four", "far", "noisy", "zero", "not zero", "constant", "undefined"],
)
def test_rows_pass_when_close_and_sharp(
    monkeypatch: pytest.MonkeyPatch, estimates: list[float], exact: float, passes: bool
) -> None:
    assert verdict(monkeypatch, estimates, exact) is passes


@pytest.mark.parametrize("engine", ["numba", "simpy"])
def test_short_checks_play_fewer_jobs(engine: Literal["numba", "simpy"]) -> None:
    full, short = (jobs_played(engine, short=flag) for flag in (False, True))
    assert short < full <= FULL_JOBS
