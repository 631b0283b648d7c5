"""Latency tables: measured files, padding to listed sizes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datagen.errors import InvalidInputError
from datagen.npu import BatchTable, read_table


def written(folder: Path, *lines: str, header: str = "segment,batch,seconds") -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_reads_what_was_measured(tmp_path: Path) -> None:
    path = written(tmp_path, "1,1,0.2", "0,1,0.1", "0,2,0.15", "1,2,0.3")
    table = read_table(path)
    assert table.seconds.tolist() == [[0.1, 0.15], [0.2, 0.3]]
    assert (table.segments, table.max_batch) == (2, 2)


def test_pads_to_the_next_listed_size(tmp_path: Path) -> None:
    path = written(tmp_path, "0,1,0.1", "0,4,0.2", "0,8,0.5", "1,2,0.1", "1,6,0.4")
    table = read_table(path)
    assert table.seconds[0].tolist() == [0.1, 0.2, 0.2, 0.2, 0.5, 0.5]
    assert table.seconds[1].tolist() == [0.1, 0.1, 0.4, 0.4, 0.4, 0.4]


def test_remaining_time_adds_up_from_the_end() -> None:
    table = BatchTable(seconds=np.array([[1.0, 2.0], [3.0, 5.0], [4.0, 4.0]]))
    assert table.remaining().tolist() == [[8.0, 11.0], [7.0, 9.0], [4.0, 4.0], [0.0, 0.0]]


def test_tables_do_not_change() -> None:
    table = BatchTable(seconds=np.ones((1, 2)))
    with pytest.raises(ValueError, match="read-only"):
        table.seconds[0, 0] = 2.0


@pytest.mark.parametrize(
    ("seconds", "message"),
    [
        (np.zeros((0, 3)), r"seconds must have shape \[S, B\]"),
        (np.ones(3), r"seconds must have shape \[S, B\], got seconds=\(3,\)"),
        (np.array([[1.0, 0.0]]), "seconds must be finite and > 0, got seconds=0"),
        (np.array([[1.0, np.nan]]), "seconds must be finite and > 0"),
        (np.array([[1.0, 2.0, 1.5]]), "not fall with the batch, got .*segment 0, batch 3: 1.5"),
    ],
)
def test_refuses_impossible_tables(seconds: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        BatchTable(seconds=seconds)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((), "table must have at least one row"),
        (("0,one,1.0",), "table must hold numbers, got .*line 2"),
        (("0,1,inf",), "seconds must be finite"),
        (("-1,1,0.5",), "segment must be >= 0"),
        (("0,0,0.5",), "batch must be >= 1"),
        (("0,1,0.5", "0,1,0.6"), "batch must be listed once per segment, got .*line 3"),
        (("1,1,0.5",), "segment must include 0"),
    ],
)
def test_refuses_files_by_line(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_table(written(tmp_path, *lines))


def test_refuses_other_columns_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="table must have the columns segment, batch"):
        read_table(written(tmp_path, "0,1", header="segment,batch"))
    with pytest.raises(InvalidInputError, match="table must be a readable CSV file"):
        read_table(tmp_path / "absent.csv")
