"""Accelerators of one deployment's problem as arrays that all its placements share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Deployment, Problem
from datagen.errors import InvalidInputError
from datagen.evaluation.fields import ranges, starts_of
from datagen.npu import BATCH_POLICIES, BatchSetting
from datagen.steps import stays

__all__ = ["BatchChoices", "BatchingTables"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class BatchingTables:
    """How the accelerators of a problem form batches, and how long these take.

    Args:
        base: A deployment of the problem; its batching is that of all placements for which no other
            is given.
        slots: (chain, fragment) of each place in its placement vector [F].
    """

    base: Deployment
    slots: list[tuple[int, int]]

    @cached_property
    def has_accelerators(self) -> bool:
        """Whether any device is an accelerator."""
        return any(device.npu is not None for device in self.base.problem.devices)

    @cached_property
    def accelerated(self) -> NDArray[np.bool_]:
        """Whether each device is an accelerator [D]."""
        return np.array([device.npu is not None for device in self.base.problem.devices])

    @cached_property
    def _follows(self) -> NDArray[np.bool_]:
        """Whether each slot comes right after a classifier of its chain [F]."""
        chains = self.base.problem.chains
        return np.array([f > 0 and chains[c].classified[f - 1] for c, f in self.slots])

    def segmented(self, placement: NDArray[np.int32]) -> NDArray[np.bool_] | None:
        """Return which slots begin a segment after a classifier; None without accelerators.

        Args:
            placement: Device index per slot [B, F].

        Returns:
            Flags [B, F].
        """
        if not self.has_accelerators:
            return None
        return np.asarray(self.accelerated[placement] & self._follows)

    def stayed(
        self, placement: NDArray[np.int32], path_first: NDArray[np.bool_], begin: Ints
    ) -> NDArray[np.bool_] | None:
        """Return which steps go on with a visit to an accelerator; None without accelerators.

        Args:
            placement: Device index per slot [B, F].
            path_first: Whether a slot is the first of its path [F].
            begin: The fragment row that each step begins with [S].

        Returns:
            Flags [S].
        """
        if not self.has_accelerators:
            return None
        there = self.accelerated[placement] & stays(placement, path_first)
        return np.asarray(there.ravel()[begin])

    @cached_property
    def accelerators(self) -> list[int]:
        """Devices that are accelerators, in order [Q]."""
        return np.flatnonzero(self.accelerated).tolist()

    @cached_property
    def own(self) -> BatchChoices:
        """What the base decides, for a single placement."""
        devices = self.base.problem.devices
        names = [devices[d].name for d in self.accelerators]
        settings = tuple(BatchSetting(config=self.base.batch_config(name)) for name in names)
        return BatchChoices(settings=settings, choice=np.arange(len(names))[None])

    @cached_property
    def _known(self) -> dict[tuple[BatchSetting, ...], SettingTables]:
        """Tables by the settings that they are of: searches ask about the same ones for ever."""
        return {}

    def of(self, settings: tuple[BatchSetting, ...]) -> SettingTables:
        """Return the tables of some settings, made once.

        Args:
            settings: The settings.

        Returns:
            Their tables.
        """
        if settings not in self._known:
            self._known[settings] = SettingTables(
                self.base.problem, self.slots, self.accelerators, settings
            )
        return self._known[settings]

    def rows(
        self,
        slot: Ints,
        device: NDArray[np.int32],
        begin: Ints,
        count: int,
        varied: BatchChoices | None = None,
    ) -> Rows:
        """Return the columns of a number of placements.

        Args:
            slot: Slot of each fragment row [N].
            device: Its device [N].
            begin: The fragment row that each step begins with [S].
            count: Number of placements.
            varied: The setting of each accelerator under each of them, or None for the base's.

        Returns:
            Offsets and columns of the levels ``batching`` and ``table``.
        """
        if not self.has_accelerators:  # as usual, and searches pack often
            devices = len(self.base.problem.devices)
            return {
                "batching_start": np.zeros(count * devices + 1, dtype=np.int64),
                "batching_parameter": np.empty(0),
                "table_start": np.zeros(len(begin) + 1, dtype=np.int64),
                "table_seconds": np.empty(0),
            }
        chosen = self.own.tiled(count) if varied is None else varied
        tables = self.of(chosen.settings)
        setting = self._setting(device, chosen)
        first, sizes = tables.place(setting, slot, device)
        # A step of several fragments takes the sum of their times, size by size.
        rows = tables.seconds[ranges(first, sizes)]
        step = np.repeat(np.arange(len(begin)), np.diff(np.append(begin, len(slot))))
        own = starts_of(sizes[begin])
        place = ranges(own[step], sizes)
        counts = np.where(self.accelerated, tables.parameters.shape[2], 0)
        parameters = tables.parameters[chosen.choice, np.arange(len(self.accelerators))]
        return {
            "batching_start": starts_of(np.tile(counts, count)),
            "batching_parameter": parameters.ravel(),
            "table_start": own,
            "table_seconds": np.bincount(place, rows, minlength=int(own[-1])),
        }

    def _setting(self, device: NDArray[np.int32], chosen: BatchChoices) -> Ints:
        """Return the setting that holds for each fragment row, -1 where it is not batched [N]."""
        column = np.full(len(self.accelerated), -1)
        column[self.accelerators] = np.arange(len(self.accelerators))
        own = column[device]
        row = np.repeat(np.arange(len(chosen.choice)), len(device) // len(chosen.choice))
        return np.where(own < 0, -1, chosen.choice[row, own])

    def alone(
        self, slot: Ints, device: NDArray[np.int32], varied: BatchChoices | None
    ) -> tuple[Ints, Floats] | None:
        """Return the times of samples alone where variants of arrays change them.

        Args:
            slot: Slot of each fragment row [N].
            device: Its device [N].
            varied: The setting of each accelerator under each placement, or None for the base's.

        Returns:
            Fragment rows on accelerators, and the time of each alone [s]; None where no variant is
            named.
        """
        if varied is None or all(setting.variant is None for setting in varied.settings):
            return None
        tables, setting = self.of(varied.settings), self._setting(device, varied)
        where = np.flatnonzero(setting >= 0)
        first, _ = tables.place(setting[where], slot[where], device[where])
        return where, tables.seconds[first]

    def require_tabulated(self, placement: NDArray[np.int32], varied: BatchChoices | None) -> None:
        """Raise unless the times of all batches that may form are known.

        Args:
            placement: Device index per slot [B, F].
            varied: The setting of each accelerator under each placement, or None for the base's.

        Raises:
            InvalidInputError: If a batch may be larger than a measured table.
        """
        if not self.has_accelerators or not len(placement):
            return
        chosen = self.own.tiled(len(placement)) if varied is None else varied
        device = placement.ravel()
        slot = np.tile(np.arange(placement.shape[1]), len(placement))
        setting = self._setting(device, chosen)
        tables = self.of(chosen.settings)
        where = np.flatnonzero(setting >= 0)
        size, most = tables.sizes[setting[where]], tables.longest[slot[where], device[where]]
        if (size > most).any():
            worst = int(np.argmax(size > most))
            rule = f"be <= {most[worst]:g}, the largest batch of a table"
            raise InvalidInputError("max_batch", rule, int(size[worst]))


@dataclass(frozen=True)
class BatchChoices:
    """Which setting each accelerator has under each of several placements.

    Args:
        settings: What there is to choose from.
        choice: 0-based setting of each accelerator, these in the order of devices [B, Q].
    """

    settings: tuple[BatchSetting, ...]
    choice: Ints

    def tiled(self, count: int) -> BatchChoices:
        """Return the same choices so many times over."""
        return replace(self, choice=np.tile(self.choice, (count, 1)))


@dataclass(frozen=True, eq=False)
class SettingTables:
    """What settings mean for the accelerators of a problem, as arrays.

    Args:
        problem: The problem.
        slots: (chain, fragment) of each place in a placement vector [F].
        accelerators: Devices that are accelerators [Q].
        settings: The settings [S].
    """

    problem: Problem
    slots: list[tuple[int, int]]
    accelerators: list[int]
    settings: tuple[BatchSetting, ...]

    @cached_property
    def sizes(self) -> Ints:
        """Largest batch of each setting [S]."""
        return np.array([setting.config.max_batch for setting in self.settings])

    @cached_property
    def parameters(self) -> Floats:
        """What is stored of each setting on each accelerator, see ``batching_parameter``."""
        npus = [self.problem.devices[d].npu for d in self.accelerators]
        return np.array([
            [
                (
                    BATCH_POLICIES.index(setting.config.policy),
                    setting.config.max_batch,
                    setting.config.timeout,
                    setting.config.compaction or setting.applied(npu).compacts,
                    setting.config.survivors == "expected",
                )
                for npu in npus
                if npu is not None
            ]
            for setting in self.settings
        ])

    @cached_property
    def longest(self) -> Floats:
        """Largest batch of each slot on each device whose time is known [F, D]."""
        longest = np.full((len(self.slots), len(self.problem.devices)), np.inf)
        for place, (c, _) in enumerate(self.slots):
            for d in self.accelerators:
                npu = self.problem.devices[d].npu
                most = None if npu is None else npu.longest_batch(str(self.problem.chains[c].model))
                longest[place, d] = np.inf if most is None else most
        return longest

    @cached_property
    def _variants(self) -> list[str | None]:
        return list(dict.fromkeys(setting.variant for setting in self.settings))

    @cached_property
    def _variant(self) -> Ints:
        """The variant of each setting [S]."""
        return np.array([self._variants.index(setting.variant) for setting in self.settings])

    @cached_property
    def _times(self) -> tuple[Ints, Floats]:
        """Where the times of each variant, slot and device begin [V, F, D], and the times."""
        problem = self.problem
        first = np.zeros((len(self._variants), *self.longest.shape), dtype=np.int64)
        parts, total = [np.empty(0)], 0
        for number in range(len(self._variants)):
            largest = int(self.sizes[self._variant == number].max())
            any_of = self.settings[int(np.argmax(self._variant == number))]
            for (place, (c, f)), d in product(enumerate(self.slots), self.accelerators):
                chain, device = problem.chains[c], problem.devices[d]
                if device.npu is None or not chain.may_run_on(f, device):
                    continue
                size = int(min(largest, self.longest[place, d]))
                npu = any_of.applied(device.npu)
                table = npu.times(str(chain.model), chain.classified, size)
                first[number, place, d] = total
                parts.append(table.seconds[f])
                total += len(parts[-1])
        return first, np.concatenate(parts)

    @property
    def seconds(self) -> Floats:
        """Times of all variants, slots, devices and sizes [s], see :meth:`place`."""
        return self._times[1]

    def place(self, setting: Ints, slot: Ints, device: NDArray[np.int32]) -> tuple[Ints, Ints]:
        """Return where the times of fragments are found.

        Args:
            setting: Setting of each fragment row, -1 where it is not on an accelerator [N].
            slot: Its slot [N].
            device: Its device [N].

        Returns:
            The first of its times, and how many it has [N].
        """
        first = self._times[0][self._variant[setting], slot, device]
        return first, np.where(setting < 0, 0, self.sizes[setting])
