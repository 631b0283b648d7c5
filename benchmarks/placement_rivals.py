"""What the surrogate search is compared with: compiled simulation, formulas, and classical rules.

The rival to beat is simulated annealing that asks the compiled simulator. It is given every help
that does not take a surrogate: the same annealing, seeds of its own for choosing among the
finalists, the same random jobs for all candidates, drawn once; nothing but losses is estimated; and
the length of a simulation, the cooling and the number of rows side by side are tuned for each
budget on other problems (``placement_tuning.py``, which writes ``placement_tuned.json``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datagen.deployment import Deployment
from datagen.evaluation import DeploymentBatch, Effect, Evaluator, Measures
from datagen.simulator.network import networks
from datagen.simulator.numba_engine import NumbaEngine
from datagen.simulator.randomness import Chunk
from datagen.simulator.sources import chain_process, chain_sources
from datagen.simulator.tally import RunLength
from surrogate.optimizers import Annealing, PlacementSpace
from surrogate.optimizers.baselines import first_fit, least_loaded, round_robin
from surrogate.optimizers.cuts import best_cuts
from surrogate.optimizers.integer_program import integer_placement
from surrogate.optimizers.space import Placements

__all__ = ["RULES", "LossSimulator", "Program", "Tuning", "integer_rival", "tuned"]

TUNED = Path(__file__).with_name("placement_tuned.json")

WARMUP = 0.05
"""Share of a simulation that is not counted."""

CHUNK = 8192
"""Jobs drawn at a time, more than the engine asks for at once."""

RULES: dict[str, Callable[[PlacementSpace], Placements]] = {
    "first_fit": first_fit,
    "round_robin": round_robin,
    "least_loaded": least_loaded,
    "neurosurgeon": best_cuts,
}
"""Placements that cost next to no time; only least-loaded knows of loads."""

MAX_LOADS = (1.0, None)
"""Bounds on the utilization that the integer program is tried with: what a device can do, and none
where no placement keeps that."""


class _Recorded:
    """Arrivals of one chain, drawn once, with the constant services of one candidate."""

    def __init__(self, process: Any, arrivals: np.ndarray, service: np.ndarray) -> None:
        self.process, self._arrivals, self._service, self._next = process, arrivals, service, 0

    def chunk_in(self, arrivals: np.ndarray) -> Chunk:
        arrivals[:] = self._arrivals[self._next : self._next + len(arrivals)]
        self._next += len(arrivals)
        return Chunk(arrivals=arrivals, service=self._service[:, None], is_fixed=True)


class LossSimulator(Evaluator):
    """The compiled simulator, asked for nothing but the loss ratio: as fast as it gets.

    Args:
        horizon: Simulated time [s], > 0.
        seed: Seed of the jobs that every candidate meets.
    """

    needs_laws = True

    def __init__(self, horizon: float, seed: int) -> None:
        self._length = RunLength.of(WARMUP * horizon, horizon)
        self._seed = seed
        self._engine = NumbaEngine()
        self._arrivals: list[tuple[Any, np.ndarray]] = []

    @classmethod
    def of(cls, base: Deployment, *, events: float, seed: int) -> LossSimulator:
        """Return the simulator of one problem.

        Args:
            base: A deployment of the problem.
            events: Events of a placement that loses nothing and fuses no fragments.
            seed: Seed of the jobs.

        Returns:
            The simulator.
        """
        chains = base.problem.chains
        rate = sum(chain.arrivals.rate * (1 + len(chain.fragments)) for chain in chains)
        return cls(events / rate, seed)

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        random = bool((batch.effects & int(Effect.RANDOM_SERVICE)).any())
        if not random and not self._arrivals:
            self._arrivals = [self._drawn(batch, chain) for chain in range(batch.chain_start[1])]
        loss = np.empty(len(batch))
        for index, network in enumerate(networks(batch, self._engine.name)):
            draws: list[Any] = self._draws(batch, index, random)
            tally = self._engine.run(network, draws, self._length).tally
            loss[index] = tally.lost.sum() / max(tally.offered.sum(), 1)
        return Measures.of(batch, "simulation", deployment={"loss_ratio": loss})

    def _draws(self, batch: DeploymentBatch, index: int, random: bool) -> list[Any]:
        if random:
            sources = chain_sources(batch, index)
            return [source.draws(seed=self._seed, replication=0) for source in sources]
        first = batch.chain_start[index]
        steps = batch.step_start[batch.path_start[first : batch.chain_start[index + 1] + 1]]
        return [
            _Recorded(process, arrivals, batch.step_mean[steps[chain] : steps[chain + 1]])
            for chain, (process, arrivals) in enumerate(self._arrivals)
        ]

    def _drawn(self, batch: DeploymentBatch, chain: int) -> tuple[Any, np.ndarray]:
        """Draw the arrivals of a chain: all that a run can ask for before it gives up."""
        source = chain_sources(batch, 0)[chain].draws(seed=self._seed, replication=0)
        parts = [source.next_chunk(CHUNK).arrivals]
        while parts[-1][-1] <= self._length.limit:
            parts.append(source.next_chunk(CHUNK).arrivals)
        parts += [source.next_chunk(CHUNK).arrivals for _ in range(2)]  # the engine reads ahead
        return chain_process(batch, chain), np.concatenate(parts)


@dataclass(frozen=True, kw_only=True)
class Program:
    """What the integer program answers.

    Args:
        placement: Device index per slot [F].
        status: How it ended.
        max_load: Utilization it was kept below; None for no bound.
        seconds: What it took, in the time of the budgets [s].
    """

    placement: Placements
    status: str
    max_load: float | None
    seconds: float

    def told(self) -> dict[str, Any]:
        """Return all but the placement."""
        return {"status": self.status, "max_load": self.max_load, "seconds": self.seconds}


def integer_rival(space: PlacementSpace, seconds: float, now: Callable[[], float]) -> Program:
    """Solve the integer program: latency alone, within memory and mean loads.

    Args:
        space: The placements of the problem.
        seconds: Time limit of each bound on the load [s].
        now: The clock of the budgets.

    Returns:
        Its answer; the start where it has none.
    """
    began, status = now(), ""
    for max_load in MAX_LOADS:
        found = integer_placement(space, seconds=seconds, max_load=max_load)
        status = found.status
        if found.placement is not None:
            return Program(
                placement=found.placement, status=status, max_load=max_load, seconds=now() - began
            )
    return Program(placement=space.start, status=status, max_load=None, seconds=now() - began)


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """Settings of annealing on the compiled simulator.

    Args:
        events: Events of each simulation.
        cooling: Last temperature over the first.
        tries: Neighbours of a row that are judged at once.
    """

    events: float
    cooling: float
    tries: int

    def search(self) -> Annealing:
        """Return the annealing."""
        return Annealing(cooling=self.cooling, tries=self.tries)


def tuned(seconds: float) -> Tuning:
    """Return the settings that were found for the budget next to this one.

    Args:
        seconds: Budget [s].

    Returns:
        Settings found on other problems.
    """
    found = json.loads(TUNED.read_text(encoding="utf-8"))["chosen"]
    nearest = min(found, key=lambda budget: abs(np.log(float(budget) / seconds)))
    return Tuning(**found[nearest])
