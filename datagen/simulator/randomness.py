"""Randomness that belongs to jobs: arrival and service times drawn in job order, by named streams.

Each stream is a function of (seed, problem, replication, kind, chain, fragment) alone. Placement,
speeds and every other decision are not in the key, so a job meets the same draws under every
candidate deployment of its problem: common random numbers without further ado. Draws are made in
chunks, here and nowhere else, and both engines read the same arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import Arrivals, arrivals_from_parameters
from datagen.distributions import Law, law_from_parameters
from datagen.evaluation import DeploymentBatch
from datagen.simulator.arrival_times import arrival_times

__all__ = ["STREAM_KINDS", "ChainDraws", "Chunk", "chain_draws", "stream"]

Floats = NDArray[np.float64]

STREAM_KINDS: dict[str, int] = {
    "scenario": 0,
    "arrivals": 1,
    "service": 2,
    "exits": 3,
    "routing": 4,
    "difficulty": 5,
    "policy": 6,
}
"""Codes of what a stream is for; part of every stream's key: append only."""


def stream(
    seed: int, problem: int, replication: int, kind: str, chain: int = 0, fragment: int = 0
) -> np.random.Generator:
    """Return the generator of one stream.

    Args:
        seed: Master seed, >= 0.
        problem: Key of the problem, >= 0.
        replication: Independent run, >= 0.
        kind: A name in :data:`STREAM_KINDS`.
        chain: 0-based chain.
        fragment: 0-based fragment of the chain.

    Returns:
        A generator that no other key shares.
    """
    key = (problem, replication, STREAM_KINDS[kind], chain, fragment)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Draws of consecutive jobs of one chain.

    Args:
        arrivals: Arrival times [s], non-decreasing [N].
        service: Service time of each step for each job [s] [S_c, N].
    """

    arrivals: Floats
    service: Floats


class ChainDraws:
    """Arrival and service times of one chain in one replication, in job order.

    Args:
        process: Arrival process.
        laws: Per step, per fragment of it: the law and the divisor of its samples.
        seed: Master seed.
        problem: Key of the problem.
        replication: Independent run.
        chain: 0-based chain.
    """

    def __init__(
        self,
        process: Arrivals,
        laws: list[list[tuple[Law, float]]],
        *,
        seed: int,
        problem: int,
        replication: int,
        chain: int,
    ) -> None:
        self.process = process
        self.laws = laws
        rng = stream(seed, problem, replication, "arrivals", chain)
        self._arrivals = arrival_times(process, rng)
        self._fixed = [
            sum(law.mean / speed for law, speed in step if not law.is_random) for step in laws
        ]
        self._uniforms: dict[int, np.random.Generator] = {}
        fragment = 0
        for step in laws:
            for law, _ in step:
                if law.is_random:
                    self._uniforms[fragment] = stream(
                        seed, problem, replication, "service", chain, fragment
                    )
                fragment += 1

    def next_chunk(self, count: int) -> Chunk:
        """Draw the next jobs.

        Args:
            count: Number of jobs, >= 1.

        Returns:
            Their draws.
        """
        arrivals = self._arrivals.next(count)
        service = np.empty((len(self.laws), count))
        fragment = 0
        for step, parts in enumerate(self.laws):
            service[step] = self._fixed[step]
            for law, speed in parts:
                if law.is_random:
                    uniforms = self._uniforms[fragment].random(count)
                    service[step] += law.quantile(uniforms) / speed
                fragment += 1
        return Chunk(arrivals=arrivals, service=service)


def chain_draws(
    batch: DeploymentBatch, index: int, *, seed: int, replication: int
) -> list[ChainDraws]:
    """Return the draws of every chain of one deployment.

    Args:
        batch: Packed deployments with their laws.
        index: 0-based deployment.
        seed: Master seed.
        replication: Independent run.

    Returns:
        One source per chain.
    """
    sources = []
    first = int(batch.chain_start[index])
    for row in range(first, int(batch.chain_start[index + 1])):
        path = int(batch.path_start[row])
        steps = range(int(batch.step_start[path]), int(batch.step_start[path + 1]))
        sources.append(
            ChainDraws(
                _process(batch, row),
                [_step_laws(batch, step) for step in steps],
                seed=seed,
                problem=int(batch.key[index]),
                replication=replication,
                chain=row - first,
            )
        )
    return sources


def _process(batch: DeploymentBatch, row: int) -> Arrivals:
    start, values = batch.arrival_parameter_start, batch.arrival_parameter
    assert batch.chain_arrivals is not None
    assert start is not None
    assert values is not None
    code = int(batch.chain_arrivals[row])
    return arrivals_from_parameters(code, values[start[row] : start[row + 1]])


def _step_laws(batch: DeploymentBatch, step: int) -> list[tuple[Law, float]]:
    fragments, start = batch.fragment_start, batch.law_parameter_start
    assert fragments is not None
    assert start is not None
    assert batch.fragment_law is not None
    assert batch.law_parameter is not None
    assert batch.fragment_speed is not None
    return [
        (
            law_from_parameters(
                int(batch.fragment_law[f]), batch.law_parameter[start[f] : start[f + 1]]
            ),
            float(batch.fragment_speed[f]),
        )
        for f in range(int(fragments[step]), int(fragments[step + 1]))
    ]
