"""The vocabulary of packed arrays: what a column holds, at which level, in which unit.

A *level* is a kind of row. Deployments hold devices and chains, chains hold paths, paths steps,
steps hold fragments, and laws and arrival processes hold their parameters. The rows of a level lie
in the order of their parents, one offset array per level saying where each parent's rows start.

Early exits have rows where jobs may leave early, one per exit, the final classifier being the last;
by thresholds, an exit has two, one for the jobs answered wrongly there and one for the others.
Contexts have rows where they change: the samples of the chain's trace stand one context after the
other then. A device whose power is known has a row per point of its curve. An accelerator has rows
that say how it forms batches, and a step on one has a row per batch size. A device whose servers
slow each other down has a row per number of busy servers.

Letters: B deployments, D devices, C chains, P paths, S steps, F fragments (once per path).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PARENTS", "Column", "column", "ranges", "starts_of"]

PARENTS: dict[str, str] = {
    "device": "deployment",
    "chain": "deployment",
    "path": "chain",
    "step": "path",
    "fragment": "step",
    "law_parameter": "fragment",
    "arrival_parameter": "chain",
    "exit": "chain",
    "trace": "chain",
    "head_parameter": "fragment",
    "context": "chain",
    "context_parameter": "chain",
    "power": "device",
    "batching": "device",
    "speedup": "device",
    "table": "step",
}
"""Level -> the level whose rows hold it, parents first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """Description of one packed array.

    Args:
        level: Kind of row it has one value for.
        dtype: NumPy type.
        unit: SI unit, or ``1`` for counts and ratios.
        meaning: What the value says.
        absent: What a stored table means that was written before the column existed, or None where
            every table has it.
    """

    level: str
    dtype: str
    unit: str
    meaning: str
    absent: float | None = None


def column(
    level: str,
    dtype: str,
    unit: str,
    meaning: str,
    *,
    optional: bool = False,
    absent: float | None = None,
) -> Any:
    """Declare a dataclass field that holds one packed array.

    Args:
        level: Kind of row it has one value for.
        dtype: NumPy type.
        unit: SI unit, or ``1``.
        meaning: What the value says.
        optional: Whether the array may be absent (None).
        absent: What a stored table means that lacks the column, or None where it must not.

    Returns:
        A dataclass field with the description as metadata.
    """
    described = Column(level=level, dtype=dtype, unit=unit, meaning=meaning, absent=absent)
    metadata = {"column": described}
    if optional:
        return field(default=None, metadata=metadata)
    return field(metadata=metadata)


def ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Concatenate integer ranges.

    Args:
        starts: First value of each range [N].
        counts: Length of each range [N].

    Returns:
        ``[starts[0], starts[0]+1, ..., starts[1], ...]`` [sum(counts)].

    Example:
        >>> ranges(np.array([5, 0]), np.array([2, 3])).tolist()
        [5, 6, 0, 1, 2]
    """
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total, dtype=np.int64) + np.repeat(starts - ends + counts, counts)


def starts_of(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return offsets from row counts.

    Args:
        counts: Rows per parent [N].

    Returns:
        Offsets [N + 1], from 0 to the total.
    """
    starts = np.zeros(len(counts) + 1, dtype=np.int64)
    counts.cumsum(out=starts[1:])
    return starts
