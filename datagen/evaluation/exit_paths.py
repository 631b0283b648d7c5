"""Packed deployments whose every path ends at one exit, and visits an accelerator in one step.

What :mod:`datagen.evaluation.expansion` makes chains of, this makes paths of: the jobs of a chain
that take one of its paths and leave at one of its exits are a path of their own, with their share
of the chain's jobs. Chains stay what they are, and so do their labels: quantiles of the latency and
attained deadlines are those of all their jobs together.

Between the exits on an accelerator a job stays in its batch and in its place in the buffer. So the
segments of a visit become one step here: it is admitted, or lost, once, and its time is the sum.
Only jobs whose visits have the same segments share batches, whichever of them they leave after: so
``fragment_start`` counts the fragments of whole visits here, and there are no laws behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation.batch import DeploymentBatch
from datagen.evaluation.effects import Effect
from datagen.evaluation.expanded_deployment import LEAST_SHARE
from datagen.evaluation.expansion import (
    EXPANDED,
    WITHOUT_LAWS,
    chain_of_path,
    part_service,
    part_steps,
    path_exits,
)
from datagen.evaluation.fields import ranges, starts_of

__all__ = ["ExitPaths"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ExitPaths:
    """Deployments with a path for every exit, and where they come from.

    Args:
        batch: The deployments, without exits; it carries no laws of service.
        origin: The deployments they were made of.
        accuracy: Share of right answers of the jobs of each path [P]; NaN where unknown.
        step_first: Row of the first of the origin's steps that each step is made of [S].
        step_count: How many these are, >= 1 [S].
        step_whole: Whether all jobs that pass those steps of the origin do the same there [S]:
            otherwise some leave in the middle, and times differ from path to path.
    """

    batch: DeploymentBatch
    origin: DeploymentBatch
    accuracy: Floats
    step_first: Ints
    step_count: Ints
    step_whole: NDArray[np.bool_]

    @classmethod
    def of(cls, origin: DeploymentBatch) -> ExitPaths:
        """Make a path of every exit.

        Args:
            origin: Packed deployments without parallel chains; with their laws where jobs may
                leave early.

        Returns:
            The same deployments; exits below a share ``LEAST_SHARE`` of a chain's jobs are left
            out, as expansions leave them out.

        Raises:
            InvalidInputError: If laws are needed and absent.
        """
        path, last, leaving, accuracy = path_exits(origin)
        share = origin.path_probability[path] * leaving
        kept = share >= LEAST_SHARE
        path, last, share, accuracy = path[kept], last[kept], share[kept], accuracy[kept]
        step, part, partial = part_steps(origin, path, last)
        begin = _begins(origin, step, part)
        count = np.diff(np.append(begin, len(step)))
        whole = np.ones(len(step), dtype=bool)
        if partial is not None:
            assert origin.fragment_start is not None
            left = partial < np.diff(origin.fragment_start)[step]
            whole = ~np.isin(step, step[left])
        chains = chain_of_path(origin)[path]
        batch = replace(
            origin,
            effects=origin.effects & ~int(EXPANDED),
            path_start=starts_of(np.bincount(chains, minlength=len(origin.chain_rate))),
            path_probability=share,
            step_start=starts_of(np.bincount(part[begin], minlength=len(path))),
            **WITHOUT_LAWS | {"fragment_start": _whole_visits(origin, step, begin)},
            **_step_columns(origin, step, begin, partial),
            **_tables(origin, step, begin),
        )
        return cls(
            batch=batch,
            origin=origin,
            accuracy=accuracy,
            step_first=step[begin],
            step_count=count,
            step_whole=np.logical_and.reduceat(whole, begin),
        )

    def passed(self, step_passed: Floats) -> Floats:
        """Return the share of each path's jobs that complete.

        Args:
            step_passed: Share of the jobs that come to each step and pass it [S].

        Returns:
            Products over the steps of each path [P].
        """
        return np.asarray(np.multiply.reduceat(step_passed, self.batch.step_start[:-1]))

    def accuracies(self, completing: Floats) -> dict[str, Floats]:
        """Return the share of right answers of every chain.

        Args:
            completing: Share of the chain's jobs that complete on each path [P].

        Returns:
            ``accuracy_offered``, where lost jobs count as wrong, and ``accuracy_completed``; NaN
            where an exit's accuracy is unknown [C].
        """
        chain, chains = chain_of_path(self.batch), len(self.batch.chain_rate)
        right = np.bincount(chain, weights=completing * self.accuracy, minlength=chains)
        completed = np.bincount(chain, weights=completing, minlength=chains)
        offered = np.bincount(chain, weights=self.batch.path_probability, minlength=chains)
        with np.errstate(divide="ignore", invalid="ignore"):
            return {"accuracy_offered": right / offered, "accuracy_completed": right / completed}

    @staticmethod
    def needed(batch: DeploymentBatch) -> bool:
        """Tell whether a batch has exits or accelerators.

        Args:
            batch: Packed deployments.

        Returns:
            Whether its paths and steps are not those that this class makes.
        """
        return bool(np.any(batch.effects & int(Effect.EXITS | Effect.THRESHOLDS | Effect.NPU)))


def _begins(origin: DeploymentBatch, step: Ints, part: Ints) -> Ints:
    """Return where visits begin; elsewhere every step is a visit of its own."""
    first = np.ones(len(step), dtype=bool)
    if origin.batching_start is not None:
        device = origin.step_device_row[step]
        batches = np.diff(origin.batching_start)[device] > 0
        same = (part[1:] == part[:-1]) & (device[1:] == device[:-1])
        first[1:] = ~(same & batches[1:])
    return np.flatnonzero(first)


def _whole_visits(origin: DeploymentBatch, step: Ints, begin: Ints) -> Ints | None:
    """Return offsets of the fragments of visits as if nobody left them early, if these are known.

    Args:
        origin: Packed deployments.
        step: Rows of its steps, by visit.
        begin: Where the visits begin among these [V].

    Returns:
        Offsets [V + 1].
    """
    if origin.fragment_start is None:
        return None
    # On from the first step of a visit, its path stays on the device up to here.
    path = np.repeat(np.arange(len(origin.path_probability)), origin.counts("step"))
    new = np.append(True, (np.diff(path) != 0) | (np.diff(origin.step_device) != 0))
    stay = np.append(np.flatnonzero(new)[1:], len(path))[np.cumsum(new) - 1]
    if origin.batching_start is not None:
        batches = np.diff(origin.batching_start)[origin.step_device_row] > 0
        stay = np.where(batches, stay, np.arange(1, len(path) + 1))
    first = step[begin]
    return starts_of(origin.fragment_start[stay[first]] - origin.fragment_start[first])


def _step_columns(
    origin: DeploymentBatch, step: Ints, begin: Ints, partial: Ints | None
) -> dict[str, Any]:
    mean = origin.step_mean[step]
    variance = origin.step_scv[step] * mean**2
    if partial is not None:
        mean, variance = part_service(origin, step, partial)
    mean, variance = np.add.reduceat(mean, begin), np.add.reduceat(variance, begin)
    end = np.append(begin[1:], len(step)) - 1
    return {
        "step_device": origin.step_device[step[begin]],
        "step_mean": mean,
        "step_scv": variance / np.where(mean > 0, mean, 1.0) ** 2,
        "step_demand": np.maximum.reduceat(origin.step_demand[step], begin),
        "step_weights": np.add.reduceat(origin.step_weights[step], begin),
        "step_delay": origin.step_delay[step[end]],
        "step_release": origin.step_release[step[end]],
        "step_link": origin.step_link[step[end]],
        "step_asks": origin.step_asks[step[end]],
        "step_reached": np.ones(len(begin)),
    }


def _tables(origin: DeploymentBatch, step: Ints, begin: Ints) -> dict[str, Any]:
    """Add up the times of the segments of each visit, batch size by batch size."""
    if origin.table_start is None or origin.table_seconds is None:
        return {}
    sizes = np.diff(origin.table_start)[step]
    visit = np.repeat(np.arange(len(begin)), np.diff(np.append(begin, len(step))))
    own = starts_of(sizes[begin])
    seconds = origin.table_seconds[ranges(origin.table_start[step], sizes)]
    place = ranges(own[visit], sizes)
    return {
        "table_start": own,
        "table_seconds": np.bincount(place, seconds, minlength=int(own[-1])),
    }
