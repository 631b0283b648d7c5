"""Variants of one problem as one array each: what searches ask about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import BatchConfig, Deployment, Problem
from datagen.errors import InvalidInputError, require
from datagen.evaluation.batch import DeploymentBatch
from datagen.evaluation.batching_tables import BatchChoices
from datagen.evaluation.packing import DeploymentTables
from datagen.exits import ExitMix, Thresholds
from datagen.npu import BatchSetting

__all__ = ["Candidates"]

ROUTING_TOLERANCE = 1e-5
"""Slack of sums of probabilities of 32 bits: a hundred of them are off by less."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """B variants of one deployment.

    Args:
        base: The deployment that is varied.
        placement: Device index per slot [B, F]; slots are (chain, path, fragment) in order.
        thresholds: Thresholds [B, T], finite and >= 0, those above 1 closing their exit, or None to
            keep the base's; T counts (chain, intermediate classifier) in order, of the chains that
            the base decides by thresholds.
        routing: Path probabilities [B, P], >= 0, or None to keep the base's; P counts (chain, path)
            in order. They sum to 1 per chain as far as 32 bits can tell; what is packed does so to
            64 bits.
        batching: Which of the settings each accelerator has, 0-based [B, Q], or None to keep the
            base's; Q counts accelerators in the order of devices.
        settings: What ``batching`` chooses from, S >= 1 with it and none without.
        tables: Arrays of the base, made once and handed on between candidates of one search.
    """

    base: Deployment
    placement: NDArray[np.int32]
    thresholds: NDArray[np.float32] | None = None
    routing: NDArray[np.float32] | None = None
    batching: NDArray[np.int32] | None = None
    settings: tuple[BatchSetting, ...] = ()
    tables: DeploymentTables = field(default=None, repr=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.tables is None:
            object.__setattr__(self, "tables", DeploymentTables(self.base))  # type: ignore[unreachable]
        object.__setattr__(self, "settings", tuple(self.settings))
        self._set("placement", self._checked_placement())
        if self.thresholds is not None:
            self._set("thresholds", self._checked_thresholds(self.thresholds))
        if self.routing is not None:
            self._set("routing", self._checked_routing(self.routing))
        if self.batching is not None:
            self._set("batching", self._checked_batching(self.batching))
        else:
            require(not self.settings, "settings", "go with batching", self.settings)
        self.tables.batching.require_tabulated(self.placement, self._choices)

    def _set(self, name: str, values: NDArray[np.generic]) -> None:
        values.setflags(write=False)
        object.__setattr__(self, name, values)

    def _checked_placement(self) -> NDArray[np.int32]:
        placement = np.array(self.placement, dtype=np.int32)
        slots, devices = self.tables.allowed.shape
        shaped = placement.ndim == 2 and placement.shape[1] == slots
        require(shaped, "placement", f"have shape [B, {slots}]", placement.shape)
        if placement.size and not (placement.min() >= 0 and placement.max() < devices):
            raise InvalidInputError("placement", f"lie in [0, {devices})", placement)
        permitted = self.tables.allowed[np.arange(slots), placement].all(axis=1)
        if not permitted.all():
            row = placement[int(np.argmin(permitted))]
            raise InvalidInputError("placement", "use allowed devices only", row.tolist())
        return placement

    def _checked_thresholds(self, given: NDArray[np.float32]) -> NDArray[np.float32]:
        thresholds = np.array(given, dtype=np.float32)
        columns = self.tables.leaving.threshold_columns
        shape = (len(self), sum(column.stop - column.start for column in columns.values()))
        rule = f"have shape {list(shape)}"
        require(thresholds.shape == shape, "thresholds", rule, thresholds.shape)
        proper = (np.isfinite(thresholds) & (thresholds >= 0)).all(axis=1)
        if not proper.all():
            row = thresholds[int(np.argmin(proper))]
            raise InvalidInputError("thresholds", "be finite and >= 0", row.tolist())
        return thresholds

    def _checked_routing(self, given: NDArray[np.float32]) -> NDArray[np.float32]:
        routing = np.array(given, dtype=np.float32)
        shape = (len(self), len(self.tables.path_probability))
        require(routing.shape == shape, "routing", f"have shape {list(shape)}", routing.shape)
        proper = (np.isfinite(routing) & (routing >= 0)).all(axis=1)
        sums = self._chain_sums(routing.astype(np.float64))
        proper &= (np.abs(sums - 1.0) <= ROUTING_TOLERANCE).all(axis=1)
        if not proper.all():
            row = routing[int(np.argmin(proper))]
            raise InvalidInputError("routing", "be >= 0 and sum to 1 per chain", row.tolist())
        return routing

    def _checked_batching(self, given: NDArray[np.int32]) -> NDArray[np.int32]:
        batching = np.array(given, dtype=np.int32)
        shape = (len(self), len(self.tables.batching.accelerators))
        require(batching.shape == shape, "batching", f"have shape {list(shape)}", batching.shape)
        require(len(self.settings) > 0, "settings", "hold what batching chooses from", ())
        count = len(self.settings)
        if batching.size and not (batching.min() >= 0 and batching.max() < count):
            raise InvalidInputError("batching", f"lie in [0, {count})", batching)
        for place, column in zip(self.tables.batching.accelerators, batching.T, strict=True):
            device = self.base.problem.devices[place]
            for number in np.unique(column).tolist():
                setting = self.settings[number]
                suits = device.npu is not None and setting.suits(device.npu)
                field = f"batching.{device.name}"
                require(suits, field, "name no variant of a measured table", setting.variant)
        return batching

    @cached_property
    def _choices(self) -> BatchChoices | None:
        """The setting of each accelerator; None where the base's are kept."""
        if self.batching is None:
            return None
        return BatchChoices(settings=self.settings, choice=self.batching.astype(np.int64))

    def _chain_sums(self, routing: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sums over the paths of each chain [B, C]."""
        first = np.cumsum(self.tables.path_counts) - self.tables.path_counts
        return np.asarray(np.add.reduceat(routing, first, axis=1))

    @cached_property
    def path_probability(self) -> NDArray[np.float64] | None:
        """The routing with sums of 1 per chain to 64 bits [B, P]; None where the base's is kept."""
        if self.routing is None:
            return None
        routing = self.routing.astype(np.float64)
        return np.asarray(
            routing / np.repeat(self._chain_sums(routing), self.tables.path_counts, axis=1)
        )

    def __len__(self) -> int:
        return len(self.placement)

    def batch(self, *, laws: bool = True) -> DeploymentBatch:
        """Return the packed deployments without building objects.

        Args:
            laws: Whether the laws needed to simulate are included.

        Returns:
            B packed deployments sharing one problem key.
        """
        thresholds = None if self.thresholds is None else self.thresholds.astype(np.float64)
        return self.tables.rows(
            self.placement,
            thresholds=thresholds,
            routing=self.path_probability,
            batching=self._choices,
            laws=laws,
        )

    def deployment(self, index: int) -> Deployment:
        """Return one candidate as an object.

        Args:
            index: 0-based candidate.

        Returns:
            The base deployment with this candidate's decisions.
        """
        names = [device.name for device in self.base.problem.devices]
        devices = iter(names[d] for d in self.placement[index])
        placement = {
            chain: tuple(tuple(next(devices) for _ in path) for path in paths)
            for chain, paths in self.base.placement.items()
        }
        problem, batching = self._batching(index)
        decided = replace(
            self.base,
            problem=problem,
            placement=placement,
            exits=self._exits(index),
            batching=batching,
        )
        if self.path_probability is None:
            return decided
        shares = iter(self.path_probability[index].tolist())
        routing = {chain: tuple(next(shares) for _ in paths) for chain, paths in placement.items()}
        return replace(decided, routing=routing)

    def _exits(self, index: int) -> dict[str, ExitMix | Thresholds]:
        """Return the exits of one candidate."""
        exits = dict(self.base.exits or {})
        if self.thresholds is not None:
            for chain, column in self.tables.leaving.threshold_columns.items():
                given = exits[chain]
                assert isinstance(given, Thresholds)
                exits[chain] = replace(given, tau=tuple(self.thresholds[index, column].tolist()))
        return exits

    def _batching(self, index: int) -> tuple[Problem, Mapping[str, BatchConfig] | None]:
        """Return problem and batching of one candidate: variants of arrays are of the problem."""
        problem = self.base.problem
        if self.batching is None:
            return problem, self.base.batching
        devices, batching = list(problem.devices), {}
        chosen = self.batching[index].tolist()
        for place, number in zip(self.tables.batching.accelerators, chosen, strict=True):
            device, setting = devices[place], self.settings[number]
            assert device.npu is not None
            devices[place] = replace(device, npu=setting.applied(device.npu))
            batching[device.name] = setting.config
        return replace(problem, devices=tuple(devices)), batching

    def select(self, indices: Sequence[int] | NDArray[np.int64]) -> Candidates:
        """Return some candidates, in the order given.

        Args:
            indices: 0-based candidates.

        Returns:
            The candidates at ``indices``.
        """
        rows = np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            placement=self.placement[rows],
            thresholds=None if self.thresholds is None else self.thresholds[rows],
            routing=None if self.routing is None else self.routing[rows],
            batching=None if self.batching is None else self.batching[rows],
        )

    def memory_excess(self) -> NDArray[np.float64]:
        """Return by how many bytes the weights exceed the devices' memory.

        Paths of one chain share the weights of a fragment on a device.

        Returns:
            Total excess over all devices [B] [bytes]; 0 where everything fits.
        """
        return self.tables.memory_excess(self.placement)
