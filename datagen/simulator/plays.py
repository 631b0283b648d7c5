"""One deployment as it is played: in how many runs, over which window."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice

import numpy as np

from datagen.errors import DeadlockError, require
from datagen.evaluation import DeploymentBatch
from datagen.simulator.batch_measures import batch_measures
from datagen.simulator.energy import energy_measures
from datagen.simulator.engine import Engine, Run
from datagen.simulator.estimation import Played, latency_percentiles
from datagen.simulator.network import Network
from datagen.simulator.options import SimulationOptions
from datagen.simulator.randomness import ChainDraws
from datagen.simulator.sources import ChainSource, chain_contexts, chain_routes, chain_sources
from datagen.simulator.stopping import first_horizon
from datagen.simulator.tally import RunLength
from datagen.simulator.warmup import warmup_time

__all__ = ["Play", "events_per_job"]


def events_per_job(batch: DeploymentBatch) -> np.ndarray:
    """Return the expected events that a job of each chain causes if nothing is lost.

    Args:
        batch: Packed deployments.

    Returns:
        Its arrival and service completions [C].
    """
    steps = np.repeat(batch.path_probability, batch.counts("step")) * batch.step_reached
    starts = batch.step_start[batch.path_start[:-1]]
    return np.asarray(1.0 + np.add.reduceat(steps, starts))


def _unloaded_latency(batch: DeploymentBatch, index: int, network: Network) -> np.ndarray:
    """Return the mean latency of each route when nobody waits [s] [R].

    Branches run at once: that of the longest of them.
    """
    first, last = int(batch.chain_start[index]), int(batch.chain_start[index + 1])
    if network.features is not None:
        pace = np.ones(network.devices) if network.sharing is None else network.sharing.pace[:, 0]
        paces = iter(pace[network.step_device].tolist())
        served = [
            (
                bool(batch.chain_parallel[row]),
                [
                    [part.mean / pace for part in routes.parts_of(step, exit_)]
                    for step, pace in zip(steps, own, strict=True)
                ],
            )
            for row in range(first, last)
            for routes in (chain_routes(batch, row),)
            for steps in routes.paths
            for own in (list(islice(paces, len(steps))),)
            for exit_ in range(len(routes.exits))
        ]
        # One after the other, not step by step: labels hang on the last bit of this sum.
        seconds = [
            max(map(sum, times)) if parallel else sum(time for step in times for time in step)
            for parallel, times in served
        ]
        delay, features = network.features.step_delay, network.features
        bounds = zip(features.route_first, features.route_steps, strict=True)
        travel = [delay[row : row + steps - 1].sum() for row, steps in bounds]
        return np.asarray(np.add(seconds, travel))
    starts = batch.step_start[batch.path_start[first : last + 1]]
    return np.add.reduceat(batch.step_mean[starts[0] : starts[-1]], starts[:-1] - starts[0])


@dataclass(frozen=True, kw_only=True)
class Play:
    """One deployment and how it is played.

    Args:
        engine: Who plays.
        batch: Packed deployments.
        index: 0-based deployment.
        network: The deployment as a network.
        per_job: Expected events that a job of each chain causes [C].
        options: How long, and how often.
        relaxation: Relaxation time of the slowest device, infinite if it seems never to settle [s].
    """

    engine: Engine
    batch: DeploymentBatch
    index: int
    network: Network
    per_job: np.ndarray
    options: SimulationOptions
    relaxation: float = 0.0

    @cached_property
    def sources(self) -> list[ChainSource]:
        """What the jobs of each chain are drawn from."""
        return chain_sources(self.batch, self.index)

    @cached_property
    def rate(self) -> float:
        """Events per second in the long run if nothing were lost."""
        rows = slice(self.batch.chain_start[self.index], self.batch.chain_start[self.index + 1])
        # One after the other: lengths, and with them labels, hang on the last bit of this sum.
        return float(np.cumsum(self.batch.chain_rate[rows] * self.per_job)[-1])

    @cached_property
    def replications(self) -> int:
        """Number of independent runs: one where all would be the same recording."""
        random = all(source.process.is_random for source in self.sources)
        return self.options.replications if random else 1

    @cached_property
    def is_stationary(self) -> bool:
        """Whether nothing about the deployment follows the clock."""
        if not all(source.process.is_stationary for source in self.sources):
            return False
        rows = range(
            int(self.batch.chain_start[self.index]), int(self.batch.chain_start[self.index + 1])
        )
        contexts = (chain_contexts(self.batch, row) for row in rows)
        return all(process is None or process.is_stationary for process in contexts)

    @cached_property
    def copies(self) -> int:
        """How often the length is played: by the runs together, or by each of them.

        Independent runs share the length where everything is stationary. A schedule, of rates or of
        contexts, would be cut by that to its beginning, and windows show the course of the whole
        length: every run plays all of it then.
        """
        shared = self.options.windows is None and self.is_stationary
        return 1 if shared else self.replications

    @cached_property
    def first_horizon(self) -> float:
        """Return the length of the first round [s]."""
        return first_horizon(self.batch, self.index, self.rate, self.copies, self.options)

    def events(self) -> float:
        """Return the expected events of the first round, schedules followed."""
        own = self.first_horizon * self.copies / self.replications
        jobs = [source.process.expected(own) for source in self.sources]
        return float(self.replications * (np.array(jobs) @ self.per_job))

    @cached_property
    def longest_horizon(self) -> float:
        """Return the length that no round exceeds, by the cap on events [s]."""
        return self.options.max_events / (self.rate * self.copies)

    def played(self, horizon: float) -> Played:
        """Play for a length.

        Args:
            horizon: The length, all runs together or each of them: see ``copies`` [s].

        Returns:
            What its measures are estimated from.

        Raises:
            DeadlockError: If jobs came to wait for each other in a circle.
        """
        batch, index, network = self.batch, self.index, self.network
        own = horizon * self.copies / self.replications
        warmup = self.warmup(own)
        settled = max(warmup, self.settling(own))
        length = RunLength.of(settled, own + (settled - warmup))
        runs, histogram = self.engine.replicate(network, self._draws(), length)
        _check_progress(runs)
        chain, device = energy_measures(batch, index, network, runs, length)
        step: dict[str, np.ndarray] = {}
        if network.batching is not None:
            batches, step = batch_measures(network.batching, runs, length)
            device |= batches
        return Played(
            network=network,
            length=length,
            runs=runs,
            percentiles=latency_percentiles(histogram),
            unloaded=_unloaded_latency(batch, index, network),
            chain=chain,
            step=step,
            device=device,
        )

    def runs(self, length: RunLength, *, log: bool = False) -> list[Run]:
        """Play a window of every replication.

        Args:
            length: The window.
            log: Whether to keep the event logs.

        Returns:
            A run per replication.

        Raises:
            DeadlockError: If jobs came to wait for each other in a circle in one of them.
        """
        runs = [self.engine.run(self.network, draws, length, log=log) for draws in self._draws()]
        _check_progress(runs)
        return runs

    def _draws(self) -> list[list[ChainDraws]]:
        """Return fresh draws of each chain for every replication."""
        seed, replications = self.options.seed, range(self.replications)
        return [
            [source.draws(seed=seed, replication=number) for source in self.sources]
            for number in replications
        ]

    def settling(self, own: float) -> float:
        """Return the least warm-up of each run, cut where the cap on events is [s].

        A device that would never settle, if the approximation were right, asks for nothing.

        Args:
            own: Length of a run without it [s].
        """
        wanted = self.options.settle * self.relaxation
        if not 0.0 < wanted < np.inf or not self.is_stationary:
            return 0.0
        return min(
            wanted, max(self.options.max_events / (self.rate * self.replications) - own, 0.0)
        )

    def warmup(self, own: float) -> float:
        """Return the time of each run that is not counted [s]."""
        given = self.options.warmup
        if not isinstance(given, str):
            return given * own
        rule = "be a share where rates or contexts follow a schedule or a recording"
        require(self.is_stationary, "warmup", rule, given)
        return warmup_time(partial(self.runs, log=True), self.rate, self.replications, own)


def _check_progress(runs: list[Run]) -> None:
    """Raise the deadlock of the first run that ended in one.

    Raises:
        DeadlockError: If one did.
    """
    for run in runs:
        if run.deadlock is not None:
            raise DeadlockError(run.deadlock)
