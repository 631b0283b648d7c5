"""Files of a data set: written whole or not at all, and read only if they are as written."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datagen.errors import CorruptDataError, DatagenError

__all__ = [
    "ROW_GROUP_ROWS",
    "TEMPORARY",
    "Digests",
    "read_shard",
    "same_column",
    "sha256_of",
    "shard_columns",
    "shard_groups",
    "write_shard",
    "write_whole",
]

TEMPORARY = ".partial"
"""End of the name of an unfinished file: nothing takes it for data."""

ROW_GROUP_ROWS = 1024
"""Rows that are read at once when a data set is streamed; a damaged group is named by number."""

_HASH_BYTES = 1 << 20
"""Bytes hashed at a time: enough to be fast, little enough for memory."""

_BEHIND_FOOTER = 8
"""Bytes behind a Parquet footer: its length and the mark that ends the file."""


class Digests(NamedTuple):
    """What vouches for the bytes of a shard.

    Args:
        sha256: SHA-256 of the file.
        groups: Per row group the offset behind its last byte, and the SHA-256 of its bytes.
    """

    sha256: str
    groups: list[tuple[int, str]]


def sha256_of(path: Path, start: int = 0, stop: int | None = None) -> str:
    """Return the SHA-256 of a file's content, or of a part of it, in hexadecimal.

    Args:
        path: The file.
        start: First byte.
        stop: One past the last byte; None for the end of the file.

    Returns:
        The digest of what is there, which is less than asked for where the file is shorter.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(start)
        left = _HASH_BYTES if stop is None else stop - start
        while block := file.read(min(_HASH_BYTES, left)):
            digest.update(block)
            left -= 0 if stop is None else len(block)
    return digest.hexdigest()


def _accept(_: Path) -> None:
    """Verify nothing."""


def write_whole(
    path: Path, fill: Callable[[Path], object], verify: Callable[[Path], None] = _accept
) -> None:
    """Write a file that exists whole or not at all, whatever happens meanwhile.

    A temporary file is filled, made durable and verified before it gets the name.

    Args:
        path: The file.
        fill: Writes the content into the file it is given.
        verify: Raises if the file it is given is not as it should be.

    Raises:
        DatagenError: If the file system refuses, for instance because it is full.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        fill(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        verify(temporary)
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name is durable only with its folder
        finally:
            os.close(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        text = f"{path} cannot be written: {_brief(error)}; what was finished before is kept."
        raise DatagenError(text) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_shard(path: Path, table: pa.Table) -> Digests:
    """Write a shard.

    Args:
        path: Its final name.
        table: Its rows.

    Returns:
        What vouches for its bytes.

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

    write_whole(path, fill, verify)
    starts = _group_starts(path)
    groups = [(b, sha256_of(path, a, b)) for a, b in itertools.pairwise(starts)]
    return Digests(sha256_of(path), groups)


def _group_starts(path: Path) -> list[int]:
    """Return where each row group begins, then where the footer does; the first begins at 0."""
    with _opened(path) as file:
        groups = [file.metadata.row_group(n) for n in range(file.num_row_groups)]
        footer = path.stat().st_size - file.metadata.serialized_size - _BEHIND_FOOTER
    starts = [
        min(
            offset
            for column in map(group.column, range(group.num_columns))
            for offset in (column.dictionary_page_offset, column.data_page_offset)
            if offset
        )
        for group in groups
    ]
    return [0, *starts[1:], footer]


def _equal(read: pa.Table, written: pa.Table) -> bool:
    if read.column_names != written.column_names or len(read) != len(written):
        return False
    return all(same_column(read[name], written[name]) for name in written.column_names)


def same_column(read: Any, written: Any) -> bool:
    """Compare two columns bit by bit: NaN differs from itself by value.

    Args:
        read: A column.
        written: Another.

    Returns:
        Whether they hold the same bits.
    """
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


def shard_groups(path: Path) -> list[int]:
    """Return the number of rows of each row group of a shard.

    Args:
        path: The file.

    Returns:
        Rows per row group.

    Raises:
        CorruptDataError: If the file is no Parquet file.
    """
    with _opened(path) as file:
        return [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]


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
