"""The table of a data set: one row per deployment, a list column for every packed array.

A row holds its ``index``, its ``deployment`` as exact JSON, the packed columns of
:data:`~datagen.evaluation.batch.BATCH_COLUMNS` (the key of a stored row is its index) and, under
``label_LEVEL_NAME``, the measures. Lists of the deeper levels run over the whole deployment;
``LEVEL_count``, a list over the level's parent, says where its rows end. A label that is undefined
in a whole file is left out of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datagen.evaluation.batch import BATCH_COLUMNS, DeploymentBatch
from datagen.evaluation.fields import PARENTS
from datagen.evaluation.measures import MEASURES, SUFFIXES, Measures

__all__ = [
    "BATCH_FIELDS",
    "COUNT_LEVELS",
    "DEPLOYMENT",
    "INDEX",
    "LABEL_FIELDS",
    "LAW_LEVELS",
    "NEWER_LEVELS",
    "REASON",
    "SCHEMA_VERSION",
    "known_fields",
    "level_offsets",
    "list_array",
    "table_of",
    "without_empty_labels",
]

SCHEMA_VERSION = 1
"""Raised when a reader of the version before would misread a file."""

INDEX = "index"
DEPLOYMENT = "deployment"
REASON = "label_reason"

COUNT_LEVELS: tuple[str, ...] = tuple(
    level for level, parent in PARENTS.items() if parent != "deployment"
)
"""Levels whose rows are counted per parent row in a column ``LEVEL_count``."""

LAW_LEVELS = frozenset({
    "fragment",
    "law_parameter",
    "arrival_parameter",
    "head_parameter",
    "trace",
    "context",
    "context_parameter",
})
"""Levels that only simulation needs."""


NEWER_LEVELS: frozenset[str] = frozenset(
    level
    for level in COUNT_LEVELS
    if all(item.absent is not None for item in BATCH_COLUMNS.values() if item.level == level)
)
"""Levels that older files lack, having no rows there."""


def _stored(level: str, dtype: str) -> pa.DataType:
    value = pa.from_numpy_dtype(np.dtype(dtype))
    # The items are never null; saying so makes the files smaller and their reading quicker.
    return value if level == "deployment" else pa.list_(pa.field("element", value, nullable=False))


BATCH_FIELDS: dict[str, tuple[str, pa.DataType]] = {
    name: (described.level, _stored(described.level, described.dtype))
    for name, described in BATCH_COLUMNS.items()
    if name != "key"
} | {f"{level}_count": (PARENTS[level], _stored(PARENTS[level], "int32")) for level in COUNT_LEVELS}
"""Packed columns: level of the rows and stored type, by column name."""

LABEL_FIELDS: dict[str, tuple[str, str, pa.DataType]] = {
    f"label_{level}_{name}{suffix}": (level, f"{name}{suffix}", _stored(level, described.dtype))
    for level, measures in MEASURES.items()
    for name, described in measures.items()
    for suffix in (SUFFIXES if described.dtype == "float64" else ("",))
}
"""Label columns: level, name of the measure and stored type, by column name."""


def known_fields() -> dict[str, pa.Field[Any]]:
    """Return every column a file may have, in the order they are written."""
    columns: dict[str, tuple[pa.DataType, bool]] = {
        INDEX: (pa.int64(), False),
        DEPLOYMENT: (pa.string(), False),
    }
    columns |= {name: (kind, False) for name, (_, kind) in BATCH_FIELDS.items()}
    columns |= {name: (kind, False) for name, (_, _, kind) in LABEL_FIELDS.items()}
    columns[REASON] = (pa.string(), True)
    return {name: pa.field(name, kind, nullable=n) for name, (kind, n) in columns.items()}


def level_offsets(batch: DeploymentBatch, level: str) -> NDArray[np.int64]:
    """Return where the rows of each deployment begin in a level.

    Args:
        batch: Packed deployments that have the level.
        level: Name of the level.

    Returns:
        Offsets [B + 1].
    """
    if level == "deployment":
        return np.arange(len(batch) + 1)
    start: NDArray[np.int64] = getattr(batch, f"{level}_start")
    return start[level_offsets(batch, PARENTS[level])]


def list_array(start: NDArray[np.int64], values: NDArray[Any], kind: Any) -> Any:
    """Return a list per row.

    Args:
        start: Where the list of each row begins [B + 1].
        values: Items of all rows, end to end.
        kind: Arrow type of the lists.

    Returns:
        The Arrow array [B].
    """
    items: Any = pa.array(values, type=kind.value_type)
    offsets: Any = pa.array(start.astype(np.int32))
    return pa.ListArray.from_arrays(offsets, items, type=kind)


def table_of(
    batch: DeploymentBatch, measures: Measures, documents: Iterable[str], index: NDArray[np.int64]
) -> pa.Table:
    """Return labelled deployments as a table with every known column.

    Args:
        batch: Packed deployments with their laws.
        measures: Their measures.
        documents: The exact JSON of each.
        index: Position of each in its data set [B].

    Returns:
        One row per deployment; labels that ``measures`` lacks are undefined.
    """
    levels = {level for level, _ in BATCH_FIELDS.values()}
    offsets = {level: level_offsets(batch, level) for level in levels}
    offsets["window"] = measures.window_start

    def listed(level: str, values: NDArray[Any], kind: pa.DataType) -> Any:
        if level == "deployment":
            return pa.array(values, type=kind)
        return list_array(offsets[level], values, kind)

    arrays: dict[str, Any] = {
        INDEX: pa.array(index, type=pa.int64()),
        DEPLOYMENT: pa.array(documents, type=pa.string()),
    }
    for name, (level, kind) in BATCH_FIELDS.items():
        counted = name.removesuffix("_count")
        is_count = name.endswith("_count") and counted in COUNT_LEVELS
        values = batch.counts(counted).astype(np.int32) if is_count else getattr(batch, name)
        arrays[name] = listed(level, values, kind)
    for name, (level, measure, kind) in LABEL_FIELDS.items():
        arrays[name] = listed(level, getattr(measures, level)[measure], kind)
    arrays[REASON] = pa.array(measures.reason or [None] * len(batch), type=pa.string())
    return pa.table(list(arrays.values()), schema=pa.schema(list(known_fields().values())))


def without_empty_labels(table: pa.Table) -> pa.Table:
    """Leave out the labels that no row defines.

    Args:
        table: A table of :func:`table_of`.

    Returns:
        The table without columns of labels that are all NaN or null.
    """
    kept = [name for name in table.column_names if not _is_empty_label(name, table)]
    return table.select(kept)


def _is_empty_label(name: str, table: pa.Table) -> bool:
    if name == REASON:
        return bool(table[name].null_count == len(table))
    if name not in LABEL_FIELDS or LABEL_FIELDS[name][2] == pa.bool_():
        return False
    parts: list[Any] = list(table[name].chunks)
    chunks = (part.flatten() if pa.types.is_list(part.type) else part for part in parts)
    return all(bool(np.isnan(chunk.to_numpy()).all()) for chunk in chunks)
