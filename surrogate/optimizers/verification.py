"""Verification: how good a deployment is, by simulations long enough to be believed.

Runs begin with empty buffers. What they lose meanwhile is too little, so no run is shorter than
many relaxation times of the slowest device, and the first of these are not counted. After that,
runs are played longer as long as the loss ratio of some deployment is known too roughly, and time
allows: losses that come in rare bursts want many of these. Intervals are as wide as the few runs
that their standard errors come from ask for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.stats import t as student

from datagen.analytic.relaxation import settling_times
from datagen.deployment import Problem
from datagen.evaluation import Candidates, Measures
from datagen.evaluation.measures import Columns
from datagen.simulator import SimulationEvaluator, SimulationOptions
from datagen.simulator.standard_errors import INTERVAL_LEVEL, Z_LEVEL, wilson
from surrogate.optimizers.watch import PROOF, Steps, Watch, unwatched

__all__ = ["Verification", "same_window"]

WARMUP_MEMORIES = 5.0
"""Relaxation times that are not counted: an empty beginning then weighs less than a hundredth."""

RUN_MEMORIES = 25.0
"""Relaxation times of each run: its average is then of many independent stretches."""

LEAST_WARMUP = 0.05
"""Share of each run that is not counted at least."""

LONGER = 4.0
"""Length of a round over that of the one before: halves the interval."""

NEGLIGIBLE_LOSS = 1e-4
"""Upper end of an interval below which its relative width matters to nobody."""


def same_window(
    problem: Problem, *, events: float, replications: int, seed: int
) -> SimulationOptions:
    """Return options that give every placement of a problem one simulated time.

    Options with a number of events give a placement whose fragments share steps a longer time than
    others, in which it meets other jobs; differences would then not be of the placements alone.

    Args:
        problem: The problem.
        events: Events of a placement that loses nothing and fuses no fragments, all runs together.
        replications: Independent runs, >= 1.
        seed: Master seed, >= 0.

    Returns:
        Options with a horizon.
    """
    rate = sum(chain.arrivals.rate * (1 + len(chain.fragments)) for chain in problem.chains)
    return SimulationOptions(horizon=events / rate, replications=replications, seed=seed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """How long deployments are simulated to prove what they lose.

    Args:
        events: Events of each in the first round, > 0; below a second on the compiled engine.
        most: Events of a round, all deployments together, over ``events``, that nothing exceeds but
            a first round of many deployments, >= 1: a few seconds.
        precision: Half-width of a 95 % interval over the loss ratio from which it is known well
            enough, > 0.
        replications: Independent runs: enough to estimate a standard error from.
    """

    events: float = 2e6
    most: float = 20.0
    precision: float = 0.1
    replications: int = 8

    def measured(self, candidates: Candidates, seed: int, watch: Watch = unwatched) -> Measures:
        """Simulate deployments of one problem, all for the same time.

        Args:
            candidates: N deployments.
            seed: Master seed, >= 0.
            watch: Told how far the proof is, as if all rounds were needed.

        Returns:
            Their measures.
        """
        memory = float(settling_times(candidates.batch(laws=False)).max())
        most = self.events * max(self.most / len(candidates), 1.0)
        rounds = self._rounds(most)
        steps = Steps(PROOF, watch)
        for events in rounds:
            options = self.options(candidates.base.problem, events, most, memory, seed)
            share = events / (sum(rounds) * self.replications * len(candidates))
            simulated = SimulationEvaluator(options, partial(steps.add, share)).evaluate(candidates)
            measures = self._of_few_runs(simulated)
            if self._is_known(measures):
                break
        steps.end()
        return measures

    def _rounds(self, most: float) -> list[float]:
        """Return the events of a deployment in each round, if all rounds are needed."""
        rounds = [self.events]
        while LONGER * rounds[-1] <= most:
            rounds.append(LONGER * rounds[-1])
        return rounds

    def options(
        self, problem: Problem, events: float, most: float, memory: float, seed: int
    ) -> SimulationOptions:
        """Return how one round is simulated.

        Args:
            problem: The problem.
            events: Events of a deployment that loses nothing, where memory asks for no more.
            most: The largest number of them.
            memory: Relaxation time of the slowest device [s], >= 0.
            seed: Master seed, >= 0.

        Returns:
            Options whose runs, and the part of them that is not counted, suit the memory.
        """
        plain = same_window(problem, events=events, replications=self.replications, seed=seed)
        assert plain.horizon is not None
        wanted = max(plain.horizon, RUN_MEMORIES * memory * self.replications)
        horizon = min(wanted, plain.horizon * most / events)
        # Where the cap cuts runs short, the share stays what it would have been.
        share = WARMUP_MEMORIES * memory * self.replications / wanted
        if not np.isfinite(memory):
            share = WARMUP_MEMORIES / RUN_MEMORIES
        return replace(plain, horizon=horizon, warmup=max(share, LEAST_WARMUP))

    def _of_few_runs(self, measures: Measures) -> Measures:
        """Widen the intervals of the loss ratios from normal quantiles to Student's."""
        columns = measures.deployment
        names = ("loss_ratio", "loss_ratio_se")
        loss, error = (np.asarray(columns[name], dtype=np.float64) for name in names)
        offered = np.add.reduceat(measures.chain["offered"], measures.chain_start[:-1])
        quantile = float(student.ppf(0.5 + INTERVAL_LEVEL / 2, self.replications - 1))
        low, high = wilson(loss, quantile / Z_LEVEL * error, offered)
        values = {name: columns[name] for name in columns}
        values |= {"loss_ratio_low": low, "loss_ratio_high": high}
        return replace(measures, deployment=Columns("deployment", columns.rows, values))

    def _is_known(self, measures: Measures) -> bool:
        """Tell whether every interval is narrow enough; what has no steady state has none."""
        loss, low, high = (
            np.asarray(measures.deployment[name], dtype=np.float64)
            for name in ("loss_ratio", "loss_ratio_low", "loss_ratio_high")
        )
        narrow = 0.5 * (high - low) <= self.precision * loss
        return bool((narrow | (high < NEGLIGIBLE_LOSS) | np.isnan(loss)).all())
