"""What one run counts: plain sums that both engines fill and the estimators read."""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.simulator.network import Network

__all__ = [
    "BATCHES",
    "BIN_SHIFT",
    "FIRST_BIN",
    "HISTOGRAM_BINS",
    "RunLength",
    "Tally",
    "bin_edges",
    "histogram_of",
    "latency_bin",
]

BATCHES = 32
"""Batch means per run: enough for a variance, few enough that batches are long."""

BIN_SHIFT = 45
"""Bits of a float64 below a histogram bin: 52 - 45 = 7 bits of mantissa, bins of at most 0.8 %."""
_SMALLEST_EXPONENT, _LARGEST_EXPONENT = -30, 30
"""Latencies from 1 ns to 34 years; what lies outside goes to the end bins."""
FIRST_BIN = (1023 + _SMALLEST_EXPONENT) << (52 - BIN_SHIFT)
HISTOGRAM_BINS = (_LARGEST_EXPONENT - _SMALLEST_EXPONENT) << (52 - BIN_SHIFT)


def latency_bin(latency: float) -> int:
    """Return the logarithmic histogram bin of a latency, read from its bits.

    Args:
        latency: Latency [s], >= 0.

    Returns:
        Bin in [0, HISTOGRAM_BINS).
    """
    bits: int = struct.unpack("<q", struct.pack("<d", latency))[0]
    return min(max((bits >> BIN_SHIFT) - FIRST_BIN, 0), HISTOGRAM_BINS - 1)


def bin_edges() -> NDArray[np.float64]:
    """Return the lower edges of the bins, and the upper of the last [s] [HISTOGRAM_BINS + 1]."""
    bits = (np.arange(HISTOGRAM_BINS + 1, dtype=np.int64) + FIRST_BIN) << BIN_SHIFT
    return bits.view(np.float64)


class RunLength(NamedTuple):
    """The window of one run; a cohort job is one that arrives in (warmup, horizon].

    Args:
        warmup: Start of the window [s], >= 0.
        horizon: End of the window [s], > warmup.
        limit: When to give up on cohort jobs that do not leave [s].
        batches_per_second: BATCHES / (horizon - warmup).
    """

    warmup: float
    horizon: float
    limit: float
    batches_per_second: float

    @classmethod
    def of(cls, warmup: float, horizon: float) -> RunLength:
        """Return the window (warmup, horizon], given up after one more horizon."""
        return cls(float(warmup), float(horizon), 2.0 * horizon, BATCHES / (horizon - warmup))

    def batch_of(self, arrival: float) -> int:
        """Return the batch of a job by its arrival time, or -1 outside of the cohort."""
        if not self.warmup < arrival <= self.horizon:
            return -1
        return min(math.floor((arrival - self.warmup) * self.batches_per_second), BATCHES - 1)


def histogram_of(network: Network) -> NDArray[np.int64]:
    """Return room to count the latencies of a network's chains.

    Args:
        network: The network.

    Returns:
        Zeros [C, HISTOGRAM_BINS].
    """
    return np.zeros((network.chains, HISTOGRAM_BINS), dtype=np.int64)


class Tally(NamedTuple):
    """Sums over one run.

    Chain and step counts are over the cohort, the jobs that arrive in (warmup, horizon]. Areas are
    integrals over the time window (warmup, horizon]. A job that is being sent is at neither step,
    but keeps its units where the link says so.

    Args:
        offered: Cohort arrivals by chain and batch [C, BATCHES].
        completed: Of these, completed [C, BATCHES].
        lost: Of these, lost [C, BATCHES].
        latency: Summed latency of the completed [s] [C, BATCHES].
        on_time: Completed within their chain's deadline [C].
        histogram: Completed by latency bin [C, HISTOGRAM_BINS].
        step_offered: Cohort arrivals at each step [S].
        step_lost: Of these, lost there [S].
        step_served: Of these, served [S].
        step_sojourn: Summed time at the step of all served [s] [S].
        step_sojourn_completed: Summed time at the step of jobs that later complete [s] [S].
        busy: Busy-server time [s] [D].
        jobs: Job-seconds [s] [D].
        units: Unit-seconds [s] [D].
    """

    offered: NDArray[np.int64]
    completed: NDArray[np.int64]
    lost: NDArray[np.int64]
    latency: NDArray[np.float64]
    on_time: NDArray[np.int64]
    histogram: NDArray[np.int64]
    step_offered: NDArray[np.int64]
    step_lost: NDArray[np.int64]
    step_served: NDArray[np.int64]
    step_sojourn: NDArray[np.float64]
    step_sojourn_completed: NDArray[np.float64]
    busy: NDArray[np.float64]
    jobs: NDArray[np.float64]
    units: NDArray[np.float64]

    @classmethod
    def zeros(cls, network: Network, histogram: NDArray[np.int64]) -> Tally:
        """Return an empty tally for a network, but for a histogram to be added to.

        Args:
            network: The network.
            histogram: Counts by latency bin, its own or that of several runs [C, HISTOGRAM_BINS].

        Returns:
            The tally.
        """
        by_batch = (network.chains, BATCHES)
        return cls(
            offered=np.zeros(by_batch, dtype=np.int64),
            completed=np.zeros(by_batch, dtype=np.int64),
            lost=np.zeros(by_batch, dtype=np.int64),
            latency=np.zeros(by_batch),
            on_time=np.zeros(network.chains, dtype=np.int64),
            histogram=histogram,
            step_offered=np.zeros(network.steps, dtype=np.int64),
            step_lost=np.zeros(network.steps, dtype=np.int64),
            step_served=np.zeros(network.steps, dtype=np.int64),
            step_sojourn=np.zeros(network.steps),
            step_sojourn_completed=np.zeros(network.steps),
            busy=np.zeros(network.devices),
            jobs=np.zeros(network.devices),
            units=np.zeros(network.devices),
        )
