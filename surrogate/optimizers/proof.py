"""Proof by simulation: which finalist is best on seeds A, and how good it is on fresh seeds B."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from datagen.evaluation import Measures
from datagen.simulator import SimulationEvaluator
from datagen.simulator.simulation import warm_up
from surrogate.optimizers.baselines import least_loaded
from surrogate.optimizers.budget import Budget, Clock
from surrogate.optimizers.goal import Goal
from surrogate.optimizers.known_accuracy import KnownAccuracy
from surrogate.optimizers.selection import RUNS, Selection, race
from surrogate.optimizers.space import Placements, PlacementSpace
from surrogate.optimizers.verification import Verification, same_window
from surrogate.optimizers.watch import Watch, unwatched

__all__ = ["FINALISTS", "Proof", "same_window"]

FINALISTS = 8
"""Best candidates of a search that are simulated before one is chosen; the start comes on top."""

SELECTION_EVENTS = 3e5
"""Events per finalist where time allows: a loss ratio of 5 % is then known to about 2 % of itself,
and differences better, because finalists meet the same random numbers."""

SELECTION_SHARE = 0.25
"""Largest share of a budget in seconds that selection takes."""

ENOUGH_EVENTS = 4e4
"""Events per finalist below which rather fewer finalists are simulated: runs begin with empty
buffers, and short ones would choose what fills them slowly."""

LEAST_SELECTION_EVENTS = 5e3
"""Fewer events would choose by luck; a budget too small for them is exceeded by milliseconds."""

VERIFICATION_EVENTS = 2e6
"""Events of each of the two verified deployments, if no more are needed: below a second on the
compiled engine."""

PROBE_EVENTS = 1e5
"""Events of the run that measures the speed of the simulator beforehand."""

PROBE_CAPACITY = 10_000
"""Stands for an unlimited buffer there: room for whatever queues up in so short a run."""

MARGIN = 1.3
"""Factor on the probed time: other programs may take the processor in between."""


class Proof:
    """Simulates finalists; knows from a probe how long that takes.

    Args:
        space: The placements of the problem.
        selection_seed: Seed set A.
        verification_seed: Seed set B.
        budget: The budget that selection is part of.
        finalists: Largest number of candidates that are simulated besides the start.
        typical: A row like those that win, which tells how long events take [F]; by default the
            least-loaded placement.
        watch: Told how far the verification is.
    """

    def __init__(
        self,
        space: PlacementSpace,
        *,
        selection_seed: int,
        verification_seed: int,
        budget: Budget,
        finalists: int = FINALISTS,
        typical: Placements | None = None,
        watch: Watch = unwatched,
    ) -> None:
        self._space, self._watch = space, watch
        self._now = budget.now
        self._seeds = selection_seed, verification_seed
        self.events, self.finalists = SELECTION_EVENTS, finalists
        self.reserve = 0.0
        warm_up(space.repeated_start(1).batch())
        typical = least_loaded(space) if typical is None else typical
        second_per_event = self._probed(typical, selection_seed)
        if budget.seconds is not None:
            second_per_event *= MARGIN
            affordable = SELECTION_SHARE * budget.seconds / second_per_event
            self.finalists = int(np.clip(affordable / ENOUGH_EVENTS - 1, 1, finalists))
            each = affordable / (self.finalists + 1)
            self.events = float(np.clip(each, LEAST_SELECTION_EVENTS, SELECTION_EVENTS))
            self.reserve = second_per_event * self.events * (self.finalists + 1)

    def _probed(self, typical: Placements, seed: int) -> float:
        """Measure the time that one event takes [s], on a row like those that win.

        The start may lose nearly everything at its first device, or have no steady state at all:
        its events would be few and cheap. So another row is played, buffers without a limit are
        given one, and the events that happened are counted, not those expected.
        """
        base = self._space.candidates(typical[None]).deployment(0)
        devices = tuple(
            replace(device, capacity=PROBE_CAPACITY) if device.capacity is None else device
            for device in base.problem.devices
        )
        problem = replace(base.problem, devices=devices)
        options = same_window(problem, events=PROBE_EVENTS, replications=4, seed=seed)
        evaluator = SimulationEvaluator(options)
        began = self._now()
        measures = evaluator.evaluate([replace(base, problem=problem)])
        return (self._now() - began) / float(measures.deployment["events"][0])

    def _simulated(self, rows: Placements, events: float, runs: int, seed: int) -> Measures:
        """Simulate placements for one length of time, so that all meet the same jobs."""
        problem = self._space.base.problem
        options = same_window(problem, events=events, replications=runs, seed=seed)
        evaluator = KnownAccuracy(SimulationEvaluator(options))
        return evaluator.evaluate(self._space.candidates(rows))

    def selected(self, rows: Placements, goal: Goal, clock: Clock) -> Selection:
        """Choose the best of some placements on seed set A.

        Args:
            rows: Placements [N, F], the start first; the first wins ties.
            goal: What is minimised and limited; the first objective decides.
            clock: The running budget.

        Returns:
            The choice.
        """

        def play(some: Placements, run: int) -> Measures:
            return self._simulated(some, self.events / RUNS, 1, self.run_seed(run))

        return race(
            rows, self._space.excess(rows), goal, play, clock.seconds_left, clock.budget.now
        )

    def run_seed(self, run: int) -> int:
        """Return the seed of a run of the selection.

        Args:
            run: 0-based run.

        Returns:
            Seed, >= 0.
        """
        return int(np.random.SeedSequence([self._seeds[0], run]).generate_state(1)[0])

    def checked(self, rows: Placements) -> Measures:
        """Measure placements on seed set A.

        Args:
            rows: Placements [N, F].

        Returns:
            Measures with intervals; however small the budget, as precise as a selection can be.
        """
        return self._simulated(rows, SELECTION_EVENTS, RUNS, self._seeds[0])

    def verified(self, rows: Placements) -> Measures:
        """Measure placements on seed set B, which nothing was chosen by.

        Args:
            rows: Placements [N, F].

        Returns:
            Measures with intervals.
        """
        verification = Verification(events=VERIFICATION_EVENTS)
        return verification.measured(self._space.candidates(rows), self._seeds[1], self._watch)
