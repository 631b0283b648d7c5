"""Packing: from deployment objects to flat arrays, the only place where index rules live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import ARRIVAL_NAMES
from datagen.deployment import DISCIPLINES, Deployment
from datagen.errors import require
from datagen.evaluation.batch import DeploymentBatch, joined
from datagen.evaluation.batching_tables import BatchChoices, BatchingTables
from datagen.evaluation.effects import Effect, effects_of
from datagen.evaluation.exit_tables import ExitTables
from datagen.evaluation.fields import starts_of
from datagen.evaluation.placed_weights import PlacedWeights
from datagen.evaluation.service_table import NOWHERE, ServiceTable
from datagen.evaluation.varied_exits import VariedExits
from datagen.steps import run_starts

__all__ = ["DeploymentTables", "pack"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def _optional(value: float | None, absent: float) -> float:
    return absent if value is None else float(value)


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
    def devices(self) -> dict[str, Floats]:
        """Device columns of a batch [D]."""
        devices = self.base.problem.devices
        return {
            "device_speed": np.array([d.speed for d in devices]),
            "device_servers": np.array([d.servers for d in devices], dtype=np.int32),
            "device_capacity": np.array([_optional(d.capacity, np.inf) for d in devices]),
            "device_memory": self.memory,
            "device_discipline": np.array(
                [DISCIPLINES.index(d.discipline) for d in devices], dtype=np.int8
            ),
        }

    @cached_property
    def chains(self) -> dict[str, Floats]:
        """Chain columns of a batch [C]."""
        chains = self.base.problem.chains
        return {
            "chain_rate": np.array([c.arrivals.rate for c in chains]),
            "chain_scv": np.array([c.arrivals.scv for c in chains]),
            "chain_model": np.array(self.models, dtype=np.int32),
            "chain_priority": np.array([c.priority for c in chains], dtype=np.int32),
            "chain_deadline": np.array([_optional(c.deadline, np.nan) for c in chains]),
            "chain_arrivals": np.array(
                [ARRIVAL_NAMES.index(c.arrivals.name) for c in chains], dtype=np.int8
            ),
        }

    @cached_property
    def models(self) -> list[int]:
        """Which network each chain runs, in the order of their first chains [C]."""
        names = [str(chain.model) for chain in self.base.problem.chains]
        known = {name: number for number, name in enumerate(dict.fromkeys(names))}
        return [known[name] for name in names]

    @cached_property
    def arrival_parameters(self) -> list[tuple[float, ...]]:
        """Parameters of each chain's arrival process."""
        return [chain.arrivals.parameters() for chain in self.base.problem.chains]

    @cached_property
    def links(self) -> tuple[Floats, Floats, NDArray[np.int8]]:
        """Latency [s], bandwidth [B/s] and early release between devices [D, D]."""
        problem = self.base.problem
        index = problem.device_index()
        shape = (len(index), len(index))
        latency, bandwidth = np.zeros(shape), np.full(shape, np.inf)
        release = np.zeros(shape, dtype=np.int8)
        for link in problem.links:
            ends = (index[link.source], index[link.target])
            latency[ends], bandwidth[ends] = link.latency, link.bandwidth
            release[ends] = link.release == "start"
        return latency, bandwidth, release

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
        curves = [device.power or () for device in self.base.problem.devices]
        counts = np.array([len(curve) for curve in curves], dtype=np.int64)
        return counts, np.array([watts for curve in curves for watts in curve], dtype=np.float64)

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
        content |= times | self._power_rows(count)
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
        square = np.where(mean > 0, mean, 1.0) ** 2
        return {"step_mean": mean, "step_scv": variance / square, "step_reached": reached}

    def _power_rows(self, count: int) -> dict[str, NDArray[np.generic]]:
        points, watts = self.power
        several = _tiled(points, count) if len(watts) else np.zeros(count * len(points), int)
        return {"power_start": starts_of(several), "power_watts": _tiled(watts, count)}

    def _transfers(
        self, slot: Ints, device: NDArray[np.int32], begin: Ints
    ) -> dict[str, NDArray[np.generic]]:
        """Return what it takes to get from each step to the next of its path."""
        delay, release = np.zeros(len(begin)), np.zeros(len(begin), dtype=np.int8)
        if self.base.problem.links:
            # The last slot of a step and the one after it, where that is of the same path.
            step = np.flatnonzero(~self.path_first[slot[begin[1:]]])
            after = begin[step + 1]
            ends = (device[after - 1], device[after])
            latency, bandwidth, early = self.links
            delay[step] = latency[ends] + self.output[slot[after - 1]] / bandwidth[ends]
            release[step] = early[ends]
        return {"step_delay": delay, "step_release": release}

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
        devices = len(self.base.problem.devices)
        rows = count * len(self.path_probability) * devices
        visits = np.bincount(path * devices + device, minlength=rows)
        again = visits.reshape(count, -1).max(axis=1) > 1
        return np.asarray(again.astype(np.int64) * int(Effect.REVISIT))


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
    tables = [DeploymentTables(deployment, placed_only=True) for deployment in deployments]
    columns = joined([table.columns(table.base_placement()[None]) for table in tables])
    return DeploymentBatch(**columns | {"key": np.arange(len(deployments))})
