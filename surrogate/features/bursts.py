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

__all__ = ["dispersion"]

Floats = NDArray[np.float64]

MODULATED = ARRIVAL_NAMES.index("mmpp")


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
