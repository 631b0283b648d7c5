"""Arrival rates measured online: over a window of the latest arrivals, lost ones included."""

from __future__ import annotations

from collections import deque

from datagen.errors import require
from datagen.policies.exit_policy import Scene

__all__ = ["WINDOW", "ArrivalRate", "device_rates"]

WINDOW = 20
"""Arrivals in the window: a rate known to a fifth or so, after a burst of as many jobs."""


class ArrivalRate:
    """The rate of the latest arrivals at one device.

    The time since the last arrival counts as soon as it is longer than gaps have been: after a
    silence the estimate falls without waiting for the next arrival.

    Args:
        first: Rate that is assumed before two jobs have come [1/s], > 0.
        window: Arrivals that are remembered, >= 2.

    Raises:
        InvalidInputError: If an argument is out of range.
    """

    def __init__(self, first: float, window: int = WINDOW) -> None:
        require(first > 0, "first", "be > 0", first)
        require(window >= 2, "window", "be >= 2", window)
        self._first = first
        self._times: deque[float] = deque(maxlen=window)

    def add(self, time: float) -> None:
        """Note an arrival.

        Args:
            time: Now [s], never less than before.
        """
        self._times.append(time)

    def gap(self, now: float) -> float:
        """Return the mean time between arrivals [s].

        Args:
            now: The time [s], not before the last arrival.

        Returns:
            Mean gap, > 0.
        """
        gaps = len(self._times) - 1
        if gaps < 1 or self._times[-1] == self._times[0]:
            return 1.0 / self._first
        mean = (self._times[-1] - self._times[0]) / gaps
        return max(mean, (now - self._times[0]) / (gaps + 1))

    def rate(self, now: float) -> float:
        """Return the arrival rate [1/s] at a time [s], see :meth:`gap`."""
        return 1.0 / self.gap(now)


def device_rates(scene: Scene, window: int) -> dict[int, ArrivalRate]:
    """Return a fresh measurement of the arrivals at every device of a chain.

    Args:
        scene: What is known in advance: rates before anything is measured.
        window: Arrivals that are remembered, >= 2.

    Returns:
        Device -> its rate.
    """
    return {stage.device: ArrivalRate(stage.rate, window) for stage in scene.stages}
