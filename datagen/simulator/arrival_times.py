"""When the jobs of a chain arrive: every process drawn in order, chunk by chunk.

The times do not depend on how many are asked for at once. What takes a random number of draws per
arrival (phase processes) is therefore drawn in blocks of a fixed size and kept until asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import (
    Arrivals,
    MarkovArrivals,
    MarkovModulated,
    Periodic,
    PiecewisePoisson,
    Poisson,
    Recorded,
    Renewal,
)
from datagen.distributions import Gamma, HyperExponential
from datagen.errors import NotSupportedError

__all__ = ["ArrivalTimes", "arrival_times"]

Floats = NDArray[np.float64]

_BLOCK = 1024
"""Transitions of a phase process drawn at a time; part of what a seed means."""


class ArrivalTimes(ABC):
    """The arrival times of one chain, from the first one on."""

    @abstractmethod
    def fill(self, times: Floats) -> None:
        """Write the next arrival times.

        Args:
            times: Times [s], non-decreasing over all calls, overwritten [N], N >= 1.
        """

    def next(self, count: int) -> Floats:
        """Return the next arrival times.

        Args:
            count: How many, >= 1.

        Returns:
            Times [s], non-decreasing over all calls [count].
        """
        times = np.empty(count)
        self.fill(times)
        return times


class _Sums(ArrivalTimes):
    """Times whose gaps are drawn, in units of 1 / rate [s]."""

    def __init__(self, rng: np.random.Generator, rate: float = 1.0) -> None:
        self.rng = rng
        self.rate = rate
        self.last = 0.0

    @abstractmethod
    def gaps(self, room: Floats) -> None:
        """Write the next gaps [1 / rate] [N]; the first is the first arrival time."""

    def fill(self, times: Floats) -> None:
        from datagen.simulator.sum_kernel import add_up  # programs that draw nothing start sooner

        # One addition per arrival, over chunks too: last + cumsum(gaps) would round otherwise.
        self.gaps(times)
        add_up(times, self.last, self.rate)
        self.last = float(times[-1])


class _PoissonTimes(_Sums):
    def gaps(self, room: Floats) -> None:
        self.rng.standard_exponential(out=room)


class _RenewalTimes(_Sums):
    def __init__(self, rng: np.random.Generator, process: Renewal) -> None:
        super().__init__(rng)
        law = HyperExponential if process.scv >= 1 else Gamma
        self.law = law(mean=process.mean, scv=process.scv)

    def gaps(self, room: Floats) -> None:
        room[:] = self.law.quantile(self.rng.random(len(room)))


class _PeriodicTimes(_Sums):
    def __init__(self, rng: np.random.Generator, process: Periodic) -> None:
        super().__init__(rng)
        self.process = process
        self.last_jitter: float | None = None

    def gaps(self, room: Floats) -> None:
        process = self.process
        room[:] = process.period
        if self.last_jitter is None:
            # The first tick falls anywhere in the first period: streams have no common phase.
            room[0] = process.period * self.rng.random()
            self.last_jitter = 0.0
        if process.jitter > 0:
            jitter = process.jitter * self.rng.random(len(room))
            room += np.diff(jitter, prepend=self.last_jitter)
            self.last_jitter = float(jitter[-1])


class _PiecewiseTimes(ArrivalTimes):
    """Arrivals of rate 1, taken through the inverse of the expected number of arrivals."""

    def __init__(self, rng: np.random.Generator, process: PiecewisePoisson) -> None:
        self.unit = _PoissonTimes(rng, 1.0)
        self.starts, self.rates = np.array(process.times), np.array(process.rates)
        self.ends = np.append(self.starts[1:], np.inf)
        self.expected = np.append(0.0, np.cumsum(np.diff(self.starts) * self.rates[:-1]))

    def fill(self, times: Floats) -> None:
        number = self.unit.next(len(times))
        # The last piece that begins at or before: one of rate 0 has no length in these terms.
        piece = np.searchsorted(self.expected, number, side="right") - 1
        inside = (number - self.expected[piece]) / self.rates[piece]
        np.minimum(self.starts[piece] + inside, self.ends[piece], out=times)


class _RecordedTimes(ArrivalTimes):
    """The recording, again and again."""

    def __init__(self, process: Recorded) -> None:
        self.timestamps = np.array(process.timestamps)
        self.position = 0
        self.last = 0.0

    def fill(self, times: Floats) -> None:
        jobs = np.arange(self.position, self.position + len(times))
        self.position += len(times)
        round_, index = np.divmod(jobs, len(self.timestamps))
        played = self.timestamps[index] + round_ * self.timestamps[-1]
        # The sum for the end of a round may round above that for the start of the next.
        np.maximum.accumulate(np.maximum(played, self.last), out=times)
        self.last = float(times[-1])


class _PhaseTimes(ArrivalTimes):
    """Arrivals of a Markovian arrival process; its first phase is drawn from the long-run law.

    Reference:
        Neuts, A versatile Markovian point process, J. Appl. Probab. 16 (1979).
    """

    def __init__(self, rng: np.random.Generator, process: MarkovArrivals) -> None:
        self.rng = rng
        silent, loud = np.array(process.d0), np.array(process.d1)
        self.order = len(silent)
        self.leave = -np.diag(silent)
        np.fill_diagonal(silent, 0.0)
        moves = np.cumsum(np.hstack([silent, loud]), axis=1)
        self.moves = moves / moves[:, -1:]
        self.phase = self._drawn(np.cumsum(process.stationary()))
        self.last = 0.0
        self.ready = np.empty(0)

    def _drawn(self, cumulative: Floats) -> int:
        uniform = self.rng.random() * cumulative[-1]
        return int(np.searchsorted(cumulative, uniform, side="right"))

    def fill(self, times: Floats) -> None:
        parts, missing = [self.ready], len(times) - len(self.ready)
        while missing > 0:
            parts.append(self._block())
            missing -= len(parts[-1])
        drawn = np.concatenate(parts)
        times[:], self.ready = drawn[: len(times)], drawn[len(times) :]

    def _block(self) -> Floats:
        """Return the arrivals of the next transitions."""
        unit, uniforms = self.rng.standard_exponential(_BLOCK), self.rng.random(_BLOCK)
        # Where each phase would go; which of these is taken has to be followed one by one.
        targets = [np.searchsorted(row, uniforms, side="right").tolist() for row in self.moves]
        phase, order = self.phase, self.order
        phases, taken = [], []
        for index in range(_BLOCK):
            phases.append(phase)
            target = targets[phase][index]
            taken.append(target)
            phase = target % order
        self.phase = phase
        times = np.cumsum(np.concatenate(([self.last], unit / self.leave[phases])))[1:]
        self.last = float(times[-1])
        return times[np.array(taken) >= order]


def arrival_times(process: Arrivals, rng: np.random.Generator) -> ArrivalTimes:
    """Return the arrival times of a process.

    Args:
        process: The arrival process.
        rng: Its stream.

    Returns:
        The times, from the first on.

    Raises:
        NotSupportedError: If the process is none of :data:`datagen.arrivals.ARRIVALS`.
    """
    if isinstance(process, Poisson):
        return _PoissonTimes(rng, process.rate)
    if isinstance(process, Renewal):
        return _RenewalTimes(rng, process)
    if isinstance(process, Periodic):
        return _PeriodicTimes(rng, process)
    if isinstance(process, MarkovModulated):
        return _PhaseTimes(rng, process.as_map())
    if isinstance(process, MarkovArrivals):
        return _PhaseTimes(rng, process)
    if isinstance(process, PiecewisePoisson):
        return _PiecewiseTimes(rng, process)
    if isinstance(process, Recorded):
        return _RecordedTimes(process)
    raise NotSupportedError("simulate", f"arrivals={process.name}")
