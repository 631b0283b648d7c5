"""Packing: from deployment objects to flat arrays, the only place where index rules live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Deployment
from datagen.errors import require
from datagen.evaluation.batch import DeploymentBatch, joined
from datagen.evaluation.batching_tables import BatchChoices, BatchingTables
from datagen.evaluation.effects import Effect, effects_of
from datagen.evaluation.exit_tables import ExitTables
from datagen.evaluation.fields import starts_of
from datagen.evaluation.placed_weights import PlacedWeights
from datagen.evaluation.plain_packing import (
    chain_columns,
    device_columns,
    has_revisits,
    is_plain,
    models_of,
    plain_columns,
    power_points,
    scv_of,
)
from datagen.evaluation.service_table import NOWHERE, ServiceTable
from datagen.evaluation.varied_exits import VariedExits
from datagen.steps import run_starts

__all__ = ["DeploymentTables", "pack"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def _tiled(values: NDArray[Any], count: int) -> NDArray[Any]:
    """Return an array so many times end to end; once is the usual case, and costs nothing."""
    return values if count == 1 else np.tile(values, count)


class LinkTables(NamedTuple):
    """The links between devices, by sender and receiver.

    Args:
        latency: Delay before the first byte [s] [D, D].
        bandwidth: Bytes per second, inf where there is no link [D, D].
        release: Whether the sender's units are free when a transfer starts [D, D].
        queue: Number of the link where transfers queue for it, -1 elsewhere [D, D].
        asks: Whether room ahead is asked for first [D, D].
    """

    latency: Floats
    bandwidth: Floats
    release: NDArray[np.int8]
    queue: NDArray[np.int32]
    asks: NDArray[np.int8]


@dataclass(frozen=True)
class DeploymentTables(PlacedWeights):
    """What all placements of one deployment's problem share, as arrays.

    Args:
        base: A deployment of the problem; its paths per chain, routing and fuse rule are kept.
        placed_only: Whether only the placement of the base will be packed: laws and moments are
            then known where it places fragments, and nowhere else.
    """

    placed_only: bool = False

    @cached_property
    def devices(self) -> dict[str, NDArray[Any]]:
        """Device columns of a batch [D]."""
        return device_columns(self.base.problem.devices)

    @cached_property
    def chains(self) -> dict[str, NDArray[Any]]:
        """Chain columns of a batch [C]."""
        return chain_columns(self.base.problem.chains, models_of(self.base.problem.chains))

    @cached_property
    def arrival_parameters(self) -> list[tuple[float, ...]]:
        """Parameters of each chain's arrival process."""
        return [chain.arrivals.parameters() for chain in self.base.problem.chains]

    @cached_property
    def links(self) -> LinkTables:
        """What connects the devices."""
        problem = self.base.problem
        index = problem.device_index()
        shape = (len(index), len(index))
        latency, bandwidth = np.zeros(shape), np.full(shape, np.inf)
        release, asks = np.zeros((2, *shape), dtype=np.int8)
        queue = np.full(shape, -1, dtype=np.int32)
        for number, link in enumerate(problem.links):
            ends = (index[link.source], index[link.target])
            latency[ends], bandwidth[ends] = link.latency, link.bandwidth
            release[ends] = link.release == "start"
            asks[ends] = link.admission == "before_transfer"
            if link.queueing:
                queue[ends] = number
        return LinkTables(latency, bandwidth, release, queue, asks)

    @cached_property
    def in_branch(self) -> Flags:
        """Whether each slot belongs to a parallel chain, whose fragments send nothing on [F]."""
        parallel = self.chains["chain_parallel"].astype(bool)
        paths = np.repeat(parallel, self.path_counts)
        return np.asarray(paths[self.slot_path])

    @cached_property
    def services(self) -> ServiceTable:
        """What the work of the slots is drawn from."""
        placement = self.base_placement() if self.placed_only else None
        return ServiceTable(self.base.problem, self.slots, placement)

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """Whether each slot may be placed on each device [F, D]."""
        return np.asarray(self.services.entry != NOWHERE)

    @cached_property
    def moments(self) -> tuple[Floats, Floats]:
        """Mean [s] and variance [s^2] of each slot's time by device [F, D], NaN if not allowed."""
        tables = np.full((2, *self.services.entry.shape), np.nan)
        tables[:, self.allowed] = self.services.moments
        return tables[0], tables[1]

    @cached_property
    def leaving(self) -> ExitTables:
        """Where jobs may leave."""
        return ExitTables(self.base, self.slots)

    @cached_property
    def power(self) -> tuple[Ints, Floats]:
        """Points of each device's power curve [D], and the watts of all of them."""
        return power_points(self.base.problem.devices)

    @cached_property
    def speedup(self) -> tuple[Ints, Floats]:
        """Entries of each device's speed-up table [D], and the factors of all of them."""
        tables = [device.speedup or () for device in self.base.problem.devices]
        counts = np.array([len(table) for table in tables], dtype=np.int64)
        return counts, np.array([x for table in tables for x in table], dtype=np.float64)

    @cached_property
    def batching(self) -> BatchingTables:
        """How accelerators form batches, and how long these take."""
        return BatchingTables(self.base, self.slots)

    @cached_property
    def effects(self) -> Effect:
        """Effects of everything but the placement and the times of open classifiers."""
        return effects_of(self.base)

    def rows(
        self,
        placement: NDArray[np.int32],
        *,
        thresholds: Floats | None = None,
        routing: Floats | None = None,
        batching: BatchChoices | None = None,
        laws: bool = True,
    ) -> DeploymentBatch:
        """Pack variants of the base.

        Args:
            placement: Device index per slot [B, F], each allowed.
            thresholds: Thresholds of the chains that the base decides by some [B, T], or None to
                keep the base's.
            routing: Probability of each path [B, P], 1 in all per chain, or None to keep the
                base's.
            batching: Setting of each accelerator, or None to keep the base's.
            laws: Whether fragments and their laws are wanted (simulation) or not (models).

        Returns:
            B packed deployments with key 0: they share the problem's random streams.
        """
        columns = self.columns(
            placement, thresholds=thresholds, routing=routing, batching=batching, laws=laws
        )
        return DeploymentBatch(**columns)

    def columns(
        self,
        placement: NDArray[np.int32],
        *,
        thresholds: Floats | None = None,
        routing: Floats | None = None,
        batching: BatchChoices | None = None,
        laws: bool = True,
    ) -> dict[str, Any]:
        """Return what :meth:`rows` makes a batch of.

        Args:
            placement: As for :meth:`rows`.
            thresholds: As for :meth:`rows`.
            routing: As for :meth:`rows`.
            batching: As for :meth:`rows`.
            laws: As for :meth:`rows`.

        Returns:
            Columns and offsets by name.
        """
        count, slots = placement.shape
        paths = len(self.path_probability)
        segmented = self.batching.segmented(placement)
        first = run_starts(placement, self.path_first, self.base.fuse, segmented)
        begin = np.flatnonzero(first)
        stayed = self.batching.stayed(placement, self.path_first, begin)
        slot, device = _tiled(np.arange(slots), count), placement.ravel()
        leaving: ExitTables | VariedExits = self.leaving
        place = slot
        if thresholds is not None and self.leaving.has_exits:
            leaving = VariedExits(self.leaving, thresholds)
            place = np.arange(count * slots)
        alone = self.batching.alone(slot, device, batching)
        times = self._step_times(slot, device, begin, leaving, place, alone)
        step_path = begin // slots * paths + self.slot_path[slot[begin]]
        step_device = device[begin]
        content = {
            "key": np.zeros(count, dtype=np.int64),
            "effects": int(self.effects if batching is None else self.effects | Effect.BATCHING)
            | self._revisits(count, step_path, step_device, stayed)
            | np.where(leaving.random_head, int(Effect.RANDOM_SERVICE), 0),
            "device_start": np.arange(count + 1) * len(self.base.problem.devices),
            "chain_start": np.arange(count + 1) * len(self.base.problem.chains),
            "path_start": starts_of(_tiled(self.path_counts, count)),
            "path_probability": (
                _tiled(self.path_probability, count) if routing is None else routing.ravel()
            ),
            "step_start": starts_of(np.bincount(step_path, minlength=count * paths)),
            "step_device": step_device,
            "step_demand": _demands(np.maximum.reduceat(self.demand[slot], begin), stayed),
            "step_weights": np.add.reduceat(self.weights[slot], begin),
            "device_names": tuple(d.name for d in self.base.problem.devices) * count,
            "chain_names": tuple(c.name for c in self.base.problem.chains) * count,
        }
        content |= times | self._curve_rows("power", "watts", self.power, count)
        content |= self._curve_rows("speedup", "factor", self.speedup, count)
        content |= self.batching.rows(slot, device, begin, count, batching)
        content |= leaving.exit_rows(count)
        content |= self._transfers(slot, device, begin)
        content |= {name: _tiled(values, count) for name, values in self.devices.items()}
        content |= {name: _tiled(values, count) for name, values in self.chains.items()}
        if laws:
            content |= {"fragment_start": np.append(begin, len(slot))}
            content |= self.services.rows(slot, device, alone) | self._arrival_rows(count)
            content |= leaving.head_rows(place, device)
            content |= leaving.draw_rows(count)
        return content

    def _step_times(
        self,
        slot: Ints,
        device: NDArray[np.int32],
        begin: Ints,
        leaving: ExitTables | VariedExits,
        place: Ints,
        alone: tuple[Ints, Floats] | None,
    ) -> dict[str, Floats]:
        """Return mean and SCV of the time of each step, and the share of jobs that reaches it."""
        entry = self.services.entry[slot, device]
        mean, variance = (values[entry] for values in self.services.moments)
        if alone is not None:
            mean[alone[0]] = alone[1]
        if leaving.has_exits:
            mean, variance, reached = _with_exits(mean, variance, device, begin, leaving, place)
        else:
            reached = np.ones(len(begin))
            mean, variance = (np.add.reduceat(values, begin) for values in (mean, variance))
        return {"step_mean": mean, "step_scv": scv_of(mean, variance), "step_reached": reached}

    def _curve_rows(
        self, level: str, unit: str, curves: tuple[Ints, Floats], count: int
    ) -> dict[str, NDArray[np.generic]]:
        """Return the rows of what devices have a curve of: its points and values."""
        points, values = curves
        several = _tiled(points, count) if len(values) else np.zeros(count * len(points), int)
        return {f"{level}_start": starts_of(several), f"{level}_{unit}": _tiled(values, count)}

    def _transfers(
        self, slot: Ints, device: NDArray[np.int32], begin: Ints
    ) -> dict[str, NDArray[np.generic]]:
        """Return what it takes to get from each step to the next of its path."""
        delay = np.zeros(len(begin))
        release, asks = np.zeros((2, len(begin)), dtype=np.int8)
        queue = np.full(len(begin), -1, dtype=np.int32)
        if self.base.problem.links:
            # The last slot of a step and the one after it, where that is of the same path, and
            # takes what the other sends.
            step = np.flatnonzero(
                ~self.path_first[slot[begin[1:]]] & ~self.in_branch[slot[begin[1:]]]
            )
            after = begin[step + 1]
            ends = (device[after - 1], device[after])
            links = self.links
            seconds = links.latency[ends] + self.output[slot[after - 1]] / links.bandwidth[ends]
            delay[step] = seconds
            release[step] = links.release[ends]
            queue[step] = np.where(seconds > 0, links.queue[ends], -1)
            asks[step] = links.asks[ends] * (seconds > 0)
        return {
            "step_delay": delay,
            "step_release": release,
            "step_link": queue,
            "step_asks": asks,
        }

    def _arrival_rows(self, count: int) -> dict[str, NDArray[np.generic]]:
        sizes = np.array([len(own) for own in self.arrival_parameters], dtype=np.int64)
        parameters = np.array([x for own in self.arrival_parameters for x in own])
        return {
            "arrival_parameter_start": starts_of(_tiled(sizes, count)),
            "arrival_parameter": _tiled(parameters, count),
        }

    def _revisits(
        self, count: int, path: Ints, device: NDArray[np.int32], stayed: Flags | None
    ) -> Ints:
        """Return the REVISIT bit of each placement with a path that comes back to a device [B].

        Args:
            count: Number of placements B.
            path: Path row of each step [S].
            device: Device of each step, local to its deployment [S].
            stayed: Whether it goes on with the visit of the one before [S], see BatchingTables.
        """
        if stayed is not None:
            path, device = path[~stayed], device[~stayed]
        paths, devices = len(self.path_probability), len(self.base.problem.devices)
        again = has_revisits(path, device, count * paths, devices)
        return np.asarray(again.reshape(count, paths).any(axis=1) * int(Effect.REVISIT))


