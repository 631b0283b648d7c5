"""Parts of a campaign, put together, are the campaign."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from datagen.errors import CorruptDataError, InvalidInputError
from datagen.generate import generate
from datagen.store import read_dataset
from datagen.store.merge import merge_datasets
from datagen.store.validate import validate_dataset
from tests.datagen.generate.campaigns import CONFIG, ROWS, SEED, shards


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The whole data set, then its two parts."""
    base = tmp_path_factory.mktemp("parts")
    generate(base / "whole", CONFIG, num=ROWS, seed=SEED)
    for number in (1, 2):
        generate(base / str(number), CONFIG, num=ROWS, seed=SEED, part=(number, 2))
    return [base / "whole", base / "1", base / "2"]


def test_parts_together_are_the_whole(folders: list[Path], tmp_path: Path) -> None:
    whole, first, second = folders
    assert [len(read_dataset(part)) for part in (first, second)] == [7, 13]
    assert read_dataset(second).batch().key.tolist() == list(range(7, 20))
    validate_dataset(second)
    assert merge_datasets([second, first], tmp_path / "out") == ROWS
    assert shards(tmp_path / "out") == shards(whole)
    manifests = [json.loads((f / "manifest.json").read_text()) for f in (tmp_path / "out", whole)]
    runs = [manifest.pop("run") for manifest in manifests]
    assert [run["executor"] for run in runs[0]["merged"]] == ["local", "local"]
    assert manifests[0] == manifests[1]


def test_parts_that_do_not_fit_are_refused(folders: list[Path], tmp_path: Path) -> None:
    whole, first, second = folders
    generate(tmp_path / "other", CONFIG, num=ROWS, seed=SEED + 1, part=(2, 2))
    for parts, message in [
        ([first], "parts must be all 2 parts, each once, got parts='1/2'"),
        ([first, first], "each once, got parts='1/2, 1/2'"),
        ([first, tmp_path / "other"], "be parts of one data set; .* differs in seed"),
        ([first, whole], "each once|differs"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            merge_datasets(parts, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    for part in ((3, 2), (0, 2), (1, 4)):
        with pytest.raises(InvalidInputError, match="part must"):
            generate(tmp_path / "bad", CONFIG, num=ROWS, seed=SEED, part=part)
    damaged = tmp_path / "damaged"
    shutil.copytree(second, damaged)
    file = damaged / "part-00002.parquet"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(CorruptDataError, match="footer behind row group 0"):
        merge_datasets([first, damaged], tmp_path / "out")
