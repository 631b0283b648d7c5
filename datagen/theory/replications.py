"""Simulation of the oracle cases, and the comparison of each measure with its exact value.

Each case is played by independent replications, warm-up cut; a measure agrees when the mean of the
replications lies within ``Z_MAX`` standard errors of the exact value and the standard error is
small enough to mean it: a z-test alone passes anything when the runs are short.

References:
    Law, Simulation Modeling and Analysis, 5th ed., 2015, ch. 9.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation import pack
from datagen.simulator import SimulationOptions, simulate_batch
from datagen.theory.cases import FULL_JOBS, Case, Exact, Level

__all__ = ["SEED", "Z_MAX", "EngineChoice", "Row", "check", "jobs_played", "replicate"]

EngineChoice = Literal["numba", "simpy"]

Z_MAX = 4.0
"""Standard errors an estimate may be off: a right one fails less than once in 1,000 rows."""

REPLICATIONS = 20
"""Enough for the standard error to be known to 16 %: four of them are then a fair allowance."""

SEED = 11

JOBS: dict[tuple[EngineChoice, bool], float] = {
    ("numba", False): FULL_JOBS,
    ("numba", True): 1e5,
    ("simpy", False): 1e5,
    ("simpy", True): 2e4,
}
"""Jobs of a case, all replications together, by engine and whether the check is short."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One measure of one case, simulated and exact.

    Args:
        case: Name of the case.
        engine: Who simulated.
        level: Whether a chain or a device has the measure.
        name: Name of that chain or device.
        measure: Name of the measure.
        estimate: Mean of the replications.
        standard_error: Of that mean.
        exact: What theory says.
        z: Their difference in standard errors; None where there is no error but a difference.
        passed: Whether they agree, and sharply enough to mean it.
    """

    case: str
    engine: EngineChoice
    level: Level
    name: str
    measure: str
    estimate: float
    standard_error: float
    exact: float
    z: float | None
    passed: bool


def jobs_played(engine: EngineChoice, *, short: bool) -> float:
    """Return the jobs of a case, all replications together.

    Args:
        engine: ``numba`` or ``simpy``.
        short: Whether the check is short.

    Returns:
        Expected number of external arrivals.
    """
    return JOBS[engine, short]


def replicate(case: Case, engine: EngineChoice, jobs: float) -> NDArray[np.float64]:
    """Simulate a case by independent replications.

    Args:
        case: The case.
        engine: ``numba`` or ``simpy``.
        jobs: Expected external arrivals, all replications together, > 0.

    Returns:
        Each exact measure's estimates, one per replication, shape [``exact``, ``REPLICATIONS``].
    """
    batch = pack([case.deployment])
    horizon = jobs / REPLICATIONS / float(batch.chain_rate.sum())
    # Named by the case, so that cases are independent of each other and of their order.
    seeds = np.random.SeedSequence([SEED, *case.name.encode()]).generate_state(REPLICATIONS)
    estimates = np.empty((len(case.exact), REPLICATIONS))
    for column, seed in enumerate(seeds.tolist()):
        options = SimulationOptions(engine=engine, horizon=horizon, replications=1, seed=seed)
        found = simulate_batch(batch, options)[0]
        places = {"chain": found.chains, "device": found.devices}
        for index, exact in enumerate(case.exact):
            estimates[index, column] = getattr(places[exact.level][exact.name], exact.measure)
    return estimates


def check(cases: Sequence[Case], engine: EngineChoice, short: bool) -> list[Row]:
    """Simulate cases and compare them with theory.

    Args:
        cases: The cases.
        engine: ``numba`` or ``simpy``.
        short: Whether to play a tenth (numba) or a fifth (SimPy) of the jobs.

    Returns:
        One row per case and exact measure.
    """
    jobs = jobs_played(engine, short=short)
    return [
        _row(case, engine, exact, estimates, math.sqrt(FULL_JOBS / jobs))
        for case in cases
        for exact, estimates in zip(case.exact, replicate(case, engine, jobs), strict=True)
    ]


def _row(
    case: Case, engine: EngineChoice, exact: Exact, estimates: NDArray[np.float64], noise: float
) -> Row:
    """Compare one measure; ``noise`` is the standard error that full length would divide by."""
    estimate = float(estimates.mean())
    se = float(estimates.std(ddof=1)) / math.sqrt(len(estimates))
    error = estimate - exact.value
    z: float | None = 0.0 if error == 0.0 else None
    if se > 0.0:
        z = error / se
    sharp = se <= noise * exact.max_rel_se * abs(exact.value)
    return Row(
        case=case.name,
        engine=engine,
        level=exact.level,
        name=exact.name,
        measure=exact.measure,
        estimate=estimate,
        standard_error=se,
        exact=exact.value,
        z=z,
        passed=sharp and z is not None and abs(z) <= Z_MAX,
    )
