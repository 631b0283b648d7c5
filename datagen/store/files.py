"""Files of a data set: written whole or not at all, and read only if they are as written."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datagen.errors import CorruptDataError, InvalidInputError

__all__ = [
    "MANIFEST",
    "TEMPORARY",
    "read_manifest",
    "read_shard",
    "sha256_of",
    "shard_columns",
    "shard_name",
    "write_manifest",
    "write_shard",
]

MANIFEST = "manifest.json"
TEMPORARY = ".partial"
"""End of the name of an unfinished file: nothing takes it for data."""

ROW_GROUP_ROWS = 1024
"""Rows that are read at once when a data set is streamed; a damaged group is named by number."""

_HASH_BYTES = 1 << 20
"""Bytes hashed at a time: enough to be fast, little enough for memory."""


def shard_name(number: int) -> str:
    """Return the file name of a shard.

    Args:
        number: 0-based shard.

    Returns:
        For example ``part-00000.parquet``.
    """
    return f"part-{number:05d}.parquet"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _write_whole(
    path: Path, fill: Callable[[Path], object], verify: Callable[[Path], None]
) -> None:
    """Fill a temporary file, verify it, make it durable, give it its name."""
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        fill(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        verify(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name is durable only with its folder
    finally:
        os.close(folder)


def write_shard(path: Path, table: pa.Table) -> str:
    """Write a shard.

    Args:
        path: Its final name.
        table: Its rows.

    Returns:
        The SHA-256 of the file.

    Raises:
        CorruptDataError: If what was written does not read back as what was given.
    """
    table = table.combine_chunks()  # where chunks begin would show in the bytes

    def fill(temporary: Path) -> None:
        pq.write_table(
            table,
            temporary,
            row_group_size=ROW_GROUP_ROWS,
            compression="zstd",
            write_page_checksum=True,
            write_statistics=False,
        )

    def verify(temporary: Path) -> None:
        if not _equal(read_shard(temporary), table):
            raise CorruptDataError(f"{path} did not read back as written.")

    _write_whole(path, fill, verify)
    return sha256_of(path)


def _equal(read: pa.Table, written: pa.Table) -> bool:
    if read.column_names != written.column_names or len(read) != len(written):
        return False
    return all(_same(read[name], written[name]) for name in written.column_names)


def _same(read: Any, written: Any) -> bool:
    """Compare two columns bit by bit: NaN differs from itself by value."""
    if read.type != written.type or read.null_count != written.null_count:
        return False
    if pa.types.is_list(written.type):
        lengths = pc.equal(pc.list_value_length(read), pc.list_value_length(written))
        if not pc.all(lengths, min_count=0).as_py():
            return False
        read, written = pc.list_flatten(read), pc.list_flatten(written)
    if pa.types.is_floating(written.type):
        return bytes(read.to_numpy().data) == bytes(written.to_numpy().data)
    return bool(read.equals(written))


# What a damaged file raises: a footer with flipped bits may claim anything, names that are no text
# and sizes beyond all memory included.
_DAMAGE = (OSError, ValueError, OverflowError, MemoryError, pa.ArrowException)


def shard_columns(path: Path) -> list[str]:
    """Return the names of the columns of a shard.

    Args:
        path: The file.

    Returns:
        Their names in order.

    Raises:
        CorruptDataError: If the file is no Parquet file.
    """
    with _opened(path) as file:
        return list(file.schema_arrow.names)


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except _DAMAGE as error:
        raise CorruptDataError(f"{path} must be a whole Parquet file: {_brief(error)}") from None


def read_shard(
    path: Path, columns: Sequence[str] | None = None, rows: NDArray[np.int64] | None = None
) -> pa.Table:
    """Read a shard, or columns and rows of it, with page checksums verified.

    Args:
        path: The file.
        columns: Names of the columns, those that the file lacks being left out; None for all.
        rows: Ascending 0-based rows; None for all. Only the row groups that hold them are read.

    Returns:
        The table.

    Raises:
        CorruptDataError: If the file is missing, truncated or damaged; it names the row group.
    """
    with _opened(path) as file:
        present = set(file.schema_arrow.names)
        wanted = None if columns is None else [name for name in columns if name in present]
        if rows is None:
            return _read_groups(path, file, list(range(file.num_row_groups)), wanted)
        sizes = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
        ends = np.cumsum(sizes)
        groups = np.unique(np.searchsorted(ends, rows, side="right"))
        if len(rows) and rows[-1] >= ends[-1]:
            raise CorruptDataError(f"{path} must have more than {rows[-1]} rows.")
        table = _read_groups(path, file, groups.tolist(), wanted)
        held = np.concatenate([np.arange(ends[n] - sizes[n], ends[n]) for n in groups])
        return table.take(np.searchsorted(held, rows))


def _read_groups(
    path: Path, file: pq.ParquetFile, groups: list[int], columns: list[str] | None
) -> pa.Table:
    try:
        return file.read_row_groups(groups, columns=columns)
    except _DAMAGE as error:
        for number in groups:
            _require_readable(path, file, number, columns)
        raise CorruptDataError(f"{path} is damaged: {_brief(error)}") from None


def _require_readable(
    path: Path, file: pq.ParquetFile, number: int, columns: list[str] | None
) -> None:
    try:
        file.read_row_group(number, columns=columns)
    except _DAMAGE as error:
        text = f"{path}, row group {number} is damaged: {_brief(error)}"
        raise CorruptDataError(text) from None


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest of a data set.

    Args:
        folder: The data set.
        manifest: Plain values.
    """
    text = json.dumps(manifest, indent=2, allow_nan=False) + "\n"
    path = folder / MANIFEST
    _write_whole(path, lambda file: file.write_text(text, encoding="utf-8"), lambda _: None)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a data set.

    Args:
        folder: The data set.

    Returns:
        Plain values.

    Raises:
        InvalidInputError: If the folder holds no data set.
        CorruptDataError: If the manifest is damaged.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except OSError:
        raise InvalidInputError("path", f"be a folder with a {MANIFEST}", str(folder)) from None
    except ValueError:  # neither UTF-8 nor JSON
        raise CorruptDataError(f"{path} must be JSON.") from None
    needed = ("schema_version", "rows", "shards", "labels")
    if not isinstance(manifest, dict) or any(key not in manifest for key in needed):
        raise CorruptDataError(f"{path} must hold {', '.join(needed)}.")
    if not isinstance(manifest["labels"], dict) or "source" not in manifest["labels"]:
        raise CorruptDataError(f"{path} must say the source of its labels.")
    return manifest
