"""What has drifted: the arrival rate, the difficulty of samples, the losses that come of it all."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.exits import ExitTrace

__all__ = ["ContextFilter", "LossPrice", "SteppingRate"]

Floats = NDArray[np.float64]

MEMORY = 400
"""Arrivals that a steady rate is measured over: known to a twentieth."""

TESTED = (6, 12, 24, 48)
"""Latest arrivals whose rate is compared with that of all: few tell large steps soon, many small
ones."""

SIGNIFICANT = 3.3
"""Standard deviations of a logarithm by which they have to differ: a false alarm every few hundred
arrivals, after which a steady rate is soon known again."""

SILENCE = 4.0
"""Mean gaps without an arrival from which the silence itself is taken for a lower rate."""

SWITCHING = 1.0 / 200.0
"""Probability that a job meets another context than the one before it."""

BINS = 8
"""Bins of confidences, each holding as many calibration samples: contexts differ by smooth
shifts."""

GAIN = 0.001
"""Step of the price per job: it settles over a thousand jobs."""


class SteppingRate:
    """An arrival rate that is constant for long and then another one.

    All arrivals since the last step are averaged. A step is where the latest ones come
    significantly faster or slower than all: what came before them is forgotten then.

    Args:
        first: Rate that is assumed before two jobs have come [1/s], > 0.

    Raises:
        InvalidInputError: If the rate is not positive.

    References:
        Page, Continuous inspection schemes, Biometrika 41, 1954 (tests of the latest observations).
    """

    def __init__(self, first: float) -> None:
        require(first > 0, "first", "be > 0", first)
        self._gap = 1.0 / first
        self._times: deque[float] = deque(maxlen=MEMORY)

    def add(self, time: float) -> None:
        """Note an arrival.

        Args:
            time: Now [s], never less than before.
        """
        times = self._times
        times.append(time)
        gaps = len(times) - 1
        if gaps < 1 or time == times[0]:
            return
        self._gap = (time - times[0]) / gaps
        for latest in TESTED:
            if 2 * latest > gaps:
                return
            own = (time - times[-1 - latest]) / latest
            if own == 0 or abs(math.log(own / self._gap)) * math.sqrt(latest) > SIGNIFICANT:
                self._times = deque(list(times)[-1 - latest :], maxlen=MEMORY)
                self._gap = max(own, math.ulp(time))
                return

    def rate(self, now: float) -> float:
        """Return the arrival rate [1/s] at a time [s], not before the last arrival."""
        silence = now - self._times[-1] if self._times else 0.0
        return 1.0 / max(self._gap, silence / SILENCE)


class ContextFilter:
    """Which context jobs meet, by how sure the first classifier is that they are asked by.

    Contexts hold for many jobs; given the context, confidences are independent. The filter is that
    of a hidden Markov chain.

    Args:
        calibration: Recorded answers with contexts.
        switching: Probability that a job meets another context than the one before, in (0, 1).

    Raises:
        InvalidInputError: If there are no contexts, or the probability is out of range.

    References:
        Rabiner, A tutorial on hidden Markov models, Proceedings of the IEEE 77, 1989 (forward
        recursion).
    """

    def __init__(self, calibration: ExitTrace, *, switching: float = SWITCHING) -> None:
        known = calibration.context is not None
        require(known, "calibration", "have contexts", calibration.name)
        require(0 < switching < 1, "switching", "lie in (0, 1)", switching)
        assert calibration.context is not None
        contexts, exits = calibration.contexts, calibration.exits
        confidences = calibration.confidences
        self._edges = np.quantile(confidences, np.arange(1, BINS) / BINS, axis=0).T.tolist()
        self._likelihood = np.ones((exits, BINS, contexts))  # one of each beforehand
        for exit_ in range(exits):
            bins = np.searchsorted(self._edges[exit_], confidences[:, exit_], side="right")
            np.add.at(self._likelihood[exit_], (bins, calibration.context), 1.0)
        self._likelihood /= self._likelihood.sum(axis=1, keepdims=True)
        self._switching = switching
        self.belief: Floats = np.full(contexts, 1.0 / contexts)
        """Probability of each context [K]."""

    def see(self, exit_: int, confidence: float) -> None:
        """Take in how sure the first classifier was that a job has met.

        Args:
            exit_: Which classifier it was.
            confidence: How sure it was, in [0, 1].
        """
        place = int(np.searchsorted(self._edges[exit_], confidence, side="right"))
        spread = self._switching / len(self.belief)
        belief = ((1.0 - self._switching) * self.belief + spread) * self._likelihood[exit_][place]
        self.belief = belief / belief.sum()


class LossPrice:
    """The price of a lost job, raised while more are lost than wanted and lowered while fewer are.

    It moves along a scale of prices: each job lowers it a little, and each loss raises it by that
    over the target, so that it rests where the target is met.

    Args:
        loss_target: Loss ratio to come to, in (0, 1).
        first: Where to start, in [0, last].
        last: The largest price, counted from 0 on.
        gain: Step per job, in units of the scale, > 0.

    Raises:
        InvalidInputError: If an argument is out of range.
    """

    def __init__(self, loss_target: float, first: float, last: int, *, gain: float = GAIN) -> None:
        require(0 < loss_target < 1, "loss_target", "lie in (0, 1)", loss_target)
        require(0 <= first <= last, "first", f"lie in [0, {last}]", first)
        require(gain > 0, "gain", "be > 0", gain)
        self._loss_step, self._gain, self._last = gain / loss_target, gain, last
        self.place = float(first)
        """Where the price is on the scale, in [0, last]."""

    def job(self) -> None:
        """Note that a job has come to the system."""
        self.place = max(self.place - self._gain, 0.0)

    def loss(self) -> None:
        """Note that a job has been lost somewhere."""
        self.place = min(self.place + self._loss_step, float(self._last))
