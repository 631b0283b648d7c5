"""Exit traces as CSV: what spreadsheets and other programs can write; see :mod:`files`."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.errors import InvalidInputError, require

__all__ = ["read_csv", "write_csv"]

PER_EXIT = {"confidence": "confidences", "correct": "correct", "cost": "cost"}
"""Columns of which there is one per exit, ``confidence_0``, ``confidence_1``, ...: their arrays."""

PER_SAMPLE = ("context", "group")
"""Columns of which there is one."""

TRUTH = {"true": 1.0, "false": 0.0}
"""Words for right and wrong, in any case."""


def read_csv(path: Path) -> dict[str, NDArray[Any]]:
    """Read the columns of a table, its names in the first line.

    Args:
        path: The file, in UTF-8.

    Returns:
        Arrays by name: [N, columns] where there is a column per exit, [N] elsewhere.

    Raises:
        InvalidInputError: If a column is none of a trace, one of several is missing or given twice,
            or a cell is no number; it names the line.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        try:
            names = [name.strip() for name in next(lines, [])]
            rows = [_numbers(line, names, lines.line_num) for line in lines if line]
        except csv.Error as error:
            raise InvalidInputError("file", f"be a CSV file ({error})", str(path)) from None
    require(len(set(names)) == len(names), "file", "name each column once", names)
    table = np.array(rows, dtype=np.float64).reshape(len(rows), len(names))
    places = _places(names)
    return {
        array: table[:, where[0] if array in PER_SAMPLE else where]
        for array, where in places.items()
    }


def _places(names: Sequence[str]) -> dict[str, list[int]]:
    """Return where the columns of each array are, exit by exit."""
    numbered: dict[str, dict[int, int]] = {}
    known = [*(f"{name}_0" for name in PER_EXIT), *PER_SAMPLE]
    for place, name in enumerate(names):
        found = re.fullmatch(r"(confidence|correct|cost)_(0|[1-9][0-9]{0,5})", name)
        rule = f"have no columns but {', '.join(known)}, with _1, _2, ... where there is a _0"
        require(found is not None or name in PER_SAMPLE, "file", rule, name)
        array, number = (PER_EXIT[found[1]], int(found[2])) if found is not None else (name, 0)
        numbered.setdefault(array, {})[number] = place
    for array, columns in numbered.items():
        whole = max(columns) == len(columns) - 1
        require(whole, array, "have a column for every exit from 0 on", sorted(columns))
    return {a: [columns[e] for e in sorted(columns)] for a, columns in numbered.items()}


def _numbers(cells: Sequence[str], names: Sequence[str], line: int) -> list[float]:
    same = len(cells) == len(names)
    require(same, f"line {line}", f"have {len(names)} cells as the first", len(cells))
    row = []
    for name, cell in zip(names, cells, strict=True):
        text = cell.strip()
        try:
            answer = TRUTH.get(text.lower()) if name.startswith("correct") else None
            row.append(float(text) if answer is None else answer)
        except ValueError:
            raise InvalidInputError(f"line {line} {name}", "be a number", text) from None
    return row


def write_csv(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the arrays of a trace as a table that reads back exactly.

    Args:
        path: The file.
        arrays: The arrays by name.
    """
    samples = len(arrays["confidences"])
    names: list[str] = []
    columns: list[list[object]] = []
    for single, array in [*PER_EXIT.items(), *((name, name) for name in PER_SAMPLE)]:
        if array not in arrays:
            continue
        values = arrays[array]
        values = values.astype(np.int64) if values.dtype == bool else values
        if array in PER_SAMPLE:
            names.append(single)
            columns.append(values.tolist())
            continue
        names += [f"{single}_{place}" for place in range(values.shape[-1])]
        rows = np.broadcast_to(values, (samples, values.shape[-1]))
        columns += [rows[:, place].tolist() for place in range(values.shape[-1])]
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(names)
        lines.writerows(zip(*columns, strict=True))
