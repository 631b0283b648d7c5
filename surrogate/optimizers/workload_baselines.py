"""Workload distribution by simple rules: what the optimum is compared with.

What is public of Taufique et al. (abstract and slides) names the three rules and says no more; what
they do in detail is our reading of the names.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.workload.plans import ExplorationTable, Plan, Request
from surrogate.optimizers.workload import fastest

__all__ = ["asymmetric", "uniform", "uniform_approximate"]

Ints = NDArray[np.int64]


def uniform(table: ExplorationTable, request: Request) -> Plan:
    """Split evenly, and answer by the most accurate variant everywhere.

    Args:
        table: What is known of the nodes.
        request: What is asked; rate and accuracy are not looked at.

    Returns:
        The plan.
    """
    return Plan(inputs=_even(table, request.inputs), variant=_most_accurate_variants(table))


def uniform_approximate(table: ExplorationTable, request: Request) -> Plan:
    """Split evenly; each node answers by its most accurate variant that is done in time.

    A node that has none takes its fastest. Where an accuracy is asked for, each takes its fastest
    variant that has it, or its most accurate one.

    Args:
        table: What is known of the nodes.
        request: What is asked.

    Returns:
        The plan.
    """
    inputs = _even(table, request.inputs)
    variant = _most_accurate_variants(table)
    for node in np.flatnonzero(inputs):
        seconds = table.seconds[node]
        if request.accuracy is None:
            in_time = table.setup[node] + inputs[node] * seconds <= request.seconds
            if in_time.any():
                variant[node] = np.argmax(np.where(in_time, table.accuracy, -np.inf))
            else:
                variant[node] = np.argmin(seconds)
        else:
            enough = np.isfinite(seconds) & (table.accuracy >= request.accuracy)
            if enough.any():
                variant[node] = np.argmin(np.where(enough, seconds, np.inf))
    return Plan(inputs=inputs, variant=variant)


def asymmetric(table: ExplorationTable, request: Request) -> Plan:
    """Split by the speeds of the nodes; all answer by their most accurate variant.

    Args:
        table: What is known of the nodes.
        request: What is asked; rate and accuracy are not looked at.

    Returns:
        The fastest such plan.
    """
    return fastest(table.only(_most_accurate_variants(table)), request.inputs, 0.0)


def _most_accurate_variants(table: ExplorationTable) -> Ints:
    runs = np.isfinite(table.seconds)
    return np.asarray(np.argmax(np.where(runs, table.accuracy, -np.inf), axis=1))


def _even(table: ExplorationTable, inputs: int) -> Ints:
    """Return equal shares of the usable nodes [N]; the first ones take what is left over."""
    usable = np.flatnonzero(table.usable)
    shares = np.zeros(len(table.setup), dtype=np.int64)
    shares[usable] = inputs // len(usable)
    shares[usable[: inputs % len(usable)]] += 1
    return shares
