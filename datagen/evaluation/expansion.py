"""Packed deployments with early exits as packed ones without: a chain for every path and exit.

What :func:`~datagen.evaluation.expanded_deployment.expanded_deployment` says of one object, for any
number of deployments at once; and the way back, from measures of the parts to those of the chains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.evaluation.batch import DeploymentBatch
from datagen.evaluation.effects import Effect
from datagen.evaluation.expanded_deployment import LEAST_SHARE, part_name
from datagen.evaluation.fields import ranges, starts_of
from datagen.evaluation.law_moments import law_moments
from datagen.evaluation.measures import Array, Measures

__all__ = ["EXPANDED", "Expansion"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EXPANDED = Effect.EXITS | Effect.THRESHOLDS | Effect.ROUTING
"""Effects that an expansion does away with."""

_COUNTED = ("offered", "completed", "lost", "throughput")
"""Measures that add up over the parts of a chain."""

_BOUNDED = ("loss_ratio", "throughput_ratio")
"""Measures whose bounds are weighted by the jobs offered."""


@dataclass(frozen=True, kw_only=True)
class Expansion:
    """Deployments whose chains are the parts of others' chains.

    Args:
        batch: The parts, as chains of one path each without exits; it carries no laws.
        origin: The deployments they are parts of.
        chain: Chain row of the origin of each part [N].
        exit_fragment: 0-based fragment after which its jobs leave [N].
        share: Share of the chain's jobs [N], summing to about 1 per chain.
        accuracy: Share of right answers of its jobs [N]; NaN where unknown.
    """

    batch: DeploymentBatch
    origin: DeploymentBatch
    chain: Ints
    exit_fragment: Ints
    share: Floats
    accuracy: Floats

    @classmethod
    def of(cls, origin: DeploymentBatch) -> Expansion:
        """Expand deployments.

        Args:
            origin: Packed deployments without parallel chains; with their laws where jobs may
                leave early, as it takes the time of every fragment to know that of a part of a
                step.

        Returns:
            Their expansion; parts below :data:`LEAST_SHARE` are left out.

        Raises:
            InvalidInputError: If laws are needed and absent.
        """
        path, last, leaving, accuracy = path_exits(origin)
        share = origin.path_probability[path] * leaving
        kept = share >= LEAST_SHARE
        path, last, share, accuracy = path[kept], last[kept], share[kept], accuracy[kept]
        chain = chain_of_path(origin)[path]
        return cls(
            batch=_parts(origin, path, chain, last, share),
            origin=origin,
            chain=chain,
            exit_fragment=last,
            share=share,
            accuracy=accuracy,
        )

    def collected(self, measures: Measures) -> Measures:
        """Return the measures of the chains from those of their parts.

        Args:
            measures: Of :attr:`batch`.

        Returns:
            Measures of :attr:`origin`; what does not follow from those of the parts, such as
            quantiles of the latency, is left out.
        """
        parts, chains = measures.chain, len(self.origin.chain_rate)

        def total(values: Array) -> Floats:
            added = np.bincount(self.chain, weights=values, minlength=chains)
            return np.asarray(added, dtype=np.float64)

        completing = self.share * parts["throughput_ratio"]
        offered, completed = total(self.share), total(completing)
        chain: dict[str, Array] = {name: total(parts[name]) for name in _COUNTED if name in parts}
        with np.errstate(divide="ignore", invalid="ignore"):
            for name in (f"{base}{end}" for base in _BOUNDED for end in ("", "_low", "_high")):
                if name in parts:
                    chain[name] = total(self.share * parts[name]) / offered
            latency = total(completing * parts["latency"]) / completed
            unloaded = completing * parts["latency"] * parts["latency_ratio"]
            chain["latency"] = latency
            chain["latency_ratio"] = total(unloaded) / completed / latency
            right = total(completing * self.accuracy)
            chain["accuracy_offered"] = right / offered
            chain["accuracy_completed"] = right / completed
        flags = {
            name: values
            for name, values in measures.deployment.items()
            if name in ("in_distribution", "unstable")
        }
        return Measures.of(
            self.origin,
            measures.source,
            deployment=flags,
            chain=chain,
            device=measures.device,
            reason=measures.reason,
            level=measures.level,
        )


def chain_of_path(batch: DeploymentBatch) -> Ints:
    """Return the chain row of each path [P]."""
    return np.repeat(np.arange(len(batch.chain_rate)), batch.counts("path"))


def path_exits(batch: DeploymentBatch) -> tuple[Ints, Ints, Floats, Floats]:
    """Return path, last fragment, share of the path's jobs and accuracy of every part [N]."""
    paths = len(batch.path_probability)
    if not batch.has("exit") or len(_column(batch.exit_probability)) == 0:
        return np.arange(paths), _lengths(batch) - 1, np.ones(paths), np.full(paths, np.nan)
    carried = batch.has("fragment")
    require(carried, "batch", "carry its laws (read or pack it with laws=True)", "none")
    first, chain, last, share, accuracy = _exits(batch)
    # A chain without exits has one all the same: its end.
    counts = np.diff(first)
    of_path = chain_of_path(batch)
    number = np.maximum(counts[of_path], 1)
    path = np.repeat(np.arange(paths), number)
    rows = ranges(first[of_path], number)
    rows = np.minimum(rows, len(chain) - 1)
    early = counts[of_path][path] > 0
    return (
        path,
        np.where(early, last[rows], (_lengths(batch) - 1)[path]),
        np.where(early, share[rows], 1.0),
        np.where(early, accuracy[rows], np.nan),
    )


