"""How far arrivals are from Poisson's over long times: what the variation of their gaps leaves out.

The index of dispersion of counts, the variance over the mean of the number that come in a time t,
grows from 1 to its limit as

    1 + excess (1 - (1 - exp(-m t)) / (m t))

for a two-phase MMPP, whose phases fade at the rate m, the sum of its switching rates. A renewal
process has the limit SCV and hardly a memory: it is taken to fade within a gap.

Reference:
    Fischer and Meier-Hellstern, The Markov-modulated Poisson process (MMPP) cookbook, Performance
    Evaluation 18, 1993, section 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import ARRIVAL_NAMES
from datagen.evaluation import DeploymentBatch
from datagen.evaluation.loads import offered_load, step_work

__all__ = ["dispersion", "gap_scv"]

Floats = NDArray[np.float64]

MODULATED = ARRIVAL_NAMES.index("mmpp")

REACH = 4.0
"""Services over (1 - load)^2 that a queue looks back at: some of the times in which it relaxes."""

LEAST_FREE = 1e-3
"""Least share of free time, for times of relaxation."""

SHORT = 1e-6
"""Relative time below which 1 - (1 - exp(-x)) / x is taken from its series."""


def dispersion(batch: DeploymentBatch) -> tuple[Floats, Floats]:
    """Return what tells the counts of each chain's arrivals from Poisson's.

    Args:
        batch: Packed deployments; where they carry no arrival processes, gaps are taken to be
            independent.

    Returns:
        Limit of the index of dispersion less 1, >= -1, and the rate at which it is reached
        [1/s] [C].
    """
    excess, memory = batch.chain_scv - 1.0, batch.chain_rate.copy()
    if batch.chain_arrivals is None or batch.arrival_parameter_start is None:
        return excess, memory
    assert batch.arrival_parameter is not None  # they come together
    rows = np.flatnonzero(batch.chain_arrivals == MODULATED)
    places = batch.arrival_parameter_start[rows][:, None] + np.arange(4)
    calm, burst, begins, ends = batch.arrival_parameter[places].T
    fading = begins + ends
    mean = (calm * ends + burst * begins) / fading
    variance = begins * ends / fading**2 * (calm - burst) ** 2
    excess[rows], memory[rows] = 2.0 * variance / (mean * fading), fading
    return excess, memory


def gap_scv(batch: DeploymentBatch) -> Floats:
    """Return SCVs of gaps with which renewal arrivals would scatter as those of bursts do.

    A queue feels the index of dispersion over the time that it looks back: until it has emptied a
    full buffer, or forgotten where it began.

    Args:
        batch: Packed deployments.

    Returns:
        Mean over the first devices of each chain's paths; where gaps are independent, their own
        SCV [C].
    """
    excess, memory = dispersion(batch)
    lasting = excess > batch.chain_scv - 1.0
    if not lasting.any():
        return batch.chain_scv.copy()
    step = batch.step_start[:-1]
    device, chain = batch.step_device_row[step], batch.step_chain[step]
    free = 1.0 - offered_load(batch)[device]
    jobs = np.where(free > 0.0, REACH / np.maximum(free, LEAST_FREE) ** 2, np.inf)
    room = np.minimum(batch.device_capacity[device], 1.0 / LEAST_FREE**2)
    turns = memory[chain] * step_work(batch)[step] * np.minimum(jobs, room)
    away = np.maximum(turns, SHORT)
    seen = np.where(turns > SHORT, 1.0 + np.expm1(-away) / away, 0.5 * turns)
    share = np.bincount(chain, weights=batch.path_probability * seen, minlength=len(excess))
    return np.where(lasting, 1.0 + np.maximum(excess, 0.0) * share, batch.chain_scv)
