"""The draws of a packed deployment: which laws its chains draw from, and by which routes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import Arrivals, arrivals_from_parameters
from datagen.distributions import LAW_NAMES, Deterministic, Law, law_from_parameters
from datagen.evaluation import DeploymentBatch
from datagen.exits import Contexts, contexts_from_parameters
from datagen.simulator.randomness import ChainDraws, StepLaws
from datagen.simulator.routes import Part, RoutedDraws, Routes

__all__ = [
    "ChainSource",
    "chain_contexts",
    "chain_draws",
    "chain_process",
    "chain_routes",
    "chain_sources",
]

_FIXED = LAW_NAMES.index(Deterministic.name)
"""Code of the only law that is not random."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainSource:
    """What the jobs of a chain are drawn from, in whatever replication.

    Args:
        process: Arrival process.
        way: Its routes, or where there is one only, what the steps of that draw from.
        problem: Key of the problem.
        chain: 0-based chain.
    """

    process: Arrivals
    way: Routes | StepLaws
    problem: int
    chain: int

    def draws(self, *, seed: int, replication: int) -> ChainDraws:
        """Return the draws of one replication, from the first job on.

        Args:
            seed: Master seed.
            replication: Independent run.

        Returns:
            The draws.
        """
        key = {"problem": self.problem, "replication": replication, "chain": self.chain}
        if isinstance(self.way, Routes):
            return RoutedDraws(self.process, self.way, seed=seed, **key)
        return ChainDraws(self.process, self.way, seed=seed, **key)


def chain_sources(batch: DeploymentBatch, index: int) -> list[ChainSource]:
    """Return what the jobs of every chain of one deployment are drawn from.

    Args:
        batch: Packed deployments with their laws.
        index: 0-based deployment.

    Returns:
        One source per chain.
    """
    first, last = int(batch.chain_start[index]), int(batch.chain_start[index + 1])
    return [
        ChainSource(
            process=chain_process(batch, row),
            way=chain_routes(batch, row) if is_routed(batch, row) else _path_laws(batch, row),
            problem=int(batch.key[index]),
            chain=row - first,
        )
        for row in range(first, last)
    ]


def chain_draws(
    batch: DeploymentBatch, index: int, *, seed: int, replication: int
) -> list[ChainDraws]:
    """Return the draws of every chain of one deployment in one replication.

    Args:
        batch: Packed deployments with their laws.
        index: 0-based deployment.
        seed: Master seed.
        replication: Independent run.

    Returns:
        Draws per chain.
    """
    sources = chain_sources(batch, index)
    return [source.draws(seed=seed, replication=replication) for source in sources]


def is_routed(batch: DeploymentBatch, row: int) -> bool:
    """Return whether the jobs of a chain may take different routes.

    Args:
        batch: Packed deployments.
        row: Row of the chain.

    Returns:
        True if it has several paths, or exits.
    """
    assert batch.exit_start is not None
    paths = batch.path_start[row + 1] - batch.path_start[row]
    return bool(paths > 1 or batch.exit_start[row + 1] > batch.exit_start[row])


def chain_routes(batch: DeploymentBatch, row: int) -> Routes:
    """Return the routes of a chain.

    Args:
        batch: Packed deployments with their laws.
        row: Row of the chain.

    Returns:
        Its paths with their parts, and its exits.
    """
    assert batch.fragment_start is not None
    assert batch.exit_start is not None
    assert batch.exit_probability is not None
    assert batch.exit_fragment is not None
    assert batch.trace_start is not None
    assert batch.trace_exit is not None
    paths = []
    between = slice(batch.path_start[row], batch.path_start[row + 1])
    for path in range(between.start, between.stop):
        fragment, steps = 0, []
        for step in range(int(batch.step_start[path]), int(batch.step_start[path + 1])):
            parts = []
            for own in range(int(batch.fragment_start[step]), int(batch.fragment_start[step + 1])):
                parts.append(Part(fragment, *_law(batch, own)))
                head = _head(batch, own)
                if head is not None:
                    parts.append(Part(fragment, *head, head=True))
                fragment += 1
            steps.append(parts)
        paths.append(steps)
    exits = slice(batch.exit_start[row], batch.exit_start[row + 1])
    if exits.start == exits.stop:
        last = np.array([fragment - 1])
        return Routes(paths=paths, probability=batch.path_probability[between], exit_fragment=last)
    samples = slice(batch.trace_start[row], batch.trace_start[row + 1])
    traced = samples.stop > samples.start
    contexts = chain_contexts(batch, row)
    return Routes(
        paths=paths,
        probability=batch.path_probability[between],
        trace=batch.trace_exit[samples].astype(np.int64) if traced else None,
        contexts=contexts,
        context_samples=_context_samples(batch, row) if contexts is not None else None,
        exits=batch.exit_probability[exits],
        exit_fragment=batch.exit_fragment[exits].astype(np.int64),
    )


