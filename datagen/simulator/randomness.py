"""Randomness that belongs to jobs: arrival and service times drawn in job order, by named streams.

Each stream is a function of (seed, problem, replication, kind, chain, fragment) alone. Placement,
speeds and every other decision are not in the key, so a job meets the same draws under every
candidate deployment of its problem: common random numbers without further ado. Draws are made in
chunks, here and nowhere else, and both engines read the same arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

from datagen.arrivals import Arrivals
from datagen.distributions import Law
from datagen.simulator.arrival_times import arrival_times

__all__ = ["STREAM_KINDS", "ChainDraws", "Chunk", "StepLaws", "stream"]

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
    from datagen.simulator.seed_kernel import POOL_WORDS, seed_words  # as in arrival_times

    own = _words(seed)
    own += [0] * (POOL_WORDS - len(own))
    for part in (problem, replication, STREAM_KINDS[kind], chain, fragment):
        own += _words(part)
    seeds = np.empty(_SEEDS, dtype=np.uint64)
    seed_words(np.array(own, dtype=np.uint64), np.empty(POOL_WORDS, dtype=np.uint64), seeds)
    # NumPy takes any ISeedSequence; its type hints do not say so.
    return np.random.Generator(np.random.PCG64(_KnownSeeds(seeds)))  # type: ignore[arg-type]


_SEEDS = 4
"""Words of 64 bits that the state of a PCG64 is made of."""


class _KnownSeeds(ISeedSequence):
    """Stands for ``SeedSequence(seed, spawn_key=key)``, whose words have been found already."""

    def __init__(self, words: NDArray[np.uint64]) -> None:
        self.words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        assert n_words == len(self.words)
        return self.words


def _words(number: int) -> list[int]:
    """Return the words of 32 bits of a number >= 0, the lowest first."""
    words = [number & 0xFFFFFFFF]
    while number := number >> 32:
        words.append(number & 0xFFFFFFFF)
    return words


@dataclass(frozen=True, slots=True)
class Chunk:
    """Draws of consecutive jobs of one chain.

    Args:
        arrivals: Arrival times [s], non-decreasing [N].
        service: Service time of each step for each job [s] [S_c, N]; one column for all of them
            where ``is_fixed``.
        route: Which of the chain's routes each job takes [N]; None where there is one.
        is_fixed: Whether all jobs of the chain, also those of other chunks, are served alike.
    """

    arrivals: Floats
    service: Floats
    route: NDArray[np.int64] | None = None
    is_fixed: bool = False


@dataclass(frozen=True, slots=True)
class StepLaws:
    """What the work of each step of a chain is drawn from, the same in every replication.

    Args:
        fixed: Sum of the times that are not random, by step [s] [S_c].
        random: The others: 0-based fragment of the chain, step, law and divisor of its samples.
    """

    fixed: Floats
    random: list[tuple[int, int, Law, float]]


class ChainDraws:
    """Arrival and service times of one chain in one replication, in job order.

    Args:
        process: Arrival process.
        laws: What services are drawn from.
        seed: Master seed.
        problem: Key of the problem.
        replication: Independent run.
        chain: 0-based chain.
    """

    def __init__(
        self,
        process: Arrivals,
        laws: StepLaws,
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
        self._uniforms = {
            fragment: stream(seed, problem, replication, "service", chain, fragment)
            for fragment, *_ in laws.random
        }

    def next_chunk(self, count: int) -> Chunk:
        """Draw the next jobs.

        Args:
            count: Number of jobs, >= 1.

        Returns:
            Their draws.
        """
        return self.chunk_in(np.empty(count))

    def chunk_in(self, arrivals: Floats) -> Chunk:
        """Draw the next jobs where there is room for their arrival times already.

        Args:
            arrivals: The room, overwritten; part of what is returned [N], N >= 1.

        Returns:
            The draws of N jobs.
        """
        self._arrivals.fill(arrivals)
        count, fixed = len(arrivals), self.laws.fixed[:, None]
        if not self._uniforms:
            return Chunk(arrivals=arrivals, service=fixed, is_fixed=True)
        service = np.repeat(fixed, count, axis=1)
        for fragment, step, law, speed in self.laws.random:
            service[step] += law.quantile(self._uniforms[fragment].random(count)) / speed
        return Chunk(arrivals=arrivals, service=service)
