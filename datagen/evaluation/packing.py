"""Packing: from deployment objects to flat arrays, the only place where index rules live."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import ARRIVAL_NAMES
from datagen.deployment import DISCIPLINES, Deployment, Problem
from datagen.distributions import LAW_NAMES, Law
from datagen.errors import require
from datagen.evaluation.batch import DeploymentBatch, joined
from datagen.evaluation.batching_tables import BatchingTables
from datagen.evaluation.effects import Effect, effects_of
from datagen.evaluation.exit_tables import ExitTables
from datagen.evaluation.fields import ranges, starts_of
from datagen.evaluation.varied_exits import VariedExits
from datagen.steps import run_starts, stays

__all__ = ["DeploymentTables", "pack"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


LAW_CODES = {name: code for code, name in enumerate(LAW_NAMES)}


def _optional(value: float | None, absent: float) -> float:
    return absent if value is None else float(value)


def _tiled(values: NDArray[Any], count: int) -> NDArray[Any]:
    """Return an array so many times end to end; once is the usual case, and costs nothing."""
    return values if count == 1 else np.tile(values, count)


@dataclass(frozen=True)
class DeploymentTables:
    """What all placements of one deployment's problem share, as arrays.

    A *slot* is one (chain, path, fragment): a place in the placement vector. F counts slots.

    Args:
        base: A deployment of the problem; its paths per chain, routing and fuse rule are kept.
        placed_only: Whether only the placement of the base will be packed: laws and moments are
            then known where it places fragments, and nowhere else.
    """

    base: Deployment
    placed_only: bool = False

    @cached_property
    def devices(self) -> dict[str, Floats]:
        """Device columns of a batch [D]."""
        devices = self.base.problem.devices
        return {
            "device_speed": np.array([d.speed for d in devices]),
            "device_servers": np.array([d.servers for d in devices], dtype=np.int32),
            "device_capacity": np.array([_optional(d.capacity, np.inf) for d in devices]),
            "device_memory": np.array([_optional(d.memory, np.inf) for d in devices]),
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
    def path_counts(self) -> Ints:
        """Paths per chain [C]."""
        return np.array([len(self.base.placement[c.name]) for c in self.base.problem.chains])

    @cached_property
    def path_probability(self) -> Floats:
        """Probability of each path [P]."""
        routing = self.base.routing
        assert routing is not None
        return np.array([p for c in self.base.problem.chains for p in routing[c.name]])

    @cached_property
    def slots(self) -> list[tuple[int, int]]:
        """(chain, fragment) of each slot [F]."""
        return [
            (index, fragment)
            for index, chain in enumerate(self.base.problem.chains)
            for _ in range(self.path_counts[index])
            for fragment in range(len(chain.fragments))
        ]

    @cached_property
    def slot_path(self) -> Ints:
        """Path row of each slot [F], ascending."""
        lengths = [len(chain.fragments) for chain in self.base.problem.chains]
        return np.repeat(
            np.arange(len(self.path_probability)), np.repeat(lengths, self.path_counts)
        )

    @cached_property
    def path_first(self) -> NDArray[np.bool_]:
        """Whether a slot is the first of its path [F]."""
        return np.append(True, np.diff(self.slot_path) > 0)

    def _slot_values(self, field: str) -> Floats:
        chains = self.base.problem.chains
        values = [getattr(chains[c].fragments[f], field) for c, f in self.slots]
        return np.array(values, dtype=np.float64)

    @cached_property
    def demand(self) -> Floats:
        """Buffer units per slot [F]."""
        return self._slot_values("demand")

    @cached_property
    def weights(self) -> Floats:
        """Bytes of weights per slot [F]."""
        return self._slot_values("weights")

    @cached_property
    def twins(self) -> NDArray[np.bool_]:
        """Whether two slots are one fragment on different paths [F, F]; False of a slot itself."""
        fragment = np.array(self.slots)
        same = (fragment[:, None] == fragment[None]).all(axis=2)
        return np.asarray(same & ~np.eye(len(fragment), dtype=bool))

    def added(self, placement: NDArray[np.int32], slot: Ints) -> Floats:
        """Return what placing one more slot of each row adds to each device: the memory rule.

        A fragment's weights lie on a device once, however many paths of its chain run it there.

        Args:
            placement: Device index per slot [B, F]; -1 where a slot is not placed yet.
            slot: The slot to place [B].

        Returns:
            Bytes [B, D].
        """
        devices = len(self.base.problem.devices)
        need = np.repeat(self.weights[slot][:, None], devices, axis=1)
        row, twin = np.nonzero(self.twins[slot] & (placement >= 0))
        need[row, placement[row, twin]] = 0.0
        return need

    def hosted(self, placement: NDArray[np.int32]) -> Floats:
        """Return the weights that lie on each device, by the rule of :meth:`added`.

        Args:
            placement: Device index per slot [B, F].

        Returns:
            Bytes [B, D].
        """
        count, devices = len(placement), len(self.base.problem.devices)
        weights = np.tile(self.weights, (count, 1))
        earlier = np.tril(self.twins)
        for slot in np.flatnonzero(earlier.any(axis=1)):
            lies_there = placement[:, earlier[slot]] == placement[:, [slot]]
            weights[lies_there.any(axis=1), slot] = 0.0
        place = placement + np.arange(count)[:, None] * devices
        total = np.bincount(place.ravel(), weights.ravel(), minlength=count * devices)
        return np.asarray(total.reshape(count, devices), dtype=np.float64)

    def memory_excess(self, placement: NDArray[np.int32]) -> Floats:
        """Return by how many bytes the weights exceed the memory of the devices.

        Args:
            placement: Device index per slot [B, F].

        Returns:
            Total over all devices [B] [bytes]; 0 where everything fits.
        """
        over = self.hosted(placement) - self.devices["device_memory"]
        return np.asarray(np.maximum(over, 0.0).sum(axis=1))

    @cached_property
    def output(self) -> Floats:
        """Bytes sent per slot [F]."""
        return self._slot_values("output")

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
    def laws(self) -> list[list[tuple[Law, float] | None]]:
        """Service law and divisor of each slot on each device; None where it may not run."""
        problem = self.base.problem
        slots = [(problem.chains[c], f) for c, f in self.slots]
        if self.placed_only:
            rows: list[list[tuple[Law, float] | None]] = [
                [None] * len(problem.devices) for _ in slots
            ]
            for row, (chain, f), place in zip(rows, slots, self.base_placement(), strict=True):
                row[place] = chain.time_on(f, problem.devices[place])
            return rows
        return [
            [chain.time_on(f, d) if chain.may_run_on(f, d) else None for d in problem.devices]
            for chain, f in slots
        ]

    @cached_property
    def allowed(self) -> NDArray[np.bool_]:
        """Whether each slot may be placed on each device [F, D]."""
        return np.array([[entry is not None for entry in row] for row in self.laws])

    @cached_property
    def moments(self) -> tuple[Floats, Floats]:
        """Mean [s] and variance [s^2] of each slot's time by device [F, D], NaN if not allowed."""

        def table(value: Callable[[Law, float], float]) -> Floats:
            return np.array([[value(*e) if e else np.nan for e in row] for row in self.laws])

        # Squared as numbers: arrays are squared by another routine, which may round otherwise.
        variance = table(lambda law, speed: law.scv * (law.mean / speed) ** 2)
        return table(lambda law, speed: law.mean / speed), variance

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
    def law_columns(self) -> tuple[NDArray[np.int8], Floats, Ints, Floats]:
        """Code [F * D], divisor [F * D], offsets [F * D + 1] and parameters of the laws."""
        entries = [entry for row in self.laws for entry in row]
        parameters = [entry[0].parameters() if entry else () for entry in entries]
        code = np.array([LAW_CODES[entry[0].name] if entry else 0 for entry in entries], np.int8)
        speed = np.array([entry[1] if entry else 1.0 for entry in entries])
        counts = np.array([len(values) for values in parameters], dtype=np.int64)
        flat = np.array([x for values in parameters for x in values], dtype=np.float64)
        return code, speed, starts_of(counts), flat

    @cached_property
    def effects(self) -> Effect:
        """Effects of everything but the placement and the times of open classifiers."""
        return effects_of(self.base)

    def base_placement(self) -> NDArray[np.int32]:
        """Return the base deployment's placement vector [F]."""
        return placement_vector(self.base.problem, self.base.placement)

    def rows(
        self,
        placement: NDArray[np.int32],
        *,
        thresholds: Floats | None = None,
        routing: Floats | None = None,
        laws: bool = True,
    ) -> DeploymentBatch:
        """Pack variants of the base.

        Args:
            placement: Device index per slot [B, F], each allowed.
            thresholds: Thresholds of the chains that the base decides by some [B, T], or None to
                keep the base's.
            routing: Probability of each path [B, P], 1 in all per chain, or None to keep the
                base's.
            laws: Whether fragments and their laws are wanted (simulation) or not (models).

        Returns:
            B packed deployments with key 0: they share the problem's random streams.
        """
        columns = self.columns(placement, thresholds=thresholds, routing=routing, laws=laws)
        return DeploymentBatch(**columns)

    def columns(
        self,
        placement: NDArray[np.int32],
        *,
        thresholds: Floats | None = None,
        routing: Floats | None = None,
        laws: bool = True,
    ) -> dict[str, Any]:
        """Return what :meth:`rows` makes a batch of, with the same arguments.

        Returns:
            Columns and offsets by name.
        """
        count, slots = placement.shape
        segmented = self.batching.segmented(placement)
        first = run_starts(placement, self.path_first, self.base.fuse, segmented)
        begin = np.flatnonzero(first.ravel())
        slot = np.broadcast_to(np.arange(slots), placement.shape).ravel()
        device = placement.ravel()
        leaving: ExitTables | VariedExits = self.leaving
        place = slot
        if thresholds is not None and self.leaving.has_exits:
            leaving = VariedExits(self.leaving, thresholds)
            place = np.arange(count * slots)
        step_mean, step_variance, reached = self._moments(slot, device, begin, leaving, place)
        square = np.where(step_mean > 0, step_mean, 1.0) ** 2
        paths = len(self.path_probability)
        step_path = (self.slot_path + np.arange(count)[:, None] * paths).ravel()[begin]
        content = {
            "key": np.zeros(count, dtype=np.int64),
            "effects": int(self.effects)
            | self._revisits(placement, first)
            | np.where(leaving.random_head, int(Effect.RANDOM_SERVICE), 0),
            "device_start": np.arange(count + 1) * len(self.base.problem.devices),
            "chain_start": np.arange(count + 1) * len(self.base.problem.chains),
            "path_start": starts_of(_tiled(self.path_counts, count)),
            "path_probability": (
                _tiled(self.path_probability, count) if routing is None else routing.ravel()
            ),
            "step_start": starts_of(np.bincount(step_path, minlength=count * paths)),
            "step_device": device[begin].astype(np.int32),
            "step_mean": step_mean,
            "step_scv": step_variance / square,
            "step_reached": reached,
            "step_demand": self._demands(placement, slot, begin),
            "step_weights": np.add.reduceat(self.weights[slot], begin),
            "device_names": tuple(d.name for d in self.base.problem.devices) * count,
            "chain_names": tuple(c.name for c in self.base.problem.chains) * count,
        }
        points, watts = self.power
        several = _tiled(points, count) if len(watts) else np.zeros(count * len(points), int)
        content |= {"power_start": starts_of(several), "power_watts": _tiled(watts, count)}
        content |= self.batching.rows(slot, device, begin, count)
        content |= leaving.exit_rows(count)
        content |= self._transfers(slot, device, begin)
        content |= {name: _tiled(values, count) for name, values in self.devices.items()}
        content |= {name: _tiled(values, count) for name, values in self.chains.items()}
        if laws:
            content |= self._law_rows(slot, device, begin, count)
            content |= leaving.head_rows(place, device)
            content |= leaving.draw_rows(count)
        return content

    def _demands(self, placement: NDArray[np.int32], slot: Ints, begin: Ints) -> Floats:
        """Return the units that a job occupies at each step: on accelerators, in the visit."""
        demand = self.demand[slot]
        demands = np.maximum.reduceat(demand, begin)
        if not self.batching.accelerated.any():
            return np.asarray(demands)
        visit = np.flatnonzero(~stays(placement, self.path_first).ravel())
        largest = np.maximum.reduceat(demand, visit)[np.searchsorted(visit, begin, "right") - 1]
        return np.where(self.batching.accelerated[placement.ravel()[begin]], largest, demands)

    def _moments(
        self,
        slot: Ints,
        device: NDArray[np.int32],
        begin: Ints,
        leaving: ExitTables | VariedExits,
        place: Ints,
    ) -> tuple[Floats, Floats, Floats]:
        """Return the mean and variance of the time of each step, and the share that reaches it."""
        mean, variance = (values[slot, device] for values in self.moments)
        if not leaving.has_exits:
            ones = np.ones(len(begin))
            return np.add.reduceat(mean, begin), np.add.reduceat(variance, begin), ones
        for values, heads in zip((mean, variance), leaving.head_moments, strict=True):
            values += heads[place, device]
        passing = leaving.passing[place]
        reached = passing[begin]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = passing / np.repeat(reached, np.diff(np.append(begin, len(slot))))
        share = np.where(np.isfinite(share), share, 1.0)
        step_mean = np.add.reduceat(mean * share, begin)
        # E[T^2] by the largest fragment that a job reaches: shares fall along a step.
        order = np.arange(len(slot)) - np.repeat(begin, np.diff(np.append(begin, len(slot))))
        before = np.zeros(len(slot))
        for rank in range(1, int(order.max(initial=0)) + 1):
            here = np.flatnonzero(order == rank)
            before[here] = before[here - 1] + mean[here - 1]
        sums = share * (variance + mean**2 + 2.0 * before * mean)
        step_variance = np.add.reduceat(sums, begin) - step_mean**2
        return step_mean, np.maximum(step_variance, 0.0), reached

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

    def _law_rows(
        self, slot: Ints, device: NDArray[np.int32], begin: Ints, count: int
    ) -> dict[str, NDArray[np.generic]]:
        code, speed, start, flat = self.law_columns
        entry = slot * len(self.base.problem.devices) + device
        counts = start[entry + 1] - start[entry]
        arrivals = np.array([len(p) for p in self.arrival_parameters], dtype=np.int64)
        parameters = np.array([x for p in self.arrival_parameters for x in p])
        return {
            "fragment_start": np.append(begin, len(slot)),
            "fragment_law": code[entry],
            "fragment_speed": speed[entry],
            "law_parameter_start": starts_of(counts),
            "law_parameter": flat[ranges(start[entry], counts)],
            "arrival_parameter_start": starts_of(_tiled(arrivals, count)),
            "arrival_parameter": _tiled(parameters, count),
        }

    def _revisits(self, placement: NDArray[np.int32], first: NDArray[np.bool_]) -> Ints:
        """Return the REVISIT bit of each placement whose paths come back to a device [B]."""
        count = len(placement)
        # The segments of one visit to an accelerator are no visits of their own.
        stayed = self.batching.accelerated[placement] & stays(placement, self.path_first)
        row, slot = np.nonzero(first & ~stayed)
        devices, paths = len(self.base.problem.devices), len(self.path_probability)
        visit = (row * paths + self.slot_path[slot]) * devices + placement[row, slot]
        visits = np.bincount(visit, minlength=count * paths * devices)
        again = visits.reshape(count, -1).max(axis=1) > 1
        return np.asarray(again.astype(np.int64) * int(Effect.REVISIT))


def placement_vector(problem: Problem, placement: object) -> NDArray[np.int32]:
    """Return a placement as device indices in slot order.

    Args:
        problem: The problem.
        placement: Chain -> paths of device names, as in a deployment.

    Returns:
        Device index per slot [F].
    """
    index = problem.device_index()
    return np.array(
        [
            index[device]
            for chain in problem.chains
            for path in placement[chain.name]  # type: ignore[index]
            for device in path
        ],
        dtype=np.int32,
    )


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