def chain_contexts(batch: DeploymentBatch, row: int) -> Contexts | None:
    """Return how the contexts of a chain's jobs change.

    Args:
        batch: Packed deployments with their laws.
        row: Row of the chain.

    Returns:
        The process, or None where contexts do not matter.
    """
    if batch.context_parameter_start is None or batch.context_parameter is None:
        return None
    own = slice(batch.context_parameter_start[row], batch.context_parameter_start[row + 1])
    if own.start == own.stop:
        return None
    code, *parameters = batch.context_parameter[own]
    return contexts_from_parameters(int(code), np.array(parameters))


def _context_samples(batch: DeploymentBatch, row: int) -> NDArray[np.int64]:
    assert batch.context_start is not None
    assert batch.context_samples is not None
    own = slice(batch.context_start[row], batch.context_start[row + 1])
    return batch.context_samples[own].astype(np.int64)


def _head(batch: DeploymentBatch, row: int) -> tuple[Law, float] | None:
    """Return the law and the divisor of the open classifier after a fragment."""
    assert batch.fragment_head is not None
    assert batch.fragment_head_speed is not None
    assert batch.head_parameter_start is not None
    assert batch.head_parameter is not None
    if batch.fragment_head[row] < 0:
        return None
    own = slice(batch.head_parameter_start[row], batch.head_parameter_start[row + 1])
    law = law_from_parameters(int(batch.fragment_head[row]), batch.head_parameter[own])
    return law, float(batch.fragment_head_speed[row])


def chain_process(batch: DeploymentBatch, row: int) -> Arrivals:
    """Return the arrival process of a chain.

    Args:
        batch: Packed deployments with their laws.
        row: Row of the chain.

    Returns:
        The process.
    """
    start, values = batch.arrival_parameter_start, batch.arrival_parameter
    assert batch.chain_arrivals is not None
    assert start is not None
    assert values is not None
    code = int(batch.chain_arrivals[row])
    return arrivals_from_parameters(code, values[start[row] : start[row + 1]])


def _path_laws(batch: DeploymentBatch, row: int) -> StepLaws:
    """Return what the steps of a chain draw from that has one path."""
    assert batch.fragment_start is not None
    assert batch.fragment_law is not None
    assert batch.fragment_speed is not None
    assert batch.law_parameter_start is not None
    assert batch.law_parameter is not None
    path = int(batch.path_start[row])
    bounds = batch.fragment_start[batch.step_start[path] : batch.step_start[path + 1] + 1]
    own = slice(bounds[0], bounds[-1])
    step = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    is_fixed = batch.fragment_law[own] == _FIXED
    # The one parameter of a law that is not random is its mean. Sums run from the first fragment
    # of a step to its last.
    mean = batch.law_parameter[batch.law_parameter_start[own]]
    work = np.where(is_fixed, mean, 0.0) / batch.fragment_speed[own]
    random = [
        (fragment, int(step[fragment]), *_law(batch, int(bounds[0]) + fragment))
        for fragment in np.flatnonzero(~is_fixed).tolist()
    ]
    return StepLaws(np.asarray(np.bincount(step, work), dtype=np.float64), random)


def _law(batch: DeploymentBatch, fragment: int) -> tuple[Law, float]:
    """Return the service law and the divisor of a fragment row."""
    assert batch.fragment_law is not None
    assert batch.fragment_speed is not None
    assert batch.law_parameter_start is not None
    assert batch.law_parameter is not None
    own = slice(*batch.law_parameter_start[fragment : fragment + 2])
    law = law_from_parameters(int(batch.fragment_law[fragment]), batch.law_parameter[own])
    return law, float(batch.fragment_speed[fragment])
