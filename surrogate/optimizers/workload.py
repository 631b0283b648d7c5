"""Workload distribution: how many inputs each node answers, and by which variant of the network.

The optimum is exact. For one choice of variants, the most accurate answer within a time fills the
nodes in the order of their accuracies, each with as many inputs as it manages in that time; all
choices of variants that are worth it are tried. The fastest answer of a required accuracy is the
shortest time within which the most accurate one reaches it: that time is one at which some node is
done with some number of inputs, and it is found by bisection, because accuracy never falls with
time.

References:
    Taufique, Miele, Liljeberg and Kanduri, Adaptive workload distribution for accuracy-aware DNN
    inference on collaborative edge platforms, ASP-DAC 2024 (the problem and its setting).
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.workload.plans import ExplorationTable, Plan, Request

__all__ = ["distribute", "fastest", "most_accurate"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_CHOICES = 2_000_000
"""Choices of variants that are tried at most: some seconds, and eight nodes with six variants."""

ROUNDING = 1e-9
"""Part of an input, and of the accuracy of all, that is put down to rounding."""


def distribute(table: ExplorationTable, request: Request) -> Plan:
    """Split a request in the best way.

    Args:
        table: What is known of the nodes.
        request: What is asked.

    Returns:
        The most accurate plan that keeps a required rate, and of several the fastest; or the
        fastest that keeps a required accuracy, and of several the most accurate. Where no plan
        keeps it, the fastest or the most accurate one that there is.

    Raises:
        InvalidInputError: If no node can run anything, or there are too many choices.
    """
    if request.accuracy is not None:
        return fastest(table, request.inputs, request.accuracy)
    return most_accurate(table, request.inputs, request.seconds)


def most_accurate(table: ExplorationTable, inputs: int, seconds: float) -> Plan:
    """Return the most accurate plan within a time, and of several the fastest.

    Args:
        table: What is known of the nodes.
        inputs: Number of inputs W, >= 1.
        seconds: Time until the last one must be answered [s], > 0.

    Returns:
        The plan; the fastest there is where none keeps the time.

    Raises:
        InvalidInputError: If no node can run anything, or there are too many choices.
    """
    choices = _Choices(table, inputs)
    reached = choices.best_accuracy(seconds)
    return choices.fastest(-np.inf if reached is None else reached)


def fastest(table: ExplorationTable, inputs: int, accuracy: float) -> Plan:
    """Return the fastest plan of a required accuracy, and of several the most accurate.

    Args:
        table: What is known of the nodes.
        inputs: Number of inputs W, >= 1.
        accuracy: Mean accuracy over all inputs that is required, in [0, 1].

    Returns:
        The plan; the fastest of the highest accuracy where none reaches what is required.

    Raises:
        InvalidInputError: If no node can run anything, or there are too many choices.
    """
    choices = _Choices(table, inputs)
    highest = choices.best_accuracy(np.inf)
    assert highest is not None  # there is a usable node, which can answer all
    return choices.fastest(min(accuracy, highest))


class _Choices:
    """All choices of one variant per usable node, R of them, and what they can do in a time.

    Args:
        table: What is known of the nodes.
        inputs: Number of inputs W.
    """

    def __init__(self, table: ExplorationTable, inputs: int) -> None:
        usable = np.flatnonzero(table.usable)
        require(len(usable) > 0, "seconds", "be finite for some node and variant", table.seconds)
        worthwhile = [_worthwhile(table, int(node)) for node in usable]
        count = float(np.prod([len(variants) for variants in worthwhile], dtype=float))
        require(count <= MOST_CHOICES, "choices", f"be at most {MOST_CHOICES}", count)
        variant = np.array(list(itertools.product(*worthwhile)), dtype=np.int64)
        # Nodes stand in the order of their accuracies, the order in which they are filled.
        order = np.argsort(-table.accuracy[variant], axis=1, kind="stable")
        self.table, self.inputs = table, inputs
        self.node = usable[order]  # [R, N]
        self.variant = np.take_along_axis(variant, order, axis=1)
        self.seconds = table.seconds[self.node, self.variant]
        self.setup = table.setup[self.node]
        self.accuracy = table.accuracy[self.variant]

    def shares(self, seconds: float) -> Ints:
        """Return the inputs of each node for the highest accuracy within a time [R, N]."""
        if seconds == np.inf:
            most = np.full(self.seconds.shape, self.inputs, dtype=np.int64)
        else:
            managed = np.floor((seconds - self.setup) / self.seconds + ROUNDING)
            most = np.clip(managed, 0, self.inputs).astype(np.int64)
        before = np.cumsum(most, axis=1) - most
        return np.asarray(np.minimum(most, np.maximum(self.inputs - before, 0)))

    def best(self, seconds: float) -> tuple[float, Plan] | None:
        """Return the highest accuracy within a time and its plan; None if none keeps the time."""
        shares = self.shares(seconds)
        complete = shares.sum(axis=1) == self.inputs
        if not complete.any():
            return None
        total = np.where(complete, (shares * self.accuracy).sum(axis=1), -np.inf)
        row = int(np.argmax(total))
        plan = np.zeros((2, len(self.table.setup)), dtype=np.int64)
        plan[:, self.node[row]] = shares[row], self.variant[row]
        return float(total[row] / self.inputs), Plan(inputs=plan[0], variant=plan[1])

    def best_accuracy(self, seconds: float) -> float | None:
        """Return the highest accuracy within a time; None if no plan keeps it."""
        found = self.best(seconds)
        return None if found is None else found[0]

    def fastest(self, accuracy: float) -> Plan:
        """Return the fastest plan of an accuracy that can be reached."""
        steps = np.arange(1, self.inputs + 1)
        finite = np.isfinite(self.table.seconds)
        setup = np.broadcast_to(self.table.setup[:, None], finite.shape)[finite]
        times = np.unique(setup[:, None] + self.table.seconds[finite][:, None] * steps)
        low, high, plan = 0, len(times) - 1, None  # within the last time, one node answers all
        while low <= high:
            middle = (low + high) // 2
            found = self.best(float(times[middle]))
            if found is not None and found[0] >= accuracy - ROUNDING:
                plan, high = found[1], middle - 1
            else:
                low = middle + 1
        assert plan is not None
        return plan


def _worthwhile(table: ExplorationTable, node: int) -> Ints:
    """Return the variants of a node for which no other is both as fast and as accurate."""
    runs = np.flatnonzero(np.isfinite(table.seconds[node]))
    order = runs[np.lexsort((table.seconds[node][runs], -table.accuracy[runs]))]
    quickest = np.minimum.accumulate(table.seconds[node][order])
    ahead = np.append(np.inf, quickest[:-1])
    return np.asarray(order[table.seconds[node][order] < ahead])
