"""Thresholds by arrival rate, made in advance and looked up online.

References:
    Github imperial-qore/CEED (BSD 3-Clause), ``bo_offline_scheduler``: thresholds found by Bayesian
    optimization, looked up by the nearest time between arrivals.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datagen.errors import InvalidInputError, require
from datagen.policies.arrival_rate import WINDOW, ArrivalRate
from datagen.policies.exit_policy import Decision, ExitPolicy, Scene, Seen

__all__ = ["TabledThresholds", "ThresholdTable"]

FORM = 1
"""Version of the JSON form."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdTable:
    """Thresholds of a network at increasing arrival rates.

    Args:
        rates: Arrival rates of the chain [1/s], > 0, increasing [N].
        thresholds: Thresholds of its intermediate classifiers at each, >= 0 [N][E - 1].

    Raises:
        InvalidInputError: If the rates do not increase, or rows are of different length.
    """

    rates: tuple[float, ...]
    thresholds: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        proper = len(self.rates) > 0 and all(math.isfinite(x) and x > 0 for x in self.rates)
        rising = proper and all(a < b for a, b in zip(self.rates, self.rates[1:], strict=False))
        require(rising, "rates", "be > 0 and increase", self.rates)
        rows = len(self.thresholds)
        require(rows == len(self.rates), "thresholds", f"hold {len(self.rates)} rows", rows)
        for number, row in enumerate(self.thresholds):
            even = len(row) == len(self.thresholds[0]) and all(0 <= x < math.inf for x in row)
            rule = f"hold {len(self.thresholds[0])} numbers >= 0"
            require(even, f"thresholds[{number}]", rule, row)

    def nearest(self, rate: float) -> int:
        """Return the number of the entry of the nearest rate.

        Args:
            rate: Arrival rate [1/s], >= 0.

        Returns:
            0-based number.
        """
        place = bisect_left(self.rates, rate)
        if place == 0 or place == len(self.rates):
            return min(place, len(self.rates) - 1)
        return place - 1 if rate - self.rates[place - 1] < self.rates[place] - rate else place

    def save(self, path: str | Path) -> None:
        """Write the table as JSON.

        Args:
            path: The file.
        """
        document = {"form": FORM, "rates_per_s": self.rates, "thresholds": self.thresholds}
        Path(path).write_text(json.dumps(document, allow_nan=False, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> ThresholdTable:
        """Read a table.

        Args:
            path: File that :meth:`save` wrote.

        Returns:
            The table.

        Raises:
            InvalidInputError: If the file is no such table.
        """
        try:
            document = json.loads(Path(path).read_text())
            form = document["form"]
            rates = tuple(float(x) for x in document["rates_per_s"])
            rows = tuple(tuple(float(x) for x in row) for row in document["thresholds"])
        except (OSError, ValueError, KeyError, TypeError):
            raise InvalidInputError("table", "be a table of thresholds", str(path)) from None
        require(form == FORM, "table", f"have form {FORM}", form)
        return cls(rates=rates, thresholds=rows)


class TabledThresholds(ExitPolicy):
    """Thresholds of the table's entry nearest to the rate that is measured where jobs first come.

    Args:
        table: The table.
        window: Arrivals that the rate is measured over, >= 2.
    """

    def __init__(self, table: ThresholdTable, *, window: int = WINDOW) -> None:
        self.table, self.window = table, window

    def begin(self, scene: Scene, rng: np.random.Generator) -> None:
        wide = len(self.table.thresholds[0])
        matching = wide == scene.exits - 1
        require(matching, "table", f"hold {scene.exits - 1} thresholds per rate", wide)
        rates = {scene.stages[n].device: scene.stages[n].rate for n in scene.path_start[:-1]}
        self._first = set(rates)
        self._rate = ArrivalRate(sum(rates.values()), self.window)
        self._decisions = [
            [
                Decision(row[stage.first_exit : stage.first_exit + stage.classifiers])
                for row in self.table.thresholds
            ]
            for stage in scene.stages
        ]

    def decide(self, seen: Seen) -> Decision:
        return self._decisions[seen.stage][self.table.nearest(self._rate.rate(seen.time))]

    def arrived(self, device: int, time: float, admitted: bool) -> None:
        if device in self._first:
            self._rate.add(time)
