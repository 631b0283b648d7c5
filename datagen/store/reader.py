"""Reading a data set: straight from Arrow buffers into packed deployments and measures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datagen.deployment import Deployment
from datagen.documents import from_json
from datagen.errors import CorruptDataError, InvalidInputError
from datagen.evaluation.batch import DeploymentBatch
from datagen.evaluation.fields import starts_of
from datagen.evaluation.measures import Columns, Measures
from datagen.store.files import shard_columns, shard_groups
from datagen.store.manifest import (
    FailedRow,
    read_manifest,
    shards_of,
    shards_of_part,
)
from datagen.store.schema import (
    BATCH_FIELDS,
    COUNT_LEVELS,
    DEPLOYMENT,
    INDEX,
    LABEL_FIELDS,
    LAW_LEVELS,
    REASON,
    SCHEMA_VERSION,
    known_fields,
)
from datagen.store.shard_reader import (
    ROW_SOURCES,
    completed,
    items_of,
    require_undamaged,
    starts_in,
)

__all__ = ["Dataset", "read_dataset"]

Indices = Sequence[int] | NDArray[np.int64] | None


_TOP_SOURCES = {level: ROW_SOURCES[level] for level in ("device", "chain")}
"""The same for the levels that deployments hold directly."""

_LAW_COLUMNS = frozenset(
    name
    for name, (level, _) in BATCH_FIELDS.items()
    if level in LAW_LEVELS or name.removesuffix("_count") in LAW_LEVELS or name == "chain_arrivals"
)
"""Packed columns that only simulation needs."""


class Dataset:
    """A data set on disk; every part is read when asked for, and verified the first time."""

    def __init__(self, path: str | Path) -> None:
        """Open a data set.

        Args:
            path: Folder with a manifest.

        Raises:
            InvalidInputError: If the folder holds no data set, or one that is unfinished.
            CorruptDataError: If its manifest or a shard is damaged or missing.
        """
        self.path = Path(path)
        self.manifest = read_manifest(self.path)
        version = self.manifest["schema_version"]
        if version != SCHEMA_VERSION:
            raise InvalidInputError("schema_version", f"be {SCHEMA_VERSION}", version)
        self.shards = shards_of(self.manifest, self.path)
        self.files = [self.path / shard.file for shard in self.shards]
        self._start = starts_of(np.array([shard.rows for shard in self.shards], dtype=np.int64))
        found, expected = len(self) + len(self.failed), self._expected_rows()
        if found != expected or len(self) == 0:
            wanted = f"hold all of its {expected} rows"
            rule = f"{wanted} (datagen generate --resume or datagen merge)"
            raise InvalidInputError("rows", rule, found)
        for file in self.files:
            if not file.is_file():
                raise CorruptDataError(f"{file} is missing.")
        self._verified: set[int] = set()

    def __len__(self) -> int:
        return int(self._start[-1])

    def _expected_rows(self) -> int:
        rows = int(self.manifest["rows"])
        if "part" not in self.manifest:
            return rows
        per_shard = int(self.manifest["rows_per_shard"])
        own = shards_of_part(rows, per_shard, tuple(self.manifest["part"]))
        return min(own.stop * per_shard, rows) - own.start * per_shard

    @property
    def failed(self) -> list[FailedRow]:
        """The deployments that could not be labelled and have no row."""
        return [row for shard in self.shards for row in shard.failed]

    def __getitem__(self, index: int) -> tuple[Deployment, Measures]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index must lie in [0, {len(self)}), got index={index}.")
        rows = [index % len(self)]
        deployment = from_json(self.documents(rows)[0])
        assert isinstance(deployment, Deployment)
        problem = deployment.problem
        measures = replace(
            self.measures(rows),
            chain_names=tuple(chain.name for chain in problem.chains),
            device_names=tuple(device.name for device in problem.devices),
        )
        return deployment, measures

    @cached_property
    def label_names(self) -> tuple[str, ...]:
        """Names of the label columns that any shard has."""
        found: set[str] = set()
        for number, file in enumerate(self.files):
            self.verify(number)
            found.update(shard_columns(file))
        return tuple(name for name in (*LABEL_FIELDS, REASON) if name in found)

    @property
    def windows(self) -> int:
        """Windows that the labels of each chain were cut into; 0 where they were not."""
        simulation = self.manifest.get("config", {}).get("simulation") or {}
        return int(simulation.get("windows") or 0)

    @cached_property
    def _keys(self) -> NDArray[np.int64]:
        return np.asarray(items_of(self._table([INDEX], None)[INDEX]), dtype=np.int64)

    def keys(self) -> NDArray[np.int64]:
        """Return the index that each row is stored with: ascending, with gaps where some failed."""
        return self._keys

    def table(self, indices: Indices = None) -> pa.Table:
        """Return rows with every known column, undefined labels included.

        Args:
            indices: Rows, in any order; None for all.

        Returns:
            The rows as :func:`~datagen.store.schema.table_of` laid them out.
        """
        return self._table(list(known_fields()), indices)

    def row_groups(self) -> list[range]:
        """Return the rows of each row group: what is read at once, and read without the rest."""
        groups = []
        for number, file in enumerate(self.files):
            self.verify(number)
            first = int(self._start[number])
            for rows in shard_groups(file):
                groups.append(range(first, first + rows))
                first += rows
        return [group for group in groups if len(group)]

    def documents(self, indices: Indices = None) -> list[str]:
        """Return deployments as JSON.

        Args:
            indices: Rows, in any order; None for all.

        Returns:
            One text per row.
        """
        return [str(text) for text in self._table([DEPLOYMENT], indices)[DEPLOYMENT].to_pylist()]

    def batch(self, indices: Indices = None, *, laws: bool = True) -> DeploymentBatch:
        """Return packed deployments.

        Args:
            indices: Rows, in any order; None for all.
            laws: Whether the laws that simulation draws from are read too.

        Returns:
            The batch, without names; the key of a row is its index.

        Raises:
            CorruptDataError: If a shard is damaged.
        """
        names = [name for name in BATCH_FIELDS if laws or name not in _LAW_COLUMNS]
        table = self._table([INDEX, *names], indices)
        content: dict[str, Any] = {name: items_of(table[name]) for name in table.column_names}
        starts = {level: starts_in(table[source]) for level, source in _TOP_SOURCES.items()}
        for level in COUNT_LEVELS:
            if laws or level not in LAW_LEVELS:
                starts[level] = starts_of(content.pop(f"{level}_count").astype(np.int64))
        for level, start in starts.items():
            rows = {
                len(content[n])
                for n in content
                if n in BATCH_FIELDS and BATCH_FIELDS[n][0] == level
            }
            if rows != {int(start[-1])}:
                raise CorruptDataError(f"{self.path}: the {level} rows do not fit their counts.")
        content |= {f"{level}_start": start for level, start in starts.items()}
        return DeploymentBatch(key=content.pop(INDEX), **content)

    def measures(self, indices: Indices = None, names: Collection[str] | None = None) -> Measures:
        """Return the labels of deployments.

        Args:
            indices: Rows, in any order; None for all.
            names: Labels to read, such as ``chain.latency`` or ``step.lost``; None for all. The
                others are not even read from disk.

        Returns:
            Measures without names; what no shard holds, or is not asked for, is NaN.
        """
        label_names = self._wanted_labels(names)
        table = self._table([*ROW_SOURCES.values(), *label_names], indices)
        values: dict[str, dict[str, NDArray[Any]]] = {
            level: {} for level in ("deployment", "window", *ROW_SOURCES)
        }
        for name in label_names:
            if name == REASON:
                continue
            level, measure, _ = LABEL_FIELDS[name]
            values[level][measure] = items_of(table[name])
        starts = {level: starts_in(table[source]) for level, source in ROW_SOURCES.items()}
        rows = {"deployment": len(table)} | {k: int(s[-1]) for k, s in starts.items()}
        rows["window"] = rows["chain"] * self.windows
        columns = {level: Columns(level, rows[level], found) for level, found in values.items()}
        reason = tuple(table[REASON].to_pylist()) if REASON in table.column_names else None
        labels = self.manifest["labels"]
        return Measures(
            source=labels["source"],
            deployment=columns["deployment"],
            chain=columns["chain"],
            step=columns["step"],
            device=columns["device"],
            window=columns["window"],
            windows=self.windows,
            chain_start=starts["chain"],
            step_start=starts["step"],
            device_start=starts["device"],
            reason=reason,
            level=labels.get("level"),
        )

    def _wanted_labels(self, names: Collection[str] | None) -> tuple[str, ...]:
        if names is None:
            return self.label_names
        wanted = {f"label_{name.replace('.', '_', 1)}" for name in names}
        for name in sorted(wanted - LABEL_FIELDS.keys()):
            raise InvalidInputError("names", "be labels such as chain.latency", name)
        return tuple(name for name in self.label_names if name in wanted)

    def verify(self, number: int) -> None:
        """Check a shard against the manifest, once.

        The hash covers what page checksums do not: the headers and the footer.

        Args:
            number: 0-based shard.

        Raises:
            CorruptDataError: If the file is not as written; it names the row group.
        """
        if number in self._verified:
            return
        require_undamaged(self.files[number], self.shards[number])
        self._verified.add(number)

    def _table(self, names: Sequence[str], indices: Indices) -> pa.Table:
        # A label that a shard lacks is filled in, so that all shards have the same columns.
        if indices is None:
            parts = [self._part(number, names, None) for number in range(len(self.files))]
            return pa.concat_tables(parts)
        wanted = np.asarray(indices, dtype=np.int64)
        if wanted.size == 0 or wanted.min() < 0 or wanted.max() >= len(self):
            raise InvalidInputError("indices", f"lie in [0, {len(self)}), at least one", wanted)
        rows, order = np.unique(wanted, return_inverse=True)
        shard = np.searchsorted(self._start, rows, side="right") - 1
        parts = [
            self._part(int(number), names, rows[shard == number] - self._start[number])
            for number in np.unique(shard)
        ]
        return pa.concat_tables(parts).combine_chunks().take(order)

    def _part(self, number: int, names: Sequence[str], rows: NDArray[np.int64] | None) -> pa.Table:
        self.verify(number)
        return completed(self.files[number], names, rows, self.windows)


def read_dataset(path: str | Path) -> Dataset:
    """Open a data set.

    Args:
        path: Folder with shards and a manifest.

    Returns:
        The data set; rows are read when asked for.

    Raises:
        InvalidInputError: If the folder holds no finished data set.
        CorruptDataError: If it is damaged.
    """
    return Dataset(path)
