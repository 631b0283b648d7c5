"""Measures by window in a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datagen.documents import to_json
from datagen.evaluation import Measures, pack
from datagen.simulator import SimulationOptions, simulate_batch
from datagen.store import Dataset, DatasetWriter, read_dataset, table_of
from datagen.store.validate import validate_dataset
from tests.datagen.simulator.test_estimation import queue, tandem

DEPLOYMENTS = [queue(1.2, None), tandem(), queue()]
OPTIONS = SimulationOptions(horizon=400.0, windows=4, replications=2)


def write(folder: Path, options: SimulationOptions) -> tuple[Dataset, Measures]:
    """A data set with one row per shard; the first one has no steady state, so no labels."""
    batch = pack(DEPLOYMENTS)
    measures = simulate_batch(batch, options)
    table = table_of(batch, measures, map(to_json, DEPLOYMENTS), np.arange(3))
    simulation = {} if options.windows is None else {"windows": options.windows}
    writer = DatasetWriter(
        folder=folder,
        rows=3,
        rows_per_shard=1,
        identity={"program": "test", "config": {"simulation": simulation}, "seed": 0},
        source="simulation",
        level=0.95,
    )
    for number in writer.open(resume=False):
        writer.write(number, table.slice(number, 1))
    writer.close({})
    return read_dataset(folder), measures


def test_windows_come_back_exactly(tmp_path: Path) -> None:
    dataset, measures = write(tmp_path / "set", OPTIONS)
    read = dataset.measures()
    assert read.windows == 4
    assert read.window.keys() == measures.window.keys()
    for name, values in measures.window.items():
        assert np.array_equal(read.window[name], values, equal_nan=True), name
    assert np.isnan(read.window["offered"]).tolist() == [True] * 4 + [False] * 12
    named = dataset[1][1][0].windows
    assert list(named) == ["x", "y"]
    assert [row.lost for row in named["y"]] == measures.window["lost"][8:12].tolist()
    some = dataset.measures([2, 0])
    assert np.array_equal(some.window["lost"][:4], measures.window["lost"][12:])
    assert validate_dataset(tmp_path / "set")["deployments"] == 3


def test_no_windows_take_no_room(tmp_path: Path) -> None:
    options = SimulationOptions(horizon=400.0, replications=2)
    dataset, _ = write(tmp_path / "set", options)
    assert not [name for name in dataset.label_names if "window" in name]
    assert dataset.measures().windows == 0
    assert dataset[1][1][0].windows == {"x": (), "y": ()}
