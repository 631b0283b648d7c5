"""How long a run warms up: the MSER-5 rule on a pilot, pooled over replications.

The pilot plays the beginning of each replication with its event log. The latencies of a chain's
completed jobs, in order of arrival, are averaged in groups of five and then over replications. The
rule cuts off the groups that make the mean of the rest the least certain,

    d* = argmin  sum_{j > d} (Y_j - mean)^2 / (n - d)^2   over d in [0, n / 2].

Where the least is at the upper end, the pilot was too short to show the end of the transient, as it
was where a chain has hardly any jobs in it, and is played on; where none shows it, half of the run
is cut off. The longest warm-up of any chain counts. The runs proper begin with the same draws as
the pilot, so the time that was found is cut off the very path it was found on.

References:
    White, An effective truncation heuristic for bias reduction in simulation output, Simulation 69
    (1997).
    Hoad, Robinson and Davies, Automating warm-up length estimation, J. Oper. Res. Soc. 61 (2010).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from datagen.simulator.engine import Run
from datagen.simulator.kernel import ARRIVED, FINISHED, LEFT
from datagen.simulator.tally import RunLength

__all__ = ["PILOT_EVENTS", "mser", "warmup_time"]

Floats = NDArray[np.float64]

GROUP = 5
"""Jobs whose latencies are averaged first: the five of MSER-5."""

PILOT_EVENTS = 4e4
"""Expected events of the first pilot, all replications together."""

LONGER = 4.0
"""Factor on a pilot that was too short."""

LONGEST_PILOT = 6e5
"""Expected events from which a pilot is not played on: its log, 48 bytes an event, is in memory."""

FEWEST_GROUPS = 20
"""Groups below which a chain says nothing about the warm-up."""


def mser(series: Floats) -> int:
    """Return how many values to cut off the beginning of a series.

    Args:
        series: Values in order [N], N >= 2.

    Returns:
        Number of values, at most half of them.

    Example:
        >>> mser(np.array([9.0, 5.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0]))
        2
    """
    # Sums over what is left behind each cut, from the end; centred, so that squares do not cancel.
    centred = series - series[len(series) // 2 :].mean()
    left = np.arange(len(series), 0, -1)
    sums, squares = np.cumsum(centred[::-1])[::-1], np.cumsum(centred[::-1] ** 2)[::-1]
    error = (squares - sums**2 / left) / left**2
    return int(np.argmin(error[: len(series) // 2 + 1]))


def warmup_time(
    play: Callable[[RunLength], list[Run]], event_rate: float, runs: int, horizon: float
) -> float:
    """Return the time that each run should not count.

    Args:
        play: Plays a window of every replication and keeps the logs.
        event_rate: Expected events per second of a run.
        runs: Number of replications.
        horizon: Length of each [s].

    Returns:
        Time [s], at most half of the run.
    """
    events = PILOT_EVENTS
    while True:
        length = min(horizon, events / (event_rate * runs))
        played = play(RunLength.of(0.0, length))
        series = _latencies(played)
        settled = [mser(values) < len(values) // 2 for values, _ in series]
        last = length >= horizon or events >= LONGEST_PILOT
        if all(settled) and (last or len(series) == len(played[0].tally.offered)):
            times = [begins[mser(values)] for values, begins in series]
            return float(min(max(times, default=0.0), 0.5 * horizon))
        if last:
            return 0.5 * horizon
        events *= LONGER


def _latencies(runs: list[Run]) -> list[tuple[Floats, Floats]]:
    """Return grouped mean latencies [s], and when each group begins at the latest [s].

    Args:
        runs: The pilots of all replications.

    Returns:
        Two arrays per chain; chains with too few jobs are left out.
    """
    chains = len(runs[0].tally.offered)
    series = []
    for chain in range(chains):
        jobs = [_completed(run, chain) for run in runs]
        groups = min(len(arrivals) for arrivals, _ in jobs) // GROUP
        if groups < FEWEST_GROUPS:
            continue
        latency = [latencies[: groups * GROUP].reshape(groups, GROUP) for _, latencies in jobs]
        begins = [arrivals[: groups * GROUP : GROUP] for arrivals, _ in jobs]
        series.append((np.mean(latency, axis=(0, 2)), np.max(begins, axis=0)))
    return series


def _completed(run: Run, chain: int) -> tuple[Floats, Floats]:
    """Return arrival times and latencies [s] of a chain's completed jobs, in order of arrival."""
    assert run.log is not None
    log = run.log[run.log["chain"] == chain]
    came = log[(log["kind"] == ARRIVED) & (log["step"] == 0)]
    left = log[(log["kind"] == FINISHED) & (log["outcome"] == LEFT)]
    left = left[np.argsort(left["job"])]
    # Jobs are numbered from 0 as they arrive, and every one has been logged.
    arrivals = came["time"][left["job"]]
    return arrivals, left["time"] - arrivals
