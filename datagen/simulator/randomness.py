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

from datagen.arrivals import Arrivals
from datagen.distributions import Law
from datagen.simulator.arrival_times import arrival_times

__all__ = ["STREAM_KINDS", "ChainDraws", "Chunk", "stream"]

Floats = NDArray[np.float64]

STREAM_KINDS: dict[str, int] = {
    "scenario": 0,
    "arrivals": 1,
    "service": 2,
    "exits": 3,
    "routing": 4,
    "difficulty": 5,
    "policy": 6,
    "heads": 7,
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
        route: Which of the chain's routes each job takes [N]; None where there is one.
        is_fixed: Whether all jobs of the chain, also those of other chunks, are served alike.
    """

    arrivals: Floats
    service: Floats
    route: NDArray[np.int64] | None = None
    is_fixed: bool = False


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
        self._fixed = np.array(
            [sum(law.mean / speed for law, speed in step if not law.is_random) for step in laws],
            dtype=np.float64,
        )
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
        service = np.broadcast_to(self._fixed[:, None], (len(self.laws), count))
        if not self._uniforms:
            return Chunk(arrivals=arrivals, service=service, is_fixed=True)
        service, fragment = service.copy(), 0
        for step, parts in enumerate(self.laws):
            for law, speed in parts:
                if law.is_random:
                    uniforms = self._uniforms[fragment].random(count)
                    service[step] += law.quantile(uniforms) / speed
                fragment += 1
        return Chunk(arrivals=arrivals, service=service)