def _exits(batch: DeploymentBatch) -> tuple[Ints, Ints, Ints, Floats, Floats]:
    """Join the exits of a chain that follow the same fragment, right answers and wrong ones.

    Returns:
        Offsets by chain [C + 1], and chain, fragment, share and accuracy of each exit.
    """
    chains = len(batch.chain_rate)
    chain = np.repeat(np.arange(chains), batch.counts("exit"))
    fragment = _column(batch.exit_fragment).astype(np.int64)
    probability = _column(batch.exit_probability)
    new = np.append(True, (np.diff(chain) != 0) | (np.diff(fragment) != 0))
    begin = np.flatnonzero(new)
    share = np.add.reduceat(probability, begin)
    right = np.add.reduceat(probability * _column(batch.exit_accuracy), begin)
    with np.errstate(divide="ignore", invalid="ignore"):
        accuracy = np.where(share > 0, right / share, 0.0)
    first = starts_of(np.bincount(chain[begin], minlength=chains))
    return first, chain[begin], fragment[begin], share, accuracy


def _column(values: NDArray[Any] | None) -> NDArray[Any]:
    assert values is not None  # optional columns come together
    return values


def _lengths(batch: DeploymentBatch) -> Ints:
    """Return the number of fragments of each path [P]; of steps, where fragments are absent."""
    if batch.fragment_start is None:
        return batch.counts("step")
    return np.diff(batch.fragment_start[batch.step_start])


def _parts(
    origin: DeploymentBatch, path: Ints, chain: Ints, last: Ints, share: Floats
) -> DeploymentBatch:
    """Return the parts as chains."""
    step, part, partial = part_steps(origin, path, last)
    mean, scv = origin.step_mean[step].copy(), origin.step_scv[step].copy()
    if partial is not None:
        mean, variance = part_service(origin, step, partial)
        scv = variance / np.where(mean > 0, mean, 1.0) ** 2
    final = np.append(part[1:] != part[:-1], True)
    owner = origin.owner("chain")[chain]
    names = origin.chain_names
    path_of = path - origin.path_start[chain]
    return replace(
        origin,
        effects=origin.effects & ~int(EXPANDED),
        chain_start=starts_of(np.bincount(owner, minlength=len(origin))),
        chain_rate=origin.chain_rate[chain] * share,
        chain_scv=1.0 + share * (origin.chain_scv[chain] - 1.0),
        chain_model=origin.chain_model[chain],
        chain_priority=origin.chain_priority[chain],
        chain_parallel=origin.chain_parallel[chain],
        chain_deadline=origin.chain_deadline[chain],
        path_start=np.arange(len(path) + 1),
        path_probability=np.ones(len(path)),
        step_start=starts_of(np.bincount(part, minlength=len(path))),
        step_device=origin.step_device[step],
        step_mean=mean,
        step_scv=scv,
        step_demand=origin.step_demand[step],
        step_weights=origin.step_weights[step],
        step_delay=np.where(final, 0.0, origin.step_delay[step]),
        step_release=origin.step_release[step],
        step_link=np.where(final, -1, origin.step_link[step]).astype(np.int32),
        step_asks=np.where(final, 0, origin.step_asks[step]).astype(np.int8),
        step_reached=np.ones(len(step)),
        chain_names=None
        if names is None
        else tuple(
            part_name(names[c], r, k)
            for c, r, k in zip(chain.tolist(), path_of.tolist(), last.tolist(), strict=True)
        ),
        **_tables(origin, step),
        **WITHOUT_LAWS,
        **_WITHOUT_SOURCES,
    )


