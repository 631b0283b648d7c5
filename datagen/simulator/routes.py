"""Draws of chains whose jobs take different ways: one of several paths, each up to some exit.

A *route* is a path and an exit; the routes of a chain are numbered path by path. A job's path is
one draw of the ``routing`` stream and its exit one of the ``exits`` stream, whatever happens to the
job. Where jobs draw from a trace whose contexts change, that draw chooses among the samples of the
job's context, which follows the ``difficulty`` stream. The work of a fragment uses the same uniform
on every path.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import Arrivals
from datagen.distributions import Law
from datagen.evaluation.fields import starts_of
from datagen.exits import Contexts
from datagen.simulator.contexts import context_path
from datagen.simulator.randomness import ChainDraws, Chunk, StepLaws, stream

__all__ = ["JobDraws", "Part", "RoutedDraws", "Routes"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of work inside a step.

    Args:
        fragment: 0-based fragment of the chain that it belongs to.
        law: Law of the work.
        speed: Divisor of its samples.
        head: Whether it is the fragment's open classifier and not the fragment itself.
    """

    fragment: int
    law: Law
    speed: float
    head: bool = False

    @property
    def mean(self) -> float:
        """Expected time [s]."""
        return self.law.mean / self.speed


@dataclass(frozen=True, kw_only=True, slots=True)
class Routes:
    """The ways of one chain.

    Args:
        paths: Parts of each step of each path.
        probability: Probability of each path [P].
        exits: Probability of each exit, the last being the final classifier [E].
        exit_fragment: The last fragment that a job of each exit passes [E].
        trace: Exit of each sample of a recording that jobs draw from [N], or None; where contexts
            change, those of one context after the other.
        contexts: How the contexts of jobs change, or None where any job may draw any sample.
        context_samples: Samples of each context [K], or None.
    """

    paths: list[list[list[Part]]]
    probability: Floats
    exits: Floats = field(default_factory=lambda: np.ones(1))
    exit_fragment: Ints
    trace: Ints | None = None
    contexts: Contexts | None = None
    context_samples: Ints | None = None

    def parts_of(self, step: list[Part], exit_: int) -> list[Part]:
        """Return the parts of a step that a job of an exit needs."""
        return [part for part in step if part.fragment <= self.exit_fragment[exit_]]


class JobDraws(NamedTuple):
    """Draws of consecutive jobs before anything is decided by them.

    Args:
        arrivals: Arrival times [s], non-decreasing [N].
        path: Path of each job [N].
        sample: Sample of the trace that each job holds [N], in the order of ``Routes.trace``; where
            there is no trace, its exit.
        uniforms: Quantile of each job's work [N] by (whether it is a classifier's, fragment), for
            what is random.
    """

    arrivals: Floats
    path: Ints
    sample: Ints
    uniforms: dict[tuple[bool, int], Floats]


def _choice(rng: np.random.Generator | None, probability: Floats, count: int) -> Ints:
    """Return indices drawn with given probabilities; one alone needs no draw."""
    if rng is None:
        return np.zeros(count, dtype=np.int64)
    cumulative = np.cumsum(probability)
    drawn = rng.random(count) * cumulative[-1]
    # The last index with a probability is where rounding may end up at most.
    most = int(np.flatnonzero(probability)[-1])
    chosen = np.minimum(np.searchsorted(cumulative, drawn, side="right"), most)
    return np.asarray(chosen, dtype=np.int64)


class RoutedDraws(ChainDraws):
    """Draws of a chain with several routes; its steps are those of all paths, one after the other.

    Args:
        process: Arrival process.
        routes: The ways of its jobs.
        seed: Master seed.
        problem: Key of the problem.
        replication: Independent run.
        chain: 0-based chain.
    """

    def __init__(
        self,
        process: Arrivals,
        routes: Routes,
        *,
        seed: int,
        problem: int,
        replication: int,
        chain: int,
    ) -> None:
        key = (seed, problem, replication)
        # What a step takes hangs on the exit of the job: no law of this class is a step's alone.
        none = StepLaws(np.empty(0), [])
        super().__init__(
            process, none, seed=seed, problem=problem, replication=replication, chain=chain
        )
        self._key = (seed, problem, replication, chain)
        self.routes = routes
        self.steps = [step for path in routes.paths for step in path]
        several = len(routes.probability) > 1
        self._routing = stream(*key, "routing", chain) if several else None
        leaving = len(routes.exits) > 1
        self._exits = stream(*key, "exits", chain) if leaving else None
        self._contexts = None
        if routes.contexts is not None:
            self._contexts = context_path(routes.contexts, stream(*key, "difficulty", chain))
        # By step and exit, so that a sum is made once.
        self._sums = np.array(
            [
                [
                    sum(part.mean for part in routes.parts_of(step, e) if not part.law.is_random)
                    for e in range(len(routes.exits))
                ]
                for step in self.steps
            ],
            dtype=np.float64,
        )
        random = [part for step in self.steps for part in step if part.law.is_random]
        self._streams = {
            (part.head, part.fragment): stream(
                *key, "heads" if part.head else "service", chain, part.fragment
            )
            for part in random
        }

    def next_jobs(self, count: int) -> JobDraws:
        """Draw the next jobs; :meth:`chunk_in` draws the same ones and plays out decisions.

        Args:
            count: Number of jobs, >= 1.

        Returns:
            Their draws.
        """
        return self._jobs_in(np.empty(count))

    def _jobs_in(self, arrivals: Floats) -> JobDraws:
        self._arrivals.fill(arrivals)
        count = len(arrivals)
        path = _choice(self._routing, self.routes.probability, count)
        sample = self._drawn_samples(arrivals)
        uniforms = {name: rng.random(count) for name, rng in self._streams.items()}
        return JobDraws(arrivals, path, sample, uniforms)

    def policy_stream(self) -> np.random.Generator:
        """Return the random numbers of the chain's policy in this replication."""
        seed, problem, replication, chain = self._key
        return stream(seed, problem, replication, "policy", chain)

    def chunk_in(self, arrivals: Floats) -> Chunk:
        routes = self.routes
        _, path, sample, uniforms = self._jobs_in(arrivals)
        exit_ = sample if routes.trace is None else routes.trace[sample]
        last = routes.exit_fragment[exit_]
        service = self._sums[:, exit_]
        for row, step in enumerate(self.steps):
            for part in step:
                if part.law.is_random:
                    times = part.law.quantile(uniforms[part.head, part.fragment]) / part.speed
                    service[row] += np.where(part.fragment <= last, times, 0.0)
        return Chunk(arrivals=arrivals, service=service, route=path * len(routes.exits) + exit_)

    def _drawn_samples(self, arrivals: Floats) -> Ints:
        trace = self.routes.trace
        if trace is None or self._exits is None:
            return _choice(self._exits, self.routes.exits, len(arrivals))
        # One sample per job, whatever the thresholds are: they decide where it leads only.
        first, samples = np.zeros(1, dtype=np.int64), np.array([len(trace)])
        context = np.zeros(len(arrivals), dtype=np.int64)
        if self._contexts is not None and self.routes.context_samples is not None:
            first, samples = starts_of(self.routes.context_samples), self.routes.context_samples
            context = self._contexts.next(arrivals)
        most = samples[context] - 1
        sample = (self._exits.random(len(arrivals)) * samples[context]).astype(np.int64)
        return np.asarray(first[context] + np.minimum(sample, most))
