"""Which law each slot's work follows on each device, and its moments there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Problem
from datagen.distributions import LAW_NAMES, Law
from datagen.evaluation.fields import ranges, starts_of

__all__ = ["ServiceTable", "law_columns", "time_moments"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NOWHERE = -1
"""Stands for the entry of a slot on a device that it may not run on."""

LAW_CODES = {name: code for code, name in enumerate(LAW_NAMES)}


def time_moments(laws: Sequence[tuple[Law, float]]) -> tuple[Floats, Floats]:
    """Return the moments of times.

    Args:
        laws: Law of each and divisor of its samples [N].

    Returns:
        Means [s] and variances [s^2] [N].
    """
    means = [law.mean / speed for law, speed in laws]
    # Squared as numbers: arrays are squared by another routine, which may round otherwise.
    variances = [law.scv * mean**2 for (law, _), mean in zip(laws, means, strict=True)]
    return np.array(means), np.array(variances)


def law_columns(
    laws: Sequence[tuple[Law, float]],
) -> tuple[NDArray[np.int8], Floats, Ints, Floats]:
    """Return what is stored of laws.

    Args:
        laws: Law of each and divisor of its samples [N].

    Returns:
        Codes [N], divisors [N], offsets of the parameters [N + 1], and these.
    """
    parameters = [law.parameters() for law, _ in laws]
    code = np.array([LAW_CODES[law.name] for law, _ in laws], dtype=np.int8)
    counts = np.array([len(values) for values in parameters], dtype=np.int64)
    flat = np.array([x for values in parameters for x in values], dtype=np.float64)
    return code, np.array([speed for _, speed in laws]), starts_of(counts), flat


@dataclass(frozen=True)
class ServiceTable:
    """Service laws of slots on devices.

    An *entry* is a slot on a device that it may run on; N entries, ordered by slot, then device.

    Args:
        problem: The problem.
        slots: Chain and fragment of each slot [F].
        placement: The only device of each slot that matters [F]; None for all it may run on.
    """

    problem: Problem
    slots: list[tuple[int, int]]
    placement: NDArray[np.int32] | None = None

    @cached_property
    def places(self) -> tuple[list[int], list[int]]:
        """Slot and device of each entry [N]."""
        if self.placement is not None:
            return list(range(len(self.slots))), self.placement.tolist()
        chains, devices = self.problem.chains, self.problem.devices
        pairs = [
            (slot, place)
            for slot, (c, f) in enumerate(self.slots)
            for place, device in enumerate(devices)
            if chains[c].may_run_on(f, device)
        ]
        return [slot for slot, _ in pairs], [place for _, place in pairs]

    @cached_property
    def entry(self) -> Ints:
        """Number of the entry of each slot on each device, or ``NOWHERE`` [F, D]."""
        numbers = np.full((len(self.slots), len(self.problem.devices)), NOWHERE)
        numbers[self.places] = np.arange(len(self.laws))
        return numbers

    @cached_property
    def laws(self) -> list[tuple[Law, float]]:
        """Law and divisor of its samples by entry [N]."""
        chains, devices = self.problem.chains, self.problem.devices
        own = [(chains[c], f) for c, f in self.slots]
        pairs = zip(*self.places, strict=True)
        return [own[slot][0].time_on(own[slot][1], devices[place]) for slot, place in pairs]

    @cached_property
    def moments(self) -> tuple[Floats, Floats]:
        """Mean [s] and variance [s^2] of the time of each entry [N]."""
        return time_moments(self.laws)

    @cached_property
    def columns(self) -> tuple[NDArray[np.int8], Floats, Ints, Floats]:
        """Code [N], divisor [N], offsets [N + 1] and parameters of the laws of the entries."""
        return law_columns(self.laws)

    def rows(
        self,
        slot: Ints,
        device: NDArray[np.int32],
        constant: tuple[Ints, Floats] | None = None,
    ) -> dict[str, NDArray[np.generic]]:
        """Return the law columns of fragments.

        Args:
            slot: Slot of each fragment row [R].
            device: Its device, one it may run on [R].
            constant: Fragment rows whose law is deterministic, and the times [s] that they take
                instead of those of the table; None where there are none.

        Returns:
            Columns of a batch.
        """
        code, speed, start, flat = self.columns
        entry = self.entry[slot, device]
        first = start[entry]
        counts = start[entry + 1] - first
        own, parameters = starts_of(counts), flat[ranges(first, counts)]
        if constant is not None:
            parameters[own[constant[0]]] = constant[1]
        return {
            "fragment_law": code[entry],
            "fragment_speed": speed[entry],
            "law_parameter_start": own,
            "law_parameter": parameters,
        }
