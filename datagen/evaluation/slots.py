"""Slots: the places of a placement vector, and what stands there wherever it is placed.

A *slot* is one (chain, path, fragment), in this order; a placement is a device per slot. F counts
slots, P paths, C chains.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Deployment, Problem

__all__ = ["Slots", "placement_vector"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Slots:
    """The slots of one deployment's problem.

    Args:
        base: A deployment of the problem; its paths per chain, routing and fuse rule are kept.
    """

    base: Deployment

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
        """Chain and fragment of each slot, 0-based [F]."""
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
    def output(self) -> Floats:
        """Bytes sent per slot [F]."""
        return self._slot_values("output")

    def base_placement(self) -> NDArray[np.int32]:
        """Return the base deployment's placement vector [F]."""
        return placement_vector(self.base.problem, self.base.placement)


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
