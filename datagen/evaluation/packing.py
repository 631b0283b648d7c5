"""Packing: from deployment objects to flat arrays, the only place where index rules live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Deployment
from datagen.errors import require
from datagen.evaluation.batch import DeploymentBatch, joined
from datagen.evaluation.batching_tables import BatchChoices, BatchingTables
from datagen.evaluation.effects import Effect, effects_of
from datagen.evaluation.exit_tables import ExitTables
from datagen.evaluation.fields import starts_of
from datagen.evaluation.link_tables import LinkTables, no_transfers
from datagen.evaluation.placed_weights import PlacedWeights
from datagen.evaluation.plain_packing import (
    chain_columns,
    device_columns,
    has_revisits,
    is_plain,
    models_of,
    plain_columns,
    power_points,
)
from datagen.evaluation.service_table import NOWHERE, ServiceTable
from datagen.evaluation.step_times import step_times
from datagen.evaluation.varied_exits import VariedExits
from datagen.steps import run_starts

__all__ = ["DeploymentTables", "pack"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def _tiled(values: NDArray[Any], count: int) -> NDArray[Any]:
    """Return an array so many times end to end; once is the usual case, and costs nothing."""
    return values if count == 1 else np.tile(values, count)


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
        return LinkTables.of(self.base.problem)

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
        return step_times(mean, variance, device, begin, leaving, place)

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
        if not self.base.problem.links:
            return no_transfers(len(begin))
        # Who sends has a step after it that is of the same path and takes what it sends.
        follower = slot[begin[1:]]
        sender = np.flatnonzero(~self.path_first[follower] & ~self.in_branch[follower])
        after = begin[sender + 1]
        sent = self.output[slot[after - 1]]
        return self.links.transfers(len(begin), sender, device[after - 1], device[after], sent)

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
