"""What a user says about a simulation: which engine, how long, how often, how precise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from datagen.errors import InvalidInputError, require
from datagen.simulator.tally import BATCHES

__all__ = ["MOST_EVENTS", "WARMUP_RULE", "WINDOW_COUNTS", "EngineName", "SimulationOptions"]

EngineName = Literal["auto", "numba", "simpy"]

WARMUP_RULE = "mser5"
"""Word for a warm-up that is found instead of given, see :mod:`datagen.simulator.warmup`."""

WINDOW_COUNTS: tuple[int, ...] = tuple(n for n in range(1, BATCHES + 1) if BATCHES % n == 0)
"""Numbers of windows: each holds whole batches of the sums that engines keep."""

MOST_EVENTS = 1e10
"""Expected events of one deployment that are ever simulated: most of an hour of the compiled
engine. More is asked for by mistake, as by a horizon in milliseconds or a rate per hour."""

SHORTEST = 1e-100
"""Of any length or precision: shorter windows have no inverse."""

LENGTHS = ("horizon", "events", "offered", "precision", "counts")


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulationOptions:
    """How deployments are simulated, with at most one way to say for how long.

    Args:
        engine: ``numba`` (compiled), ``simpy`` (readable), or ``auto`` for the fastest that fits.
        horizon: Simulated time, all replications together [s], > 0; of each of them where a
            schedule or ``windows`` want the whole of it.
        events: Expected arrivals and service completions, all replications together, > 0.
        offered: Expected arrivals of the slowest chain, all replications together, > 0. Fixed event
            counts starve slow chains, whose labels then dominate every error.
        precision: Relative 95 % half-width to reach for every chain's throughput ratio and latency.
        loss_precision: The same for every chain's loss ratio, unless its upper bound falls below
            ``NEGLIGIBLE_LOSS``; alone, or beside ``precision``.
        counts: Whether to go on until every chain has ``min_offered`` jobs, and of these
            ``min_completed`` completed and ``min_lost`` lost, all replications together.
        min_offered: See ``counts``; >= 1.
        min_completed: See ``counts``; >= 0.
        min_lost: See ``counts``; >= 0.
        enough_offered: Jobs of a chain from which ``min_lost`` is no longer waited for: its loss
            ratio is then known to be tiny.
        replications: Independent runs that share the length, >= 1. A schedule of rates or contexts
            is played whole in every run, a recording in one run only.
        warmup: Share of each run that is not counted, in [0, 1); or ``mser5``, which finds it from
            a first look at each deployment.
        settle: Relaxation times of the slowest device that every run warms up at least, >= 0, as
            :mod:`datagen.analytic.relaxation` tells them. What that is longer than ``warmup`` is
            played on top of the length, as far as ``max_events`` allows; not where rates or
            contexts follow a schedule or a recording, which begins when it begins.
        windows: Equal parts of the time behind the warm-up to report on apart, one of
            ``WINDOW_COUNTS``, or None. Every run then plays the whole length.
        seed: Master seed, >= 0.
        max_events: Expected events that ``offered``, ``precision`` and ``counts`` never exceed, at
            most ``MOST_EVENTS``; where they would, the row is not ``precise``.
    """

    engine: EngineName = "auto"
    horizon: float | None = None
    events: float | None = None
    offered: float | None = None
    precision: float | None = None
    loss_precision: float | None = None
    counts: bool = False
    min_offered: int = 10_000
    min_completed: int = 1_000
    min_lost: int = 0
    enough_offered: float = 1e7
    replications: int = 4
    warmup: float | str = 0.05
    settle: float = 0.0
    windows: int | None = None
    seed: int = 0
    max_events: float = 1e8

    def __post_init__(self) -> None:
        known = self.engine in ("auto", "numba", "simpy")
        require(known, "engine", "be auto, numba or simpy", self.engine)
        for field in ("horizon", "events", "offered", "precision", "loss_precision"):
            value = getattr(self, field)
            if value is not None:
                require(np.isfinite(value) and value > 0, field, "be finite and > 0", value)
                require(value >= SHORTEST, field, f"be at least {SHORTEST:g}", value)
        asked = {name: getattr(self, name) for name in LENGTHS}
        asked["precision"] = asked["precision"] or self.loss_precision
        given = [name for name, value in asked.items() if value]
        require(len(given) <= 1, "length", f"be one of {', '.join(LENGTHS)}", given)
        require(self.min_offered >= 1, "min_offered", "be >= 1", self.min_offered)
        require(self.min_completed >= 0, "min_completed", "be >= 0", self.min_completed)
        require(self.min_lost >= 0, "min_lost", "be >= 0", self.min_lost)
        require(self.enough_offered > 0, "enough_offered", "be > 0", self.enough_offered)
        require(self.replications >= 1, "replications", "be >= 1", self.replications)
        self._check_warmup()
        require(0 <= self.settle < np.inf, "settle", "be finite and >= 0", self.settle)
        if self.windows is not None:
            rule = f"be one of {', '.join(map(str, WINDOW_COUNTS))}"
            whole = isinstance(self.windows, int) and self.windows in WINDOW_COUNTS
            require(whole, "windows", rule, self.windows)
        require(self.seed >= 0, "seed", "be >= 0", self.seed)
        rule = f"be > 0 and at most {MOST_EVENTS:g}"
        require(0 < self.max_events <= MOST_EVENTS, "max_events", rule, self.max_events)

    def _check_warmup(self) -> None:
        if self.warmup == WARMUP_RULE:
            return
        if isinstance(self.warmup, str):
            raise InvalidInputError("warmup", f"be a share or {WARMUP_RULE}", self.warmup)
        require(0 <= self.warmup < 1, "warmup", "lie in [0, 1)", self.warmup)

    @property
    def stops_by_rule(self) -> bool:
        """Whether the length is found while simulating."""
        return self.counts or self.precision is not None or self.loss_precision is not None
