from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from datagen.deployment import Deployment
from datagen.documents import to_json
from datagen.errors import CorruptDataError, InvalidInputError
from datagen.evaluation import Measures, pack
from datagen.evaluation.batch import BATCH_COLUMNS
from datagen.store import Dataset, DatasetWriter, read_dataset, table_of
from datagen.store import files as store_files
from datagen.store.files import read_shard
from datagen.store.schema import NEWER_LEVELS
from datagen.store.validate import validate_dataset
from tests.datagen.evaluation.test_packing import same
from tests.helpers import tandem

NEWER = [name for name, described in BATCH_COLUMNS.items() if described.absent is not None]
NEWER += [f"{level}_count" for level in NEWER_LEVELS]
DEPLOYMENTS = [tandem(0, 1, 0), tandem(0), tandem(2, 1, rate=4.0), tandem(0, 0, 1), tandem(1, 0)]


def measured(deployments: list[Deployment], *, reasons: bool = False) -> Measures:
    batch = pack(deployments)
    rng = np.random.default_rng(0)
    offered = np.floor(rng.uniform(10, 20, len(batch.chain_rate)))
    lost = np.floor(rng.uniform(0, 10, len(offered)))
    return Measures.of(
        batch,
        "simulation",
        deployment={"saturated": rng.uniform(size=len(batch)) > 0.5},
        chain={"offered": offered, "lost": lost, "completed": offered - lost},
        step={"sojourn": rng.uniform(size=len(batch.step_mean))},
        device={"utilization": rng.uniform(size=len(batch.device_speed))},
        reason=tuple(None if n % 2 else "why" for n in range(len(batch))) if reasons else None,
        level=0.95,
    )


def write(
    folder: Path,
    *,
    rows_per_shard: int = 2,
    reasons: bool = False,
    without: tuple[str, ...] = (),
) -> Measures:
    measures = measured(DEPLOYMENTS, reasons=reasons)
    texts = [to_json(deployment) for deployment in DEPLOYMENTS]
    table = table_of(pack(DEPLOYMENTS), measures, texts, np.arange(len(texts)))
    table = table.drop_columns(list(without))
    writer = DatasetWriter(
        folder=folder,
        rows=len(table),
        rows_per_shard=rows_per_shard,
        identity={"program": "test", "config": {}, "seed": 0},
        source="simulation",
        level=0.95,
    )
    for number in writer.open(resume=False):
        rows = writer.rows_of(number)
        writer.write(number, table.slice(rows.start, len(rows)))
    writer.close({"host": "test"})
    return measures


def test_what_was_not_told_apart_before_is_filled_in(tmp_path: Path) -> None:
    write(tmp_path / "set", without=tuple(NEWER))
    old = read_dataset(tmp_path / "set")
    assert same(old.batch(), replace(pack(DEPLOYMENTS), device_names=None, chain_names=None))
    assert old.batch([3, 1], laws=False).step_delay.tolist() == [0.0, 0.0, 0.0]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    write(tmp_path / "set")
    return read_dataset(tmp_path / "set")


def test_rows_come_back_exactly(dataset: Dataset) -> None:
    assert len(dataset) == 5
    expected = measured(DEPLOYMENTS)
    for row, deployment in enumerate(DEPLOYMENTS):
        read, measures = dataset[row]
        assert read == deployment
        assert measures[0].chains["c"].lost == expected[row].chains["c"].lost
        assert measures[0].saturated == expected[row].saturated
    assert dataset[-1][0] == DEPLOYMENTS[-1]
    with pytest.raises(IndexError):
        dataset[5]


@pytest.mark.parametrize("rows", [None, [0], [4, 0, 4, 2], np.array([3, 1])])
def test_batches_are_packed_deployments(dataset: Dataset, rows: list[int] | None) -> None:
    expected = pack(DEPLOYMENTS)
    if rows is not None:
        expected = expected.select(rows)
    read = dataset.batch(rows)
    assert read.device_names is None
    assert same(read, pack_without_names(expected))


def pack_without_names(batch: object) -> object:
    from dataclasses import replace

    return replace(batch, device_names=None, chain_names=None)  # type: ignore[type-var]


def test_models_do_not_read_laws(dataset: Dataset) -> None:
    batch = dataset.batch(laws=False)
    assert batch.fragment_start is None
    assert batch.law_parameter is None
    assert batch.chain_arrivals is None
    assert np.array_equal(batch.step_mean, pack(DEPLOYMENTS).step_mean)


@pytest.mark.parametrize("reasons", [False, True])
def test_measures_keep_their_layout(tmp_path: Path, reasons: bool) -> None:
    expected = write(tmp_path / "set", reasons=reasons)
    read = read_dataset(tmp_path / "set").measures()
    for level in ("deployment", "chain", "step", "device"):
        written = getattr(expected, level)
        assert {n for n, v in written.items() if not np.isnan(v).all()} <= set(getattr(read, level))
        for name in written:
            assert np.array_equal(getattr(read, level)[name], written[name]), name
    assert np.array_equal(read.step_start, expected.step_start)
    assert (read.source, read.level, read.reason) == ("simulation", 0.95, expected.reason)
    assert np.isnan(read.chain["latency"]).all()