def _demands(own: Floats, stayed: Flags | None) -> Floats:
    """Return the units that a job occupies at each step: on accelerators, the most of a visit.

    Args:
        own: Units that each step would take by itself [S].
        stayed: Whether it goes on with the visit of the one before [S], see BatchingTables.

    Returns:
        Units [S].
    """
    if stayed is None:
        return own
    visit = np.flatnonzero(~stayed)
    return np.repeat(np.maximum.reduceat(own, visit), np.diff(np.append(visit, len(own))))


def _with_exits(
    mean: Floats,
    variance: Floats,
    device: NDArray[np.int32],
    begin: Ints,
    leaving: ExitTables | VariedExits,
    place: Ints,
) -> tuple[Floats, Floats, Floats]:
    """Return the moments of the time of each step where jobs leave on the way, open heads included.

    Args:
        mean: Mean time of the fragments alone [s] [R].
        variance: Its variance [s^2] [R].
        device: Device of each fragment [R].
        begin: First fragment of each step [S].
        leaving: Where jobs may leave.
        place: Where each fragment is found there [R].

    Returns:
        Mean [s] and variance [s^2] of each step, and the share of its path's jobs that reaches it.
    """
    sizes = np.diff(np.append(begin, len(mean)))
    head_mean, head_variance = (values[place, device] for values in leaving.head_moments)
    mean, variance = mean + head_mean, variance + head_variance
    passing = leaving.passing[place]
    reached = passing[begin]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = passing / np.repeat(reached, sizes)
    share = np.where(np.isfinite(share), share, 1.0)
    step_mean = np.add.reduceat(mean * share, begin)
    # E[T^2] by the largest fragment that a job reaches: shares fall along a step.
    order = np.arange(len(mean)) - np.repeat(begin, sizes)
    before = np.zeros(len(mean))
    for rank in range(1, int(order.max(initial=0)) + 1):
        here = np.flatnonzero(order == rank)
        before[here] = before[here - 1] + mean[here - 1]
    sums = share * (variance + mean**2 + 2.0 * before * mean)
    step_variance = np.add.reduceat(sums, begin) - step_mean**2
    return step_mean, np.maximum(step_variance, 0.0), reached


def pack(deployments: Sequence[Deployment]) -> DeploymentBatch:
    """Pack deployments of any problems.

    Args:
        deployments: At least one.

    Returns:
        The batch, with keys 0, 1, ...: every deployment has random streams of its own.

    Raises:
        InvalidInputError: If there is none.
    """
    require(len(deployments) > 0, "deployments", "hold at least one", deployments)
    if all(map(is_plain, deployments)):
        return DeploymentBatch(**plain_columns(deployments))
    tables = [DeploymentTables(deployment, placed_only=True) for deployment in deployments]
    columns = joined([table.columns(table.base_placement()[None]) for table in tables])
    return DeploymentBatch(**columns | {"key": np.arange(len(deployments))})
