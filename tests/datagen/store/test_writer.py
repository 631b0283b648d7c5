from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datagen.documents import to_json
from datagen.errors import CorruptDataError, DatagenError, InvalidInputError
from datagen.evaluation import pack
from datagen.store import DatasetWriter, read_dataset, table_of
from datagen.store import files as store_files
from tests.datagen.store.test_reader import DEPLOYMENTS, measured

TABLE = table_of(
    pack(DEPLOYMENTS), measured(DEPLOYMENTS), map(to_json, DEPLOYMENTS), np.arange(len(DEPLOYMENTS))
)


def writer(folder: Path, seed: int = 0) -> DatasetWriter:
    return DatasetWriter(
        folder=folder, rows=5, rows_per_shard=2, identity={"seed": seed}, source="simulation"
    )


def test_an_unfinished_data_set_is_resumed_where_it_stopped(tmp_path: Path) -> None:
    first = writer(tmp_path)
    assert first.open(resume=True) == [0, 1, 2]
    first.write(1, TABLE.slice(2, 2))
    first.abandon()
    with pytest.raises(InvalidInputError, match="rows must hold all of its 5 rows"):
        read_dataset(tmp_path)
    second = writer(tmp_path)
    assert second.open(resume=True) == [0, 2]
    second.write(0, TABLE.slice(0, 2))
    second.abandon()
    (tmp_path / "part-00001.parquet").write_bytes(b"damaged")
    third = writer(tmp_path)
    assert third.open(resume=True) == [1, 2]
    third.write(1, TABLE.slice(2, 2))
    third.write(2, TABLE.slice(4, 1))
    third.close({})
    assert [d for d, _ in map(read_dataset(tmp_path).__getitem__, range(5))] == DEPLOYMENTS


def test_another_run_is_not_resumed(tmp_path: Path) -> None:
    first = writer(tmp_path)
    first.open(resume=False)
    first.write(0, TABLE.slice(0, 2))
    first.abandon()
    with pytest.raises(InvalidInputError, match="seed must resume with the seed it began with, 0"):
        writer(tmp_path, seed=1).open(resume=True)
    with pytest.raises(InvalidInputError, match="out must be a new or empty folder"):
        writer(tmp_path).open(resume=False)


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(InvalidInputError, match="out must"):
            writer(tmp_path).open(resume=resume)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="out must be a folder"):
        writer(tmp_path / "file").open(resume=False)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "notes.txt"]


def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = writer(tmp_path)
    target.open(resume=False)
    with monkeypatch.context() as patched:
        patched.setattr(store_files, "same_column", lambda *_: False)
        with pytest.raises(CorruptDataError, match="did not read back as written"):
            target.write(0, TABLE.slice(0, 2))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(store_files.pq, "write_table", full)
        with pytest.raises(
            DatagenError, match=r"part-00000\.parquet cannot be written: .*No space"
        ):
            target.write(0, TABLE.slice(0, 2))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".lock", "manifest.json"]
    target.abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_shard_has_its_rows_and_no_others(tmp_path: Path) -> None:
    target = writer(tmp_path)
    target.open(resume=False)
    with pytest.raises(ValueError, match="shard 2 must have 1 rows"):
        target.write(2, TABLE.slice(0, 2))
