"""What is known of the nodes, what is asked of them, and who does how much of it by which model.

N nodes, V variants of one network that differ in accuracy and time. A plan gives each node one
variant and a share of the inputs; the request is answered when the last node is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require

__all__ = ["ExplorationTable", "Plan", "Planner", "Request"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def _read_only(values: object, dtype: type[np.generic]) -> NDArray[np.generic]:
    array: NDArray[np.generic] = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, kw_only=True, eq=False)
class ExplorationTable:
    """Time and accuracy of every variant on every node, as profiled.

    Args:
        seconds: Time per input [s] [N, V], > 0; infinity where a node cannot run a variant or is
            gone.
        setup: Time before a node begins with its first input [s] [N], >= 0.
        accuracy: Share of correct answers of each variant [V], in [0, 1].

    Raises:
        InvalidInputError: If a shape or a value breaks its rule.
    """

    seconds: Floats
    setup: Floats
    accuracy: Floats

    def __post_init__(self) -> None:
        for name in ("seconds", "setup", "accuracy"):
            object.__setattr__(self, name, _read_only(getattr(self, name), np.float64))
        table = self.seconds.ndim == 2 and self.seconds.size > 0
        require(table, "seconds", "be a table of nodes and variants", self.seconds.shape)
        require(bool(np.all(self.seconds > 0)), "seconds", "be > 0", self.seconds)
        nodes, variants = self.seconds.shape
        require(self.setup.shape == (nodes,), "setup", "hold a time per node", self.setup)
        ready = bool(np.all(np.isfinite(self.setup) & (self.setup >= 0)))
        require(ready, "setup", "be finite and >= 0", self.setup)
        require(
            self.accuracy.shape == (variants,),
            "accuracy",
            "hold a value per variant",
            self.accuracy,
        )
        proper = bool(np.all((self.accuracy >= 0) & (self.accuracy <= 1)))
        require(proper, "accuracy", "lie in [0, 1]", self.accuracy)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Whether a node can run anything [N]."""
        return np.asarray(np.isfinite(self.seconds).any(axis=1))

    def slowed(self, node: int, factor: float) -> ExplorationTable:
        """Return the table after a node has changed its speed.

        Args:
            node: Which one.
            factor: What its times are multiplied by, > 0; infinity when it is gone.

        Returns:
            A new table.
        """
        seconds = self.seconds.copy()
        seconds[node] *= factor
        return replace(self, seconds=seconds)

    def only(self, variant: Ints) -> ExplorationTable:
        """Return the table of nodes that run one variant each.

        Args:
            variant: The variant of each node [N].

        Returns:
            A new table whose other times are infinite.
        """
        kept = np.arange(len(self.accuracy)) == variant[:, None]
        return replace(self, seconds=np.where(kept, self.seconds, np.inf))


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """So many inputs to answer at some rate, or with some accuracy; one of both is given.

    Args:
        inputs: Number of inputs W, >= 1.
        rate: Inputs per second that are required [1/s], > 0: the most accurate answer is wanted
            that keeps it.
        accuracy: Mean accuracy that is required, in [0, 1]: the fastest answer is wanted that
            keeps it.

    Raises:
        InvalidInputError: If a number breaks its rule, or both or neither are given.
    """

    inputs: int
    rate: float | None = None
    accuracy: float | None = None

    def __post_init__(self) -> None:
        whole = self.inputs == int(self.inputs) and self.inputs >= 1
        require(whole, "inputs", "be a whole number >= 1", self.inputs)
        one = (self.rate is None) != (self.accuracy is None)
        require(one, "rate", "be given, or accuracy, and not both", (self.rate, self.accuracy))
        if self.rate is not None:
            require(0 < self.rate < float("inf"), "rate", "be finite and > 0", self.rate)
        if self.accuracy is not None:
            require(0 <= self.accuracy <= 1, "accuracy", "lie in [0, 1]", self.accuracy)

    @property
    def seconds(self) -> float:
        """Time by which all inputs must be answered [s]; infinity where only accuracy is asked."""
        return float("inf") if self.rate is None else self.inputs / self.rate


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """Who does how much of a request, and by which variant.

    Args:
        inputs: Inputs of each node [N], >= 0.
        variant: Variant of each node [N]; of no meaning where a node has no inputs.

    Raises:
        InvalidInputError: If a share is negative.
    """

    inputs: Ints
    variant: Ints

    def __post_init__(self) -> None:
        for name in ("inputs", "variant"):
            object.__setattr__(self, name, _read_only(getattr(self, name), np.int64))
        require(bool(np.all(self.inputs >= 0)), "inputs", "be >= 0", self.inputs)

    def seconds(self, table: ExplorationTable) -> float:
        """Return when the last node is done, if the table is right.

        Args:
            table: What is known of the nodes.

        Returns:
            Time from dispatch [s].
        """
        used = np.flatnonzero(self.inputs)
        each = table.seconds[used, self.variant[used]]
        return float(np.max(table.setup[used] + self.inputs[used] * each, initial=0.0))

    def accuracy(self, table: ExplorationTable) -> float:
        """Return the mean accuracy over all inputs.

        Args:
            table: What is known of the variants.

        Returns:
            Accuracy in [0, 1]; NaN without inputs.
        """
        total = self.inputs.sum()
        if total == 0:
            return float("nan")
        return float(self.inputs @ table.accuracy[self.variant] / total)


Planner = Callable[[ExplorationTable, Request], Plan]
"""Splits a request over the usable nodes of a table; all of its inputs, whether it can be kept or
not."""
