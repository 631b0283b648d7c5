"""Validation of a data set: files as vouched for, rows as described, labels that obey laws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Deployment
from datagen.documents import from_json
from datagen.errors import CorruptDataError, InvalidInputError
from datagen.evaluation.batch import BATCH_COLUMNS, DeploymentBatch
from datagen.evaluation.measures import Columns, Measures
from datagen.evaluation.packing import pack
from datagen.store.files import read_shard
from datagen.store.reader import Dataset, read_dataset
from datagen.store.schema import INDEX, known_fields

__all__ = ["validate_dataset"]

PACKED_AGAIN = 64
"""Rows, evenly spread, whose JSON is packed again and compared with their arrays."""

IN_UNIT_INTERVAL = {
    "deployment": ("loss_ratio",),
    "chain": (
        "throughput_ratio",
        "loss_ratio",
        "attainment",
        "accuracy_completed",
        "accuracy_offered",
    ),
    "device": ("utilization",),
}

RATIO_SLACK = 1e-9
"""Slack of ratios and identities for the rounding of sums."""


def validate_dataset(
    path: str | Path, progress: Callable[[int], object] = lambda rows: None
) -> dict[str, Any]:
    """Check a data set as a whole.

    Args:
        path: Folder with a manifest.
        progress: Called with the number of rows whose file was just checked.

    Returns:
        Plain values: ``deployments``, ``chains``, ``shards`` and the ``checks`` that passed.

    Raises:
        InvalidInputError: If the folder holds no finished data set.
        CorruptDataError: If a check fails; it names the file, row group or row.
    """
    dataset = read_dataset(path)
    _check_files(dataset, progress)
    batch = dataset.batch()
    _check_rows(dataset, batch)
    measures = dataset.measures()
    _check_labels(batch, measures, str(dataset.path))
    return {
        "deployments": len(dataset),
        "chains": len(batch.chain_rate),
        "shards": len(dataset.files),
        "checks": ["hashes", "page checksums", "schema", "index", "deployments", "labels"],
    }


def _check_files(dataset: Dataset, progress: Callable[[int], object]) -> None:
    known = known_fields()
    last = -1
    for number, file in enumerate(dataset.files):
        dataset.verify(number)
        table = read_shard(file)
        for field in table.schema:
            if field.name not in known or field.type != known[field.name].type:
                raise CorruptDataError(f"{file} has an unknown column {field.name}: {field.type}.")
        index = np.concatenate([[last], table[INDEX].to_numpy()])
        if np.any(np.diff(index) <= 0):
            raise CorruptDataError(f"{file} must hold ascending rows from {last + 1} on.")
        failed = {row.index for row in dataset.shards[number].failed}
        if failed & set(index[1:].tolist()):
            raise CorruptDataError(f"{file} must not hold rows that failed, {sorted(failed)}.")
        last = int(index[-1])
        progress(len(table))


def _check_rows(dataset: Dataset, batch: DeploymentBatch) -> None:
    rows = np.unique(np.linspace(0, len(dataset) - 1, PACKED_AGAIN).astype(np.int64))
    stored = batch.select(rows)
    deployments = []
    for row, text in zip(rows, dataset.documents(rows), strict=True):
        try:
            deployment = from_json(text)
        except InvalidInputError as error:
            raise CorruptDataError(f"{dataset.path}, row {row}: {error}") from None
        if not isinstance(deployment, Deployment):
            raise CorruptDataError(f"{dataset.path}, row {row} has no placement.")
        deployments.append(deployment)
    packed = pack(deployments).with_key(stored.key)
    for item in fields(DeploymentBatch):
        if item.name in BATCH_COLUMNS or item.name.endswith("_start"):
            same = np.array_equal(getattr(packed, item.name), getattr(stored, item.name), True)
            if not same:
                raise CorruptDataError(f"{dataset.path}: {item.name} does not fit the deployments.")


@dataclass(frozen=True, slots=True)
class _Laws:
    """The laws that labels obey; what is undefined breaks none."""

    batch: DeploymentBatch
    measures: Measures
    path: str
    owner: dict[str, NDArray[np.int64]]

    def require(self, level: str, name: str, law: str, broken: NDArray[np.bool_]) -> None:
        """Check one law.

        Args:
            level: Level of the label.
            name: Name of the label.
            law: What must hold, without the word "must".
            broken: Where it does not, one flag per row of the level.

        Raises:
            CorruptDataError: If it is broken somewhere; it names the first row.
        """
        if broken.any():
            row = self.batch.key[self.owner[level][int(np.argmax(broken))]]
            raise CorruptDataError(f"{self.path}, row {row}: {level} {name} must {law}.")


def _check_labels(batch: DeploymentBatch, measures: Measures, path: str) -> None:
    owner = {"deployment": np.arange(len(batch))}
    owner |= {level: batch.owner(level) for level in ("chain", "step", "device")}
    laws = _Laws(batch, measures, path, owner)
    _check_ranges(laws)
    if measures.source == "simulation":  # what is measured or predicted may balance only roughly
        _check_balance(laws)
        _check_flows(laws)


def _check_ranges(laws: _Laws) -> None:
    measures, check = laws.measures, laws.require
    for level in laws.owner:
        columns: Columns = getattr(measures, level)
        for name, values in columns.items():
            if values.dtype == bool:
                continue
            # latency_ratio may exceed 1 by the noise of its estimate: it is stored unclipped.
            check(level, name, "be >= 0", values < 0)
            check(level, name, "be finite or undefined", np.isinf(values))
        for name in IN_UNIT_INTERVAL.get(level, ()):
            check(level, name, "be <= 1", columns[name] > 1 + RATIO_SLACK)
    chain = measures.chain
    for low, high in (("p50", "p95"), ("p95", "p99"), ("accuracy_offered", "accuracy_completed")):
        check("chain", high, f"be >= {low}", chain[high] < chain[low] - RATIO_SLACK)
    check("chain", "completed", "be <= offered", chain["completed"] > chain["offered"])
    check("step", "lost", "be <= offered", measures.step["lost"] > measures.step["offered"])
    units = measures.device["units"]
    over = units > laws.batch.device_capacity * (1 + RATIO_SLACK)
    check("device", "units", "be <= capacity", over)


def _check_balance(laws: _Laws) -> None:
    """Every job of a run that was played to its end is either completed or lost."""
    chain, check = laws.measures.chain, laws.require
    over = ~laws.measures.deployment["truncated"].astype(bool)
    whole = over[laws.owner["chain"]]
    balance = chain["offered"] - chain["completed"] - chain["lost"]
    check("chain", "offered", "be completed + lost", whole & (np.abs(balance) > 0))
    share = chain["throughput_ratio"] + chain["loss_ratio"] - 1
    check("chain", "loss_ratio", "be 1 - throughput_ratio", whole & (np.abs(share) > RATIO_SLACK))
    offered, lost = (
        np.bincount(laws.owner["chain"], weights=chain[name], minlength=len(over))
        for name in ("offered", "lost")
    )
    wrong = np.abs(laws.measures.deployment["loss_ratio"] * offered - lost) > RATIO_SLACK * offered
    check("deployment", "loss_ratio", "be the lost over the offered of all chains", wrong)


def _check_flows(laws: _Laws) -> None:
    """What passes a step arrives at the next one, and what is lost is lost at some step."""
    batch, measures = laws.batch, laws.measures
    step, check = measures.step, laws.require
    whole = ~measures.deployment["truncated"].astype(bool)
    lost = np.bincount(batch.step_chain, weights=step["lost"], minlength=len(batch.chain_rate))
    more = measures.chain["lost"] - lost
    # A job of a parallel chain may be lost at several of its steps, and is counted once.
    wrong = np.where(batch.chain_parallel == 1, more, np.abs(more)) > 0
    check("chain", "lost", "be what its steps lost", whole[laws.owner["chain"]] & wrong)
    first = batch.step_start[:-1]
    path_chain = np.repeat(np.arange(len(batch.chain_rate)), batch.counts("path"))
    entered = np.bincount(path_chain, step["offered"][first], len(batch.chain_rate))
    wrong = whole[laws.owner["chain"]] & (np.abs(entered - measures.chain["offered"]) > 0)
    check("chain", "offered", "be what its first steps were offered", wrong)
    arriving = batch.chain_parallel[batch.step_chain] == 0  # branches begin all at once
    arriving[first] = False
    passed = np.roll(step["offered"] - step["lost"], 1)
    more = arriving & (step["offered"] > passed)
    check("step", "offered", "be at most what passed the step before", more)
