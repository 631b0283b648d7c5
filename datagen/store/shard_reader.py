"""Reading one shard: its hashes are verified, and columns that older files lack are filled in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datagen.errors import CorruptDataError
from datagen.evaluation.batch import BATCH_COLUMNS
from datagen.evaluation.fields import starts_of
from datagen.store.files import read_shard, sha256_of, shard_groups
from datagen.store.manifest import Shard
from datagen.store.schema import (
    BATCH_FIELDS,
    LABEL_FIELDS,
    NEWER_LEVELS,
    REASON,
    known_fields,
    list_array,
)

__all__ = [
    "ROW_SOURCES",
    "complete_shard",
    "completed",
    "items_of",
    "require_undamaged",
    "starts_in",
]

ROW_SOURCES = {"chain": "chain_priority", "step": "step_device", "device": "device_discipline"}
"""Per level of labels a small packed column that says how many rows a deployment has there."""


def complete_shard(file: Path, windows: int) -> pa.Table:
    """Read a shard with every known column, undefined labels included.

    Args:
        file: The shard.
        windows: Windows that the labels of each chain were cut into.

    Returns:
        Its rows as :func:`~datagen.store.schema.table_of` laid them out.

    Raises:
        CorruptDataError: If the file is damaged.
    """
    return completed(file, list(known_fields()), None, windows)


def completed(
    file: Path, names: Sequence[str], rows: NDArray[np.int64] | None, windows: int
) -> pa.Table:
    """Read columns of a shard; what it lacks is undefined, or what was not told apart then.

    Args:
        file: The shard.
        names: Columns.
        rows: Rows in ascending order, or None for all.
        windows: Windows that the labels of each chain were cut into.

    Returns:
        The columns in the order of the names.

    Raises:
        CorruptDataError: If the file is damaged, or lacks what it must have.
    """
    table = read_shard(file, names, rows)
    known = known_fields()
    for name in names:
        if name not in table.column_names:
            if name not in LABEL_FIELDS and name != REASON and not _is_newer(name):
                raise CorruptDataError(f"{file} must have a column {name}.")
            table = table.append_column(known[name], _undefined(name, table, windows))
        elif table.schema.field(name).type != known[name].type:
            raise CorruptDataError(f"{file} must hold {name} as {known[name].type}.")
    return table.select(list(names)).replace_schema_metadata(None)


def require_undamaged(file: Path, shard: Shard) -> None:
    """Check a file against what its manifest says.

    The hash covers what page checksums do not: the headers and the footer.

    Args:
        file: The file.
        shard: What was written.

    Raises:
        CorruptDataError: If the file is not as written; it names the row group.
    """
    if sha256_of(file) != shard.sha256:
        _locate_damage(file, shard)
        read_shard(file)  # older manifests: names the row group if a page checksum finds it
        raise CorruptDataError(f"{file} does not have the SHA-256 its manifest promises.")
    rows = sum(shard_groups(file))
    if rows != shard.rows:
        raise CorruptDataError(f"{file} must have the {shard.rows} rows its manifest says.")


# Raises with the number of the first row group whose bytes are not as written.
def _locate_damage(file: Path, shard: Shard) -> None:
    first = 0
    for number, group in enumerate(shard.groups):
        if sha256_of(file, first, group.end) != group.sha256:
            raise CorruptDataError(f"{file}, row group {number} is damaged: it must have its hash.")
        first = group.end
    if shard.groups:
        last = len(shard.groups) - 1
        raise CorruptDataError(f"{file}, the footer behind row group {last} is damaged.")


def _is_newer(name: str) -> bool:
    """Return whether a packed column may be absent from an older file."""
    if name in BATCH_COLUMNS:
        return BATCH_COLUMNS[name].absent is not None
    return name.removesuffix("_count") in NEWER_LEVELS


def _undefined(name: str, table: pa.Table, windows: int) -> Any:
    """Return a column that a shard lacks: an undefined label, or what was not told apart then."""
    if name == REASON:
        return pa.nulls(len(table), type=pa.string())
    value: float | None
    if name in LABEL_FIELDS:
        (level, _, kind), value = LABEL_FIELDS[name], np.nan
    else:
        level, kind = BATCH_FIELDS[name]
        value = BATCH_COLUMNS[name].absent if name in BATCH_COLUMNS else 0
    if level == "deployment":
        return pa.array(np.full(len(table), value), type=kind)
    if level in NEWER_LEVELS:
        return list_array(np.zeros(len(table) + 1, dtype=np.int64), np.empty(0), kind)
    if level == "window":
        start = starts_in(table[ROW_SOURCES["chain"]]) * windows
        return list_array(start, np.full(int(start[-1]), value), kind)
    source = "fragment_law" if level == "fragment" else ROW_SOURCES[level]
    start = starts_in(table[source])
    return list_array(start, np.full(int(start[-1]), value), kind)


def items_of(column: Any) -> NDArray[Any]:
    """Return the values of a column, those of its lists end to end.

    Args:
        column: A column of an Arrow table.

    Returns:
        Its values.
    """
    is_list = pa.types.is_list(column.type)
    parts = [chunk.flatten() if is_list else chunk for chunk in column.chunks]
    arrays = [items.to_numpy(zero_copy_only=False) for items in parts]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def starts_in(column: Any) -> NDArray[np.int64]:
    """Return where the list of each row begins.

    Args:
        column: A column of lists of an Arrow table.

    Returns:
        Offsets, and the total [rows + 1].
    """
    counts = [np.diff(chunk.offsets.to_numpy()) for chunk in column.chunks]
    return starts_of(np.concatenate(counts).astype(np.int64))
