"""Labels of chains and steps as training targets, with the precision each was measured to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datagen.evaluation import DeploymentBatch, Measures, concatenate
from datagen.evaluation.exit_paths import ExitPaths
from datagen.evaluation.fields import ranges
from surrogate.features.arrays import FlowArrays, flow_arrays

__all__ = ["QUANTILES", "READ_LABELS", "Example", "LabelTable", "Targets"]

QUANTILES = ("p50", "p95", "p99")
"""Measures that a latency's quantiles are labelled by."""

READ_LABELS = (
    "deployment.truncated",
    "chain.offered",
    "chain.completed",
    "chain.throughput_ratio",
    "chain.throughput_ratio_se",
    "chain.latency",
    "chain.latency_se",
    "chain.latency_ratio",
    "chain.loss_ratio",
    *(f"chain.{name}" for name in QUANTILES),
    "chain.attainment",
    "step.offered",
    "step.lost",
    "step.sojourn_completed",
)
"""What a :class:`LabelTable` reads of stored labels."""

HALF_A_JOB = 0.5
"""Where nothing completed (or was lost), the ratio is known to lie below about half a job."""


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Targets of one batch; NaN where a label is undefined.

    Args:
        log_throughput_ratio: Logarithm of completed / offered [C].
        throughput_error: Relative standard error of that ratio [C].
        log_latency_ratio: Logarithm of unloaded / mean latency [C].
        latency_error: Relative standard error of the latency [C].
        loss_ratio: Lost / offered [C].
        log_quantile: Logarithms of the 50, 95 and 99 % quantiles of the latency of completed jobs
            [s] [C, 3].
        deadline: Of each chain [s] [C]; NaN where there is none.
        attainment: Share of the offered jobs that complete within it [C].
        offered: Jobs behind the chain's labels [C].
        completed: Of these, jobs that completed [C].
        step_log_passed: Logarithm of the share passed [S].
        step_offered: Jobs behind it [S].
        step_log_sojourn: Logarithm of the time at the step of jobs that complete [s] [S].
        step_completed: Jobs behind it [S].
    """

    log_throughput_ratio: Tensor
    throughput_error: Tensor
    log_latency_ratio: Tensor
    latency_error: Tensor
    loss_ratio: Tensor
    log_quantile: Tensor
    deadline: Tensor
    attainment: Tensor
    offered: Tensor
    completed: Tensor
    step_log_passed: Tensor
    step_offered: Tensor
    step_log_sojourn: Tensor
    step_completed: Tensor

    def to(self, device: torch.device | str, **_: Any) -> Targets:
        """Return the same targets on another device.

        Args:
            device: Where to.

        Returns:
            Copies there, or these where they are there already.
        """
        moved = {item.name: getattr(self, item.name).to(device) for item in fields(self)}
        return replace(self, **moved)


@dataclass(frozen=True, kw_only=True)
class Example:
    """What a model is trained on: deployments and their targets.

    Args:
        arrays: The deployments.
        targets: Their labels.
    """

    arrays: FlowArrays
    targets: Targets

    def to(self, device: torch.device | str, **_: Any) -> Example:
        """Return the same example on another device.

        Args:
            device: Where to.

        Returns:
            Copies there, or this where it is there already.
        """
        return Example(arrays=self.arrays.to(device), targets=self.targets.to(device))

    def __len__(self) -> int:
        return self.arrays.deployments


class LabelTable:
    """Labels of a whole data set as flat float32 arrays, gathered batch by batch.

    Where jobs leave early or visit accelerators, networks read every exit as a path, and so does
    the table: see :mod:`datagen.evaluation.exit_paths`.

    Args:
        batch: The deployments, with their laws where jobs leave early.
        measures: Their labels.
    """

    def __init__(self, batch: DeploymentBatch, measures: Measures) -> None:
        chain = measures.chain
        step: Mapping[str, np.ndarray] = measures.step
        if ExitPaths.needed(batch):
            paths = ExitPaths.of(batch)
            batch, step = paths.batch, _labels_of_paths(paths, step)
        self.batch = batch
        unknown = np.full(len(batch.chain_rate), np.nan)
        offered = np.where(np.isfinite(chain["offered"]), chain["offered"], np.inf)
        ratio = chain["throughput_ratio"]
        with np.errstate(divide="ignore", invalid="ignore"):
            known = np.maximum(ratio, HALF_A_JOB / offered)
            passed = np.maximum(1.0 - step["lost"] / step["offered"], HALF_A_JOB / step["offered"])
            columns = {
                "log_throughput_ratio": np.log(known),
                "throughput_error": np.nan_to_num(chain["throughput_ratio_se"]) / known,
                "log_latency_ratio": np.log(chain["latency_ratio"]),
                "latency_error": np.nan_to_num(chain["latency_se"] / chain["latency"]),
                "loss_ratio": chain["loss_ratio"],
                "log_quantile": np.log(np.stack([chain[name] for name in QUANTILES], axis=1)),
                "deadline": batch.chain_deadline,
                "attainment": chain.get("attainment", unknown),
                "offered": offered,
                "completed": np.nan_to_num(chain["completed"]),
                "step_log_passed": np.where(step["offered"] > 0, np.log(passed), np.nan),
                "step_offered": np.nan_to_num(step["offered"]),
                "step_log_sojourn": np.log(step["sojourn_completed"]),
                "step_completed": np.nan_to_num(chain["completed"])[batch.step_chain],
            }
        self._columns = {name: values.astype(np.float32) for name, values in columns.items()}
        # Where a run was given up, jobs are missing from every count: nothing there is a label.
        truncated = measures.deployment["truncated"].astype(bool)
        owner = {"chain": batch.owner("chain"), "step": batch.owner("step")}
        for name in (
            "log_throughput_ratio",
            "log_latency_ratio",
            "loss_ratio",
            "log_quantile",
            "attainment",
        ):
            self._columns[name][truncated[owner["chain"]]] = np.nan
        for name in ("step_log_passed", "step_log_sojourn"):
            self._columns[name][truncated[owner["step"]]] = np.nan

    @classmethod
    def joined(cls, tables: list[LabelTable]) -> LabelTable:
        """Join tables end to end.

        Args:
            tables: At least one.

        Returns:
            One table with the deployments of all; a single table is returned as it is.
        """
        if len(tables) == 1:
            return tables[0]
        result = cls.__new__(cls)
        result.batch = concatenate([table.batch for table in tables])
        result._columns = {
            name: np.concatenate([table._columns[name] for table in tables])
            for name in tables[0]._columns
        }
        return result

    def __len__(self) -> int:
        return len(self.batch)

    def example(self, indices: list[int] | np.ndarray) -> Example:
        """Return deployments with their targets.

        Args:
            indices: 0-based deployments.

        Returns:
            One example, its steps in recurrence order.
        """
        rows = np.asarray(indices, dtype=np.int64)
        arrays = flow_arrays(self.batch.select(rows))
        gathered = self._gathered(rows, arrays.step_row.numpy())
        targets = {name: torch.from_numpy(values) for name, values in gathered.items()}
        return Example(arrays=arrays, targets=Targets(**targets))

    def select(self, indices: np.ndarray) -> LabelTable:
        """Return a table of some deployments.

        Args:
            indices: 0-based deployments.

        Returns:
            A table that holds nothing of the others.
        """
        result = LabelTable.__new__(LabelTable)
        result.batch = self.batch.select(indices)
        result._columns = self._gathered(indices)
        return result

    def _gathered(
        self, rows: np.ndarray, step_order: np.ndarray | slice = slice(None)
    ) -> dict[str, np.ndarray]:
        chain_rows = _rows(self.batch.chain_start, rows)
        paths = _rows(self.batch.path_start, chain_rows)
        step_rows = _rows(self.batch.step_start, paths)[step_order]
        return {
            name: values[step_rows if name.startswith("step_") else chain_rows]
            for name, values in self._columns.items()
        }


def _labels_of_paths(paths: ExitPaths, step: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return labels of steps: losses where visits begin, times of whole visits."""
    first = paths.step_first
    visit = np.repeat(np.arange(len(first)), paths.step_count)
    rows = ranges(first, paths.step_count)
    sojourn = np.bincount(visit, weights=step["sojourn_completed"][rows], minlength=len(first))
    return {
        "offered": step["offered"][first],
        "lost": step["lost"][first],
        "sojourn_completed": np.where(paths.step_whole, sojourn, np.nan),
    }


def _rows(start: np.ndarray, parents: np.ndarray) -> np.ndarray:
    return ranges(start[parents], start[parents + 1] - start[parents])
