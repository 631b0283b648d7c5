"""Latency tables: the time of every segment for every batch size, modelled or measured.

A measured table is a CSV file with the columns ``segment`` (0-based), ``batch`` and ``seconds``.
Accelerators are compiled for a few batch sizes; a batch in between is padded to the next listed one
and takes its time.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datagen.errors import InvalidInputError, require

__all__ = ["BatchTable", "read_table"]

COLUMNS = ("segment", "batch", "seconds")
"""Header of a measured table."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchTable:
    """Time of a batch in every segment.

    Args:
        seconds: Times for batches of 1, 2, ..., > 0 and non-decreasing along batches
            [segments, max_batch].

    Raises:
        InvalidInputError: If the table is empty, or a time is not positive or falls with the batch.
    """

    seconds: NDArray[np.float64]

    def __post_init__(self) -> None:
        seconds = np.array(self.seconds, dtype=np.float64)
        shape = seconds.shape
        require(seconds.ndim == 2 and seconds.size > 0, "seconds", "have shape [S, B]", shape)
        proper = bool((np.isfinite(seconds) & (seconds > 0)).all())
        require(proper, "seconds", "be finite and > 0", float(seconds.min()))
        falls = np.argwhere(np.diff(seconds, axis=1) < 0)
        if len(falls):
            segment, batch = falls[0]
            place = f"segment {segment}, batch {batch + 2}: {seconds[segment, batch + 1]}"
            raise InvalidInputError("seconds", "not fall with the batch", place)
        seconds.setflags(write=False)
        object.__setattr__(self, "seconds", seconds)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BatchTable) and np.array_equal(self.seconds, other.seconds)

    def __hash__(self) -> int:
        return hash((self.seconds.shape, self.seconds.tobytes()))

    @property
    def segments(self) -> int:
        """Segments between exits."""
        return int(self.seconds.shape[0])

    @property
    def max_batch(self) -> int:
        """Largest batch."""
        return int(self.seconds.shape[1])

    def remaining(self) -> NDArray[np.float64]:
        """Return the time from the start of each segment to the end, if nobody leaves.

        Returns:
            Sums of the segments from each on; the last row, after the end, is 0
            [segments + 1, max_batch].
        """
        after = np.zeros((1, self.max_batch))
        return np.concatenate([self.seconds[::-1].cumsum(axis=0)[::-1], after])


def read_table(path: str | Path) -> BatchTable:
    """Read a measured table.

    Args:
        path: CSV file with the columns ``segment``, ``batch`` and ``seconds``.

    Returns:
        The table, up to the largest batch that every segment lists.

    Raises:
        InvalidInputError: If the file cannot be read, a column is missing, a value is no number, a
            segment is missing or a batch is listed twice.
    """
    rows = _rows(Path(path))
    segments = max(segment for segment, _ in rows) + 1
    listed: list[dict[int, float]] = [{} for _ in range(segments)]
    for (segment, batch), seconds in rows.items():
        listed[segment][batch] = seconds
    for number, of_segment in enumerate(listed):
        require(bool(of_segment), "segment", f"include {number}", str(path))
    largest = min(max(of_segment) for of_segment in listed)
    table = np.empty((segments, largest))
    for number, of_segment in enumerate(listed):
        sizes = np.array(sorted(of_segment))
        times = np.array([of_segment[size] for size in sizes])
        table[number] = times[np.searchsorted(sizes, np.arange(1, largest + 1))]
    return BatchTable(seconds=table)


def _rows(path: Path) -> dict[tuple[int, int], float]:
    """Return seconds by segment and batch.

    Raises:
        InvalidInputError: As :func:`read_table` says.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            found = tuple(reader.fieldnames or ())
            rule = f"have the columns {', '.join(COLUMNS)}"
            require(set(COLUMNS) <= set(found), "table", rule, ", ".join(found))
            lines = list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError("table", "be a readable CSV file", str(path)) from error
    require(len(lines) > 0, "table", "have at least one row", str(path))
    rows: dict[tuple[int, int], float] = {}
    for number, line in enumerate(lines, start=2):
        try:
            place, seconds = (int(line["segment"]), int(line["batch"])), float(line["seconds"])
        except (TypeError, ValueError):
            shown = f"line {number}: {', '.join(map(str, line.values()))}"
            raise InvalidInputError("table", "hold numbers", shown) from None
        require(place[0] >= 0, "segment", "be >= 0", place[0])
        require(place[1] >= 1, "batch", "be >= 1", place[1])
        require(math.isfinite(seconds), "seconds", "be finite", seconds)
        require(place not in rows, "batch", "be listed once per segment", f"line {number}")
        rows[place] = seconds
    return rows
