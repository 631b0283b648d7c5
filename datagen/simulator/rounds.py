"""Rounds: deployments are played, estimated together, and played on until their rule is content.

Each round of a deployment starts afresh, twice as long as the one before. What is found does not
depend on which deployments share a round.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datagen.errors import DeadlockError
from datagen.evaluation import DeploymentBatch
from datagen.evaluation.fields import ranges
from datagen.simulator.estimation import Estimates, Played, estimate
from datagen.simulator.options import SimulationOptions
from datagen.simulator.plays import Play
from datagen.simulator.stopping import is_reached

__all__ = ["TOGETHER", "Results", "play_rounds"]

TOGETHER = 64
"""Deployments that share rounds: enough to estimate many at once, few enough for memory."""

_MANY_RUNS = 8
"""Runs from which deployments are estimated one by one: from eight numbers on, NumPy adds those of
a lone row in another order than those of several rows, and what is found must not hang on that."""

LONGER = 2.0
"""Length of a round over that of the one before."""

_FLAGS = {"truncated": False, "phase_dependent": False, "precise": True, "deadlocked": False}
"""What is said of deployments that are not played."""

_NUMBERS = ("loss_ratio", "loss_ratio_se", "loss_ratio_low", "loss_ratio_high", "events", "warmup")


class Results:
    """Measures of a batch that come in deployment by deployment; what never comes is NaN.

    Args:
        batch: The deployments.
        windows: Windows that time is cut into.
    """

    def __init__(self, batch: DeploymentBatch, windows: int) -> None:
        self.windows = windows
        self.deadlocks: list[DeadlockError] = []
        self.starts = {
            "chain": batch.chain_start,
            "step": batch.step_start[batch.path_start[batch.chain_start]],
            "device": batch.device_start,
            "window": batch.chain_start * windows,
        }
        """Offsets of the rows of each deployment by level [B + 1]."""
        deployments = {name: np.full(len(batch), np.nan) for name in _NUMBERS}
        flags = {name: np.full(len(batch), unsaid) for name, unsaid in _FLAGS.items()}
        self.columns: dict[str, dict[str, NDArray[np.float64] | NDArray[np.bool_]]] = {
            "deployment": deployments | flags,
            **{level: {} for level in self.starts},
        }

    def take_deadlock(self, deployment: int, error: DeadlockError) -> None:
        """Take note that there are no measures of a deployment.

        Args:
            deployment: Which it is, 0-based.
            error: What happened.
        """
        self.columns["deployment"]["deadlocked"][deployment] = True
        self.deadlocks.append(error)

    def take(
        self, deployments: NDArray[np.int64], estimates: Estimates, kept: NDArray[np.bool_]
    ) -> None:
        """Take in the measures of deployments.

        Args:
            deployments: Which they are, 0-based [D].
            estimates: Their measures.
            kept: Which of them to take in [D].
        """
        for name, values in estimates.deployment.items():
            self.columns["deployment"][name][deployments[kept]] = values[kept]
        for level, start in self.starts.items():
            sizes = start[deployments + 1] - start[deployments]
            rows = ranges(start[deployments[kept]], sizes[kept])
            own = np.repeat(kept, sizes)
            columns = self.columns[level]
            for name, found in getattr(estimates, level).items():
                if name not in columns:
                    columns[name] = np.full(int(start[-1]), np.nan)
                columns[name][rows] = found[own]


def play_rounds(plays: Sequence[Play], options: SimulationOptions, results: Results) -> None:
    """Play deployments for the length asked for, or until the stopping rule is content.

    Args:
        plays: The deployments.
        options: How long.
        results: Takes the measures.
    """
    waiting = [(play, play.first_horizon) for play in plays]
    while waiting:
        waiting, played = _free_of_deadlock(waiting, results)
        longer = []
        for group in _alike(played):
            own = [waiting[place] for place in group]
            estimates = estimate([played[place] for place in group], windows=results.windows)
            horizons = np.array([horizon for _, horizon in own])
            last = horizons >= np.array([play.longest_horizon for play, _ in own])
            if options.stops_by_rule:
                precise = is_reached(estimates, len(group), options)
                done = precise | last
            else:
                # Where the cap cut off some of the jobs asked for, it must not go unsaid.
                precise, done = ~last | (options.offered is None), np.full(len(group), True)
            estimates.deployment["precise"] = precise
            results.take(np.array([play.index for play, _ in own]), estimates, done)
            longer += [
                (play, min(LONGER * horizon, play.longest_horizon))
                for (play, horizon), is_done in zip(own, done, strict=True)
                if not is_done
            ]
        waiting = longer


def _free_of_deadlock(
    waiting: list[tuple[Play, float]], results: Results
) -> tuple[list[tuple[Play, float]], list[Played]]:
    """Play deployments, and leave out those whose jobs come to wait for each other in a circle."""
    kept, played = [], []
    for play, horizon in waiting:
        try:
            played.append(play.played(horizon))
        except DeadlockError as error:
            results.take_deadlock(play.index, error)
        else:
            kept.append((play, horizon))
    return kept, played


def _alike(played: Sequence[Played]) -> list[list[int]]:
    """Return the places of deployments that can be estimated together."""
    groups: dict[tuple[int, int, int], list[int]] = {}
    for place, play in enumerate(played):
        runs = len(play.runs)
        apart = place if runs >= _MANY_RUNS else -1
        groups.setdefault((play.network.chains, runs, apart), []).append(place)
    return list(groups.values())