def test_a_label_may_be_missing_from_one_shard(tmp_path: Path) -> None:
    deployments = [tandem(0), tandem(0, 1)]
    batch = pack(deployments)
    chain = {"latency": np.array([np.nan, 2.0])}
    table = table_of(
        batch,
        Measures.of(batch, "simulation", chain=chain),
        [to_json(d) for d in deployments],
        np.arange(2),
    )
    writer = DatasetWriter(
        folder=tmp_path, rows=2, rows_per_shard=1, identity={}, source="simulation"
    )
    for number in writer.open(resume=False):
        writer.write(number, table.slice(number, 1))
    dataset = read_dataset(tmp_path)
    assert np.array_equal(dataset.measures().chain["latency"], [np.nan, 2.0], equal_nan=True)
    assert np.array_equal(dataset.measures([1, 0]).chain["latency"], [2.0, np.nan], equal_nan=True)


def test_bad_rows_are_refused(dataset: Dataset) -> None:
    for rows in ([], [5], [-1]):
        with pytest.raises(InvalidInputError, match="indices must lie in"):
            dataset.batch(rows)


def test_bytes_do_not_depend_on_chunks(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b")
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


@pytest.mark.parametrize("cut", [0, 3, 100, -1, -20])
def test_a_truncated_shard_is_refused(tmp_path: Path, cut: int) -> None:
    write(tmp_path / "set")
    file = tmp_path / "set" / "part-00001.parquet"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(CorruptDataError, match=r"part-00001\.parquet"):
        read_dataset(tmp_path / "set").batch()


def test_a_flipped_bit_anywhere_is_found_and_located(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_files, "ROW_GROUP_ROWS", 2)
    write(tmp_path / "set", rows_per_shard=5)
    file = tmp_path / "set" / "part-00000.parquet"
    content = file.read_bytes()
    ends = [group.end for group in read_dataset(tmp_path / "set").shards[0].groups]
    assert len(ends) == 3
    rng = np.random.default_rng(0)
    for position in [0, *ends, len(content) - 1, *rng.integers(len(content), size=120).tolist()]:
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        group = int(np.searchsorted(ends, position, side="right"))
        place = f"row group {group} is damaged" if group < 3 else "footer behind row group 2 is dam"
        for read in (lambda path: read_dataset(path).batch(laws=False), validate_dataset):
            with pytest.raises(CorruptDataError, match=rf"part-00000\.parquet, .*{place}"):
                read(tmp_path / "set")  # type: ignore[no-untyped-call]


def test_older_manifests_have_no_hashes_of_row_groups(tmp_path: Path) -> None:
    write(tmp_path / "set", rows_per_shard=5)
    path = tmp_path / "set" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["shards"][0]["groups"]
    path.write_text(json.dumps(manifest))
    assert len(read_dataset(tmp_path / "set").batch()) == 5
    file = tmp_path / "set" / "part-00000.parquet"
    content = bytearray(file.read_bytes())
    content[5] ^= 1
    file.write_bytes(content)
    with pytest.raises(CorruptDataError, match=r"part-00000\.parquet"):
        read_dataset(tmp_path / "set").batch()


def test_rows_must_be_as_many_as_the_manifest_says(tmp_path: Path) -> None:
    write(tmp_path / "set", rows_per_shard=3)
    path = tmp_path / "set" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["shards"][0]["rows"], manifest["shards"][1]["rows"] = 2, 3
    path.write_text(json.dumps(manifest))
    dataset = read_dataset(tmp_path / "set")
    for read in (dataset.batch, dataset.measures, lambda: dataset[2]):
        with pytest.raises(CorruptDataError, match=r"\.parquet must have the [23] rows its man"):
            read()


def test_page_checksums_are_written_and_verified(tmp_path: Path) -> None:
    write(tmp_path / "set", rows_per_shard=5)
    file = tmp_path / "set" / "part-00000.parquet"
    group = pq.ParquetFile(file).metadata.row_group(0)
    first = group.column(1).data_page_offset
    content = bytearray(file.read_bytes())
    content[first + group.column(1).total_compressed_size // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(CorruptDataError, match="row group 0 is damaged"):
        read_shard(file)


def test_a_missing_shard_and_a_damaged_manifest_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"path must be a folder with a manifest\.json"):
        read_dataset(tmp_path)
    write(tmp_path / "set")
    manifest = tmp_path / "set" / "manifest.json"
    text = manifest.read_text()
    for damaged, error, message in [
        (text[:100], CorruptDataError, "must be JSON"),
        ("{}", CorruptDataError, "must hold schema_version"),
        ("\x00\xff", CorruptDataError, "must be JSON"),
        (
            text.replace('"schema_version": 1', '"schema_version": 99'),
            InvalidInputError,
            "schema_version must be 1, got schema_version=99",
        ),
        (text.replace('"rows": 5', '"rows": 6'), InvalidInputError, "rows must hold all of its 6"),
    ]:
        manifest.write_text(damaged)
        with pytest.raises(error, match=message):
            read_dataset(tmp_path / "set")
    manifest.write_text(text)
    (tmp_path / "set" / "part-00000.parquet").unlink()
    with pytest.raises(CorruptDataError, match=r"part-00000\.parquet is missing"):
        read_dataset(tmp_path / "set")
