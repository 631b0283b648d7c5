"""One bad deployment is missed by nobody and ends nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datagen.errors import DatagenError
from datagen.generate import CampaignLimits, local, run_campaign
from datagen.generate.sources import ScenarioSource
from datagen.store import read_dataset
from datagen.store.validate import validate_dataset
from tests.datagen.generate.campaigns import CONFIG, ROWS, SEED, shards, task, writer
from tests.datagen.generate.sources import BadSource

GOOD = ScenarioSource(scenario=CONFIG.scenario, seed=SEED)


def bad(**rows: object) -> BadSource:
    return BadSource(scenario=CONFIG.scenario, seed=SEED, **rows)  # type: ignore[arg-type]


def test_failed_rows_are_listed_left_out_and_tried_again(whole: Path, tmp_path: Path) -> None:
    run_campaign(task(bad(raising=(3, 7, 8))), writer(tmp_path), local(1))
    dataset = read_dataset(tmp_path)
    assert [(row.index, row.error) for row in dataset.failed] == [
        (row, f"ArithmeticError: row {row} is odd") for row in (3, 7, 8)
    ]
    assert dataset.batch().key.tolist() == [row for row in range(ROWS) if row not in (3, 7, 8)]
    assert dataset[3][0] == CONFIG.scenario.sample(4, SEED)
    validate_dataset(tmp_path)
    # Resuming does not try again what failed; being told to, it makes the data set whole.
    run_campaign(task(GOOD), writer(tmp_path), local(1), CampaignLimits(resume=True))
    assert len(read_dataset(tmp_path).failed) == 3
    again = CampaignLimits(retry_failed=True)
    run_campaign(task(bad(raising=(8,))), writer(tmp_path), local(1), again)
    assert [row.index for row in read_dataset(tmp_path).failed] == [8]
    assert shards(tmp_path)["part-00000.parquet"] == shards(whole)["part-00000.parquet"]
    run_campaign(task(GOOD), writer(tmp_path), local(1), again)
    assert shards(tmp_path) == shards(whole)


def test_a_shard_of_failures_is_empty(whole: Path, tmp_path: Path) -> None:
    run_campaign(task(bad(raising=tuple(range(7, 14)))), writer(tmp_path), local(1))
    dataset = read_dataset(tmp_path)
    assert [len(dataset), dataset.shards[1].rows] == [13, 0]
    assert len(dataset.measures()) == 13
    validate_dataset(tmp_path)
    run_campaign(task(GOOD), writer(tmp_path), local(1), CampaignLimits(retry_failed=True))
    assert shards(tmp_path) == shards(whole)


@pytest.mark.parametrize(("most", "message"), [(2, "3 deployments failed and at most 2 may")])
def test_too_many_failures_end_the_run(tmp_path: Path, most: int, message: str) -> None:
    source = bad(raising=(9, 10, 15))
    limits = CampaignLimits(most_failures=most)
    with pytest.raises(DatagenError, match=f"{message}; the first, 9: ArithmeticError: row 9"):
        run_campaign(task(source), writer(tmp_path), local(1), limits)
    assert sorted(shards(tmp_path)) == ["part-00000.parquet", "part-00001.parquet"]
    # The failures of before count: resuming gets no further.
    with pytest.raises(DatagenError, match=message):
        run_campaign(
            task(source),
            writer(tmp_path),
            local(1),
            CampaignLimits(resume=True, most_failures=most),
        )


def test_a_small_run_tolerates_ten_and_a_large_one_a_hundredth() -> None:
    limits = CampaignLimits()
    assert [limits.failures_of(rows) for rows in (1, 5, 20, 10_000)] == [0, 4, 10, 100]


def test_dead_and_hanging_workers_are_replaced(whole: Path, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    source = bad(killing=(2, 12), hanging=(6,), once=marks)
    run_campaign(task(source), writer(tmp_path / "set"), local(2, timeout=1.0))
    assert len(list(marks.iterdir())) == 3
    assert shards(tmp_path / "set") == shards(whole)


def test_what_always_kills_its_worker_is_given_up(whole: Path, tmp_path: Path) -> None:
    run_campaign(task(bad(killing=(12,))), writer(tmp_path), local(2))
    dataset = read_dataset(tmp_path)
    assert [(row.index, row.error) for row in dataset.failed] == [
        (12, "its worker process died, 3 times")
    ]
    assert len(dataset) == ROWS - 1
    run = json.loads((tmp_path / "manifest.json").read_text())["run"]
    assert (run["executor"], run["workers"]) == ("local", 2)
    run_campaign(task(GOOD), writer(tmp_path), local(1), CampaignLimits(retry_failed=True))
    assert shards(tmp_path) == shards(whole)
