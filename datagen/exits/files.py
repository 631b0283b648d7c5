"""Files of exit traces: the same named arrays as an ``.npz`` archive, a Parquet or a CSV table.

===============  ===============  ===================================  ============================
array            in ``.npz``      in Parquet, one row per sample       in CSV, one line per sample
===============  ===============  ===================================  ============================
``confidences``  floats [N, E]    a list of E doubles                  ``confidence_0``, ...
``correct``      booleans [N, E]  a list of E booleans                 ``correct_0``, ...: 1 or 0
``context``      integers [N]     an integer; may be absent            ``context``; may be absent
``group``        integers [N]     an integer; may be absent            ``group``; may be absent
``cost``         floats [E]       a list of E doubles, in every row    ``cost_0``, ..., in every
                                  the same; may be absent              line the same; may be absent
===============  ===============  ===================================  ============================

No file is ever unpickled: an archive of Python objects is refused.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.errors import InvalidInputError, require
from datagen.exits.csv_tables import read_csv, write_csv

__all__ = ["FILE", "SUFFIXES", "read_arrays", "write_arrays"]

Arrays = dict[str, NDArray[Any]]

FILE = "file"
"""Name of the field in errors about the file itself."""

SUFFIXES = (".npz", ".parquet", ".csv")

_NAMES = ("confidences", "correct", "context", "group", "cost")
_NEEDED = ("confidences", "correct")


def read_arrays(path: str | Path) -> Arrays:
    """Read the arrays of a trace.

    Args:
        path: File whose name ends as one of :data:`SUFFIXES`.

    Returns:
        The arrays by name, not checked any further.

    Raises:
        InvalidInputError: If the file cannot be read, holds objects, or other arrays.
    """
    path = Path(path)
    _require_suffix(path)
    read = {".npz": _read_archive, ".parquet": _read_table, ".csv": _read_lines}
    arrays = read[path.suffix](path)
    for name in arrays:
        require(name in _NAMES, FILE, f"hold no arrays but {', '.join(_NAMES)}", name)
    for name in _NEEDED:
        require(name in arrays, FILE, f"hold an array {name}", str(path))
    return arrays


def write_arrays(path: str | Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the arrays of a trace.

    Args:
        path: File whose name ends as one of :data:`SUFFIXES`.
        arrays: The arrays by name.

    Raises:
        InvalidInputError: If the name ends otherwise.
    """
    path = Path(path)
    _require_suffix(path)
    if path.suffix == ".npz":
        content: dict[str, Any] = dict(arrays)
        np.savez_compressed(path, **content)
    elif path.suffix == ".parquet":
        _write_table(path, arrays)
    else:
        write_csv(path, arrays)


def _require_suffix(path: Path) -> None:
    rule = f"end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    require(path.suffix in SUFFIXES, FILE, rule, str(path))


def _read_archive(path: Path) -> Arrays:
    rule = "be an .npz file without pickled objects"
    try:
        # Opened here, because NumPy leaves a damaged file open.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            require(isinstance(archive, np.lib.npyio.NpzFile), FILE, rule, str(path))
            return {name: archive[name] for name in archive.files}
    # Whatever a damaged archive, one with a password, or one of pickles may raise.
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        raise InvalidInputError(FILE, rule, str(path)) from None


def _read_table(path: Path) -> Arrays:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            table: Any = file.read()
    except (OSError, pa.ArrowException):
        raise InvalidInputError(FILE, "be a Parquet file", str(path)) from None
    return _with_one_cost({name: _items(table[name], name) for name in table.column_names}, path)


def _read_lines(path: Path) -> Arrays:
    try:
        return _with_one_cost(read_csv(path), path)
    except (OSError, UnicodeDecodeError):
        raise InvalidInputError(FILE, "be a CSV file", str(path)) from None


def _with_one_cost(arrays: Arrays, path: Path) -> Arrays:
    """Return the arrays of a table with the cost that all its rows agree on."""
    cost = arrays.get("cost")
    if cost is not None:
        alike = cost.ndim == 2 and len(cost) > 0 and bool(np.all(cost == cost[0]))
        require(alike, "cost", "be the same list in every row", str(path))
        arrays["cost"] = cost[0]
    return arrays


def _items(column: Any, name: str) -> NDArray[Any]:
    """Return a column as an array: of its lists, each a row, or of its numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole: Any = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    kind = whole.type
    nested = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not nested and not pa.types.is_fixed_size_list(kind):
        require(whole.null_count == 0, name, "have no nulls", "null")
        return np.asarray(whole.to_numpy(zero_copy_only=False))
    compute: Any = pc
    lengths = compute.list_value_length(whole).unique().to_pylist()
    require(len(lengths) <= 1 and None not in lengths, name, "have lists of one length", lengths)
    flat = whole.flatten()
    require(flat.null_count == 0, name, "have no nulls", "null")
    rows = (len(whole), lengths[0] if lengths else 0)
    return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(rows)


def _write_table(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    samples = len(arrays["confidences"])
    columns: dict[str, Any] = {}
    for name, values in arrays.items():
        rows = np.tile(values, (samples, 1)) if name == "cost" else values
        if rows.ndim == 1:
            columns[name] = pa.array(rows)
            continue
        offsets: Any = pa.array(np.arange(samples + 1, dtype=np.int32) * rows.shape[1])
        columns[name] = pa.ListArray.from_arrays(offsets, pa.array(rows.ravel()))
    pq.write_table(pa.table(columns), path)
