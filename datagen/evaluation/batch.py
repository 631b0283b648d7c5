"""Many deployments as flat read-only arrays: what the store reads, and engines and models take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation.fields import PARENTS, Column, column, ranges, starts_of

__all__ = ["BATCH_COLUMNS", "DeploymentBatch", "concatenate", "joined"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class DeploymentBatch:
    """B packed deployments.

    Indices inside a deployment are local to it (its first device is 0), so rows can be taken and
    joined without rewriting them. ``X_start`` are offsets into level X, one more than its parent
    has rows. Fragments, laws and arrival parameters are needed to draw random numbers only and may
    be absent (None).

    Args:
        device_names: Names of all devices, in order [D], or None.
        chain_names: Names of all chains, in order [C], or None.
    """

    key: Ints = column("deployment", "int64", "1", "problem key of the random streams")
    effects: Ints = column("deployment", "int64", "1", "set of effects used, see Effect")

    device_start: Ints
    device_speed: Floats = column("device", "float64", "1", "work done per second")
    device_servers: NDArray[np.int32] = column("device", "int32", "1", "identical servers")
    device_capacity: Floats = column(
        "device", "float64", "1", "buffer units, those in service included; inf if unlimited"
    )
    device_memory: Floats = column("device", "float64", "B", "memory for weights; inf if unlimited")
    device_discipline: NDArray[np.int8] = column(
        "device", "int8", "1", "index into deployment.DISCIPLINES"
    )

    chain_start: Ints
    chain_rate: Floats = column("chain", "float64", "1/s", "long-run arrival rate")
    chain_scv: Floats = column("chain", "float64", "1", "SCV of the interarrival time")
    chain_priority: NDArray[np.int32] = column("chain", "int32", "1", "priority class")
    chain_deadline: Floats = column("chain", "float64", "s", "latency to meet; NaN if none")

    chain_parallel: NDArray[np.int8] = column(
        "chain", "int8", "1", "1 if all its steps start at once", absent=0.0
    )
    chain_model: NDArray[np.int32] = column(
        "chain", "int32", "1", "network it runs, local to the deployment", absent=0.0
    )

    path_start: Ints
    path_probability: Floats = column("path", "float64", "1", "probability of the path")

    step_start: Ints
    step_device: NDArray[np.int32] = column("step", "int32", "1", "device, local to the deployment")
    step_mean: Floats = column("step", "float64", "s", "mean service time on its device")
    step_scv: Floats = column("step", "float64", "1", "SCV of the service time")
    step_demand: Floats = column("step", "float64", "1", "buffer units a job occupies")
    step_weights: Floats = column("step", "float64", "B", "memory its fragments need")
    step_delay: Floats = column(
        "step", "float64", "s", "transfer to the device of the next step; 0 if none", absent=0.0
    )
    step_release: NDArray[np.int8] = column(
        "step", "int8", "1", "1 if units are freed when the transfer starts", absent=0.0
    )

    step_link: NDArray[np.int32] = column(
        "step",
        "int32",
        "1",
        "link that a job queues for after it, local to the deployment; -1 if none",
        absent=-1.0,
    )
    step_asks: NDArray[np.int8] = column(
        "step", "int8", "1", "1 if a job is admitted ahead before it is sent there", absent=0.0
    )

    step_reached: Floats = column(
        "step", "float64", "1", "share of the path's jobs not left before it", absent=1.0
    )

    exit_start: Ints | None = None
    exit_probability: Floats | None = column(
        "exit", "float64", "1", "share of jobs that leave there", optional=True, absent=1.0
    )
    exit_fragment: NDArray[np.int32] | None = column(
        "exit", "int32", "1", "last fragment that they pass", optional=True, absent=0.0
    )
    exit_accuracy: Floats | None = column(
        "exit", "float64", "1", "share of right answers; NaN unknown", optional=True, absent=np.nan
    )

    trace_start: Ints | None = None
    trace_exit: NDArray[np.int16] | None = column(
        "trace",
        "int16",
        "1",
        "row among the chain's exits that a recorded sample leads to",
        optional=True,
        absent=0.0,
    )

    context_start: Ints | None = None
    context_samples: NDArray[np.int32] | None = column(
        "context", "int32", "1", "samples of the trace in the context", optional=True, absent=0.0
    )
    context_parameter_start: Ints | None = None
    context_parameter: Floats | None = column(
        "context_parameter",
        "float64",
        "",
        "index into exits.CONTEXT_NAMES, and the parameters of how contexts change",
        optional=True,
        absent=0.0,
    )

    power_start: Ints | None = None
    power_watts: Floats | None = column(
        "power", "float64", "W", "power at evenly spaced utilizations", optional=True, absent=0.0
    )

    speedup_start: Ints | None = None
    speedup_factor: Floats | None = column(
        "speedup",
        "float64",
        "1",
        "relative speed of each server with 1, 2, ... of them busy; no rows where all are 1",
        optional=True,
        absent=1.0,
    )

    batching_start: Ints | None = None
    batching_parameter: Floats | None = column(
        "batching",
        "float64",
        "",
        "index into npu.BATCH_POLICIES, max_batch, timeout [s], whether batches pay only for "
        "who is left, whether survivors are expected; no rows without an accelerator",
        optional=True,
        absent=0.0,
    )
    table_start: Ints | None = None
    table_seconds: Floats | None = column(
        "table",
        "float64",
        "s",
        "time of a batch of 1, 2, ... up to max_batch; no rows but on accelerators",
        optional=True,
        absent=0.0,
    )

    fragment_start: Ints | None = None
    fragment_law: NDArray[np.int8] | None = column(
        "fragment", "int8", "1", "index into distributions.LAW_NAMES", optional=True
    )
    fragment_speed: Floats | None = column(
        "fragment", "float64", "1", "divisor of the law's samples", optional=True
    )
    fragment_head: NDArray[np.int8] | None = column(
        "fragment",
        "int8",
        "1",
        "law of its open classifier, -1 if none",
        optional=True,
        absent=-1.0,
    )
    fragment_head_speed: Floats | None = column(
        "fragment", "float64", "1", "divisor of that law's samples", optional=True, absent=1.0
    )
    head_parameter_start: Ints | None = None
    head_parameter: Floats | None = column(
        "head_parameter", "float64", "", "parameters of its law", optional=True, absent=0.0
    )
    law_parameter_start: Ints | None = None
    law_parameter: Floats | None = column(
        "law_parameter", "float64", "", "parameters of the service law", optional=True
    )
    chain_arrivals: NDArray[np.int8] | None = column(
        "chain", "int8", "1", "index into arrivals.ARRIVAL_NAMES", optional=True
    )
    arrival_parameter_start: Ints | None = None
    arrival_parameter: Floats | None = column(
        "arrival_parameter", "float64", "", "parameters of the arrival process", optional=True
    )

    device_names: tuple[str, ...] | None = None
    chain_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                described = item.metadata.get("column")
                array = np.asarray(value, dtype=described.dtype if described else np.int64).view()
                array.setflags(write=False)  # of the view: the caller's own array stays writable
                object.__setattr__(self, item.name, array)

    def __len__(self) -> int:
        return len(self.key)

    def __iter__(self) -> Iterator[DeploymentBatch]:
        for index in range(len(self)):
            yield self.select(np.array([index]))

    def has(self, level: str) -> bool:
        """Tell whether the rows of a level are present.

        Args:
            level: One of :data:`datagen.evaluation.fields.PARENTS`.

        Returns:
            Whether they are.
        """
        return getattr(self, f"{level}_start") is not None

    def counts(self, level: str) -> Ints:
        """Return how many rows of a level each parent holds.

        Args:
            level: Name of a level.

        Returns:
            Counts, one per row of the parent level.
        """
        start: Ints = getattr(self, f"{level}_start")
        return np.diff(start)

    def owner(self, level: str) -> Ints:
        """Return the deployment that each row of a level belongs to.

        Args:
            level: ``device``, ``chain``, ``path`` or ``step``.

        Returns:
            0-based deployment index per row.
        """
        counts = self.counts(level)
        owners = np.repeat(np.arange(len(counts)), counts)
        parent = PARENTS[level]
        return owners if parent == "deployment" else self.owner(parent)[owners]

    @cached_property
    def step_chain(self) -> Ints:
        """Chain row of each step [S]."""
        path = np.repeat(np.arange(len(self.path_probability)), self.counts("step"))
        return np.repeat(np.arange(len(self.chain_rate)), self.counts("path"))[path]

    @cached_property
    def step_device_row(self) -> Ints:
        """Device row (over the whole batch) of each step [S]."""
        return self.step_device + self.device_start[self.owner("step")]

    def select(self, indices: Sequence[int] | Ints) -> DeploymentBatch:
        """Return some deployments, in the order given.

        Args:
            indices: 0-based deployment indices.

        Returns:
            A batch of ``len(indices)`` deployments.
        """
        rows: dict[str, Ints] = {"deployment": np.asarray(indices, dtype=np.int64)}
        content: dict[str, Any] = {}
        for level, parent in PARENTS.items():
            start = getattr(self, f"{level}_start")
            if start is None:
                continue
            first = start[rows[parent]]
            counts = start[rows[parent] + 1] - first
            rows[level] = ranges(first, counts)
            content[f"{level}_start"] = starts_of(counts)
        for name, description in BATCH_COLUMNS.items():
            values = getattr(self, name)
            if values is not None:
                content[name] = values[rows[description.level]]
        for level in ("device", "chain"):
            names = getattr(self, f"{level}_names")
            if names is not None:
                content[f"{level}_names"] = tuple(names[row] for row in rows[level])
        return DeploymentBatch(**content)

    def with_key(self, key: Ints) -> DeploymentBatch:
        """Return the same deployments with other keys of their random streams.

        Args:
            key: Problem keys [B], >= 0.

        Returns:
            The batch with ``key`` replaced.
        """
        return replace(self, key=np.asarray(key, dtype=np.int64))


BATCH_COLUMNS: dict[str, Column] = {
    item.name: item.metadata["column"]
    for item in fields(DeploymentBatch)
    if "column" in item.metadata
}
"""Description of every packed column by name."""


def concatenate(batches: Sequence[DeploymentBatch]) -> DeploymentBatch:
    """Join batches end to end.

    Args:
        batches: At least one; all with, or all without, the optional levels.

    Returns:
        One batch with the deployments of all.
    """
    if len(batches) == 1:
        return batches[0]
    return DeploymentBatch(**joined([vars(batch) for batch in batches]))


def joined(contents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Join what batches are made of, end to end.

    Args:
        contents: The arguments of :class:`DeploymentBatch`, at least one time.

    Returns:
        The arguments for the deployments of all; optional ones that some lack are left out.
    """
    content: dict[str, Any] = {}
    for level in PARENTS:
        starts: list[Any] = [part.get(f"{level}_start") for part in contents]
        if all(start is not None for start in starts):
            rows = np.concatenate([[0], *(start[1:] for start in starts)])
            sizes = [len(start) - 1 for start in starts]
            before = np.cumsum([0, *(start[-1] for start in starts[:-1])])
            rows[1:] += np.repeat(before, sizes)
            content[f"{level}_start"] = rows
    for name in BATCH_COLUMNS:
        parts: list[Any] = [part.get(name) for part in contents]
        if all(part is not None for part in parts):
            content[name] = np.concatenate(parts)
    for name in ("device_names", "chain_names"):
        named: list[Any] = [part.get(name) for part in contents]
        if all(part is not None for part in named):
            content[name] = tuple(text for part in named for text in part)
    return content
