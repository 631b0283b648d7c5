from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datagen.deployment import Variant
from datagen.documents import to_json
from datagen.errors import DatagenError, InvalidInputError
from datagen.generate import (
    CampaignLimits,
    Task,
    generate,
    local,
    run_campaign,
    simulate_dataset,
)
from datagen.generate.reproduce import reproduce
from datagen.generate.sources import DocumentSource, ScenarioSource
from datagen.generate.work import lost
from datagen.simulator import SimulationOptions, simulate_batch
from datagen.store import DatasetWriter, read_dataset
from datagen.store.split import topology_hash
from datagen.store.validate import validate_dataset
from tests.datagen.generate.campaigns import CONFIG, SEED, shards, task, writer
from tests.helpers import tandem


def test_a_generated_data_set_is_valid_and_says_what_it_is(whole: Path) -> None:
    assert validate_dataset(whole)["deployments"] == 20
    dataset = read_dataset(whole)
    assert dataset.manifest["config"] == CONFIG.document()
    assert dataset.manifest["seed"] == 5
    assert set(dataset.manifest["versions"]) == {
        "python",
        "numpy",
        "numba",
        "pyarrow",
        "edge-surrogate",
    }
    assert [shard["rows"] for shard in dataset.manifest["shards"]] == [7, 7, 6]
    assert dataset[11][0] == CONFIG.scenario.sample(11, 5)


def test_chunks_grow_with_the_run_up_to_a_limit() -> None:
    sizes = [CampaignLimits().chunk_of(rows) for rows in (1, 100, 1000, 20_000)]
    assert sizes == [16, 16, 31, 128]
    assert CampaignLimits(chunk_rows=3).chunk_of(20_000) == 3


def test_what_was_labelled_travels_whole() -> None:
    made = task(ScenarioSource(scenario=CONFIG.scenario, seed=SEED)).label(range(3, 5))
    arrived = pickle.loads(pickle.dumps(made))
    assert (arrived.rows, arrived.failed) == (made.rows, ())
    assert arrived.table.schema.equals(made.table.schema, check_metadata=True)
    assert repr(arrived.table.to_pylist()) == repr(made.table.to_pylist())  # NaN included
    none = lost(range(2), "too bad")
    assert pickle.loads(pickle.dumps(none)) == none


def test_a_row_is_the_simulation_of_its_deployment(whole: Path) -> None:
    dataset = read_dataset(whole)
    alone = simulate_batch(dataset.batch([13]), replace(CONFIG.simulation, seed=5))
    stored = dataset.measures([13])
    for name, values in alone.chain.items():
        assert np.array_equal(values, stored.chain[name], equal_nan=True), name


@pytest.mark.parametrize(("workers", "chunk_rows"), [(1, 3), (2, 2)])
def test_workers_and_chunks_change_no_byte(
    whole: Path, tmp_path: Path, workers: int, chunk_rows: int
) -> None:
    manifest = read_dataset(whole).manifest
    source = ScenarioSource(scenario=CONFIG.scenario, seed=SEED)
    limits = CampaignLimits(chunk_rows=chunk_rows)
    run_campaign(task(source), writer(tmp_path / "other"), local(workers), limits)
    assert shards(tmp_path / "other") == shards(whole)
    other = read_dataset(tmp_path / "other").manifest
    assert {k: v for k, v in other.items() if k != "run"} == {
        k: v for k, v in manifest.items() if k != "run"
    }


def test_resuming_gives_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    done = []

    def stop(rows: int) -> None:
        done.append(rows)
        if sum(done) > 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "set", CONFIG, num=20, seed=5, progress=stop)
    assert list(shards(tmp_path / "set")) == ["part-00000.parquet"]
    with pytest.raises(InvalidInputError, match="out must be a new or empty folder"):
        generate(tmp_path / "set", CONFIG, num=20, seed=5)
    for change in ({"seed": 6}, {"num": 21}):
        with pytest.raises(InvalidInputError, match="must resume with"):
            generate(tmp_path / "set", CONFIG, **{"num": 20, "seed": 5} | change, resume=True)
    generate(tmp_path / "set", CONFIG, num=20, seed=5, resume=True)
    assert shards(tmp_path / "set") == shards(whole)


def test_given_deployments_are_labelled_again(whole: Path, tmp_path: Path) -> None:
    options = SimulationOptions(events=1e3, seed=1)
    again = simulate_dataset(whole, tmp_path / "again", options)
    assert again.documents() == read_dataset(whole).documents()
    assert not np.array_equal(
        again.measures().chain["offered"], read_dataset(whole).measures().chain["offered"]
    )


def test_shapes_that_occur_elsewhere_are_left_out(whole: Path, tmp_path: Path) -> None:
    options = SimulationOptions(events=1e3, seed=1)
    dataset = read_dataset(whole)
    shapes = topology_hash(dataset.batch(laws=False))
    one = simulate_dataset(whole, tmp_path / "one", options)
    rest = np.flatnonzero(shapes != shapes[0])
    assert 0 < len(rest) < len(dataset)
    few = generate(tmp_path / "first", CONFIG, num=1, seed=5)
    assert few.documents() == dataset.documents([0])
    found = simulate_dataset(whole, tmp_path / "unseen", options, unseen_by=[tmp_path / "first"])
    assert found.documents() == dataset.documents(rest.tolist())
    assert found.keys().tolist() == list(range(len(rest)))
    assert reproduce(tmp_path / "unseen", 1).different == ()
    with pytest.raises(InvalidInputError, match="unseen_by must leave some deployment"):
        simulate_dataset(whole, tmp_path / "none", options, unseen_by=[tmp_path / "one"])
    assert len(one) == len(dataset)
    assert not (tmp_path / "none").exists()


def test_a_failure_before_the_first_shard_leaves_no_trace(tmp_path: Path) -> None:
    base = tandem(0)
    chain = base.problem.chains[0]
    small = Variant(name="small", fragments=chain.fragments, accuracy=0.5)
    chains = (replace(chain, variants=(small,)), *base.problem.chains[1:])
    varied = replace(base, problem=replace(base.problem, chains=chains))
    target = DatasetWriter(
        folder=tmp_path / "set", rows=1, rows_per_shard=1, identity={}, source="simulation"
    )
    source = DocumentSource(text=to_json(varied))
    with pytest.raises(DatagenError, match=r"1 deployments failed .* variants"):
        run_campaign(Task(source=source, options=SimulationOptions(events=100)), target, local(1))
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("field", ["num", "workers"])
def test_bad_numbers_are_refused(tmp_path: Path, field: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{field} must be >= 1, got {field}=0"):
        generate(tmp_path / "set", CONFIG, **{"num": 1} | {field: 0})
