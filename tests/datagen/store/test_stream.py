from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datagen.errors import CorruptDataError, InvalidInputError
from datagen.generate import generate
from datagen.store import Dataset, read_dataset
from datagen.store import files as store_files
from datagen.store.split import held_out
from datagen.store.stream import stream
from tests.datagen.evaluation.test_packing import same
from tests.datagen.generate.campaigns import CONFIG, ROWS, SEED


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards of up to seven rows, in row groups of three."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store_files, "ROW_GROUP_ROWS", 3)
        folder = tmp_path_factory.mktemp("stream") / "set"
        generate(folder, CONFIG, num=ROWS, seed=SEED)
    return folder


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    return read_dataset(folder)


def test_row_groups_cover_every_row_once(dataset: Dataset) -> None:
    assert [len(group) for group in dataset.row_groups()] == [3, 3, 1, 3, 3, 1, 3, 3]
    assert [row for group in dataset.row_groups() for row in group] == list(range(ROWS))


@pytest.mark.parametrize("groups", [1, 3, 100])
def test_windows_in_order_are_the_data_set(dataset: Dataset, groups: int) -> None:
    windows = list(stream(dataset, groups=groups))
    assert len(windows) == -(-8 // groups)
    assert [key for batch, _ in windows for key in batch.key] == list(range(ROWS))
    for batch, measures in windows:
        assert same(batch, dataset.batch(batch.key, laws=False))
        expected = dataset.measures(batch.key)
        for name, values in expected.chain.items():
            assert np.array_equal(measures.chain[name], values, equal_nan=True), name


def test_a_seed_shuffles_row_groups_and_loses_none(dataset: Dataset) -> None:
    orders = [
        [int(key) for batch, _ in stream(dataset, groups=2, seed=seed) for key in batch.key]
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]
    for order in orders:
        assert sorted(order) == list(range(ROWS))
        assert order != list(range(ROWS))


def test_only_what_is_asked_for_is_read(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = store_files._read_groups

    def spy(path: Path, file: object, groups: list[int], columns: list[str] | None) -> object:
        read.extend(columns or ["everything"])
        return original(path, file, groups, columns)  # type: ignore[arg-type]

    monkeypatch.setattr(store_files, "_read_groups", spy)
    _, measures = next(iter(stream(dataset, labels=["chain.latency", "step.lost"])))
    assert set(measures.chain) == {"latency"}
    assert set(measures.step) == {"lost"}
    labels = {name for name in read if name.startswith("label_")}
    assert labels == {"label_chain_latency", "label_step_lost"}
    assert not {"deployment", "law_parameter", "everything"} & set(read)
    with pytest.raises(InvalidInputError, match="names must be labels such as chain.latency"):
        next(iter(stream(dataset, labels=["chain.lateness"])))


def test_a_part_of_a_split_is_streamed_alone(dataset: Dataset) -> None:
    chosen = np.flatnonzero(held_out(dataset.batch(), 0.4))
    assert 0 < len(chosen) < ROWS
    found = stream(dataset, choose=lambda batch: held_out(batch, 0.4))
    assert np.array_equal(np.concatenate([batch.key for batch, _ in found]), chosen)


def test_damage_is_found_while_streaming(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        copy.joinpath(file.name).write_bytes(file.read_bytes())
    path = copy / "part-00001.parquet"
    content = bytearray(path.read_bytes())
    groups = read_dataset(copy).shards[1].groups
    content[(groups[0].end + groups[1].end) // 2] ^= 8
    path.write_bytes(content)
    with pytest.raises(CorruptDataError, match=r"part-00001\.parquet, row group 1 is damaged"):
        list(stream(read_dataset(copy), seed=0))