def _tables(origin: DeploymentBatch, step: Ints) -> dict[str, Any]:
    """Return the times of batches at given steps."""
    if origin.table_start is None or origin.table_seconds is None:
        return {}
    sizes = np.diff(origin.table_start)[step]
    rows = ranges(origin.table_start[step], sizes)
    return {"table_start": starts_of(sizes), "table_seconds": origin.table_seconds[rows]}


WITHOUT_LAWS: dict[str, Any] = dict.fromkeys((
    "exit_start",
    "exit_probability",
    "exit_fragment",
    "exit_accuracy",
    "trace_start",
    "trace_exit",
    "context_start",
    "context_samples",
    "context_parameter_start",
    "context_parameter",
    "fragment_start",
    "fragment_law",
    "fragment_speed",
    "fragment_head",
    "fragment_head_speed",
    "head_parameter_start",
    "head_parameter",
    "law_parameter_start",
    "law_parameter",
))
"""What deployments have none of once exits are resolved: exits, and the laws of fragments."""

_WITHOUT_SOURCES: dict[str, Any] = dict.fromkeys((
    "chain_arrivals",
    "arrival_parameter_start",
    "arrival_parameter",
))
"""What parts have none of besides: the arrival process of the whole chain."""


def part_steps(origin: DeploymentBatch, path: Ints, last: Ints) -> tuple[Ints, Ints, Ints | None]:
    """Return step row, part, and number of fragments passed there, of every step of the parts.

    The last is None where fragments or their laws are absent: then nobody leaves early.
    """
    number = origin.counts("step")[path]
    part = np.repeat(np.arange(len(path)), number)
    step = ranges(origin.step_start[path], number)
    if origin.fragment_start is None or origin.fragment_law is None:
        return step, part, None
    begin = origin.fragment_start[step] - origin.fragment_start[origin.step_start[path][part]]
    reached = begin <= last[part]
    step, part, begin = step[reached], part[reached], begin[reached]
    whole = origin.fragment_start[step + 1] - origin.fragment_start[step]
    return step, part, np.minimum(whole, last[part] + 1 - begin)


def part_service(origin: DeploymentBatch, step: Ints, passed: Ints) -> tuple[Floats, Floats]:
    """Return mean [s] and variance [s^2] of the first fragments of steps, their heads included."""
    assert origin.fragment_start is not None
    assert origin.law_parameter_start is not None
    speed = _column(origin.fragment_speed)
    mean, variance = law_moments(
        _column(origin.fragment_law), origin.law_parameter_start, _column(origin.law_parameter)
    )
    mean, variance = mean / speed, variance / speed**2
    if origin.head_parameter_start is not None and origin.fragment_head is not None:
        speed = _column(origin.fragment_head_speed)
        extra, spread = law_moments(
            origin.fragment_head, origin.head_parameter_start, _column(origin.head_parameter)
        )
        mean, variance = mean + extra / speed, variance + spread / speed**2
    rows = ranges(origin.fragment_start[step], passed)
    begin = starts_of(passed)[:-1]
    return np.add.reduceat(mean[rows], begin), np.add.reduceat(variance[rows], begin)
