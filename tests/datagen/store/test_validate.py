from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datagen.documents import to_json
from datagen.errors import CorruptDataError
from datagen.evaluation import Measures, pack
from datagen.generate import GenerateConfig, generate
from datagen.scenarios import SCENARIOS
from datagen.simulator import SimulationOptions
from datagen.store import DatasetWriter, table_of
from datagen.store.validate import validate_dataset
from tests.helpers import tandem

DEPLOYMENTS = [tandem(0), tandem(0, 1)]
GOOD = {
    "chain": {
        "offered": [10.0, 20.0],
        "completed": [10.0, 15.0],
        "lost": [0.0, 5.0],
        "throughput_ratio": [1.0, 0.75],
        "loss_ratio": [0.0, 0.25],
        "p50": [1.0, 1.0],
        "p95": [2.0, np.nan],
        "accuracy_completed": [0.5, 0.9],
        "accuracy_offered": [0.5, 0.6],
    },
    "device": {"utilization": [0.1, 0.2, 1.0], "units": [1.0, 2.0, 5.0]},
    "step": {"offered": [10.0, 20.0, 15.0], "lost": [0.0, 5.0, 0.0]},
}


def write(folder: Path, level: str = "", name: str = "", value: float = 0.0) -> None:
    batch = pack(DEPLOYMENTS)
    content = {k: {n: np.array(v) for n, v in c.items()} for k, c in GOOD.items()}
    if level:
        content[level][name][1] = value
    measures = Measures.of(batch, "simulation", **content)  # type: ignore[arg-type]
    texts = [to_json(deployment) for deployment in DEPLOYMENTS]
    save(folder, table_of(batch, measures, texts, np.arange(2)))


def save(folder: Path, table: object) -> None:
    writer = DatasetWriter(
        folder=folder, rows=2, rows_per_shard=2, identity={}, source="simulation"
    )
    writer.open(resume=False)
    writer.write(0, table)  # type: ignore[arg-type]
    writer.close({})


def test_a_good_data_set_is_summed_up(tmp_path: Path) -> None:
    write(tmp_path)
    report = validate_dataset(tmp_path)
    assert (report["deployments"], report["chains"], report["shards"]) == (2, 2, 1)


@pytest.mark.parametrize(
    ("level", "name", "value", "message"),
    [
        ("chain", "lost", 4.0, "row 1: chain offered must be completed"),
        ("chain", "loss_ratio", 0.5, "row 1: chain loss_ratio must be 1 - throughput_ratio"),
        ("chain", "throughput_ratio", 1.5, "row 1: chain throughput_ratio must be <= 1"),
        ("chain", "p50", -1.0, "row 1: chain p50 must be >= 0"),
        ("chain", "p95", 0.5, "row 1: chain p95 must be >= p50"),
        ("chain", "p95", np.inf, "row 1: chain p95 must be finite"),
        ("device", "utilization", 1.1, "row 1: device utilization must be <= 1"),
        ("step", "lost", 50.0, "row 1: step lost must be <= offered"),
        ("step", "lost", 4.0, "row 1: chain lost must be what its steps lost"),
        ("step", "offered", 19.0, "row 1: chain offered must be what its first steps were offered"),
        ("chain", "completed", 21.0, "row 1: chain completed must be <= offered"),
        ("chain", "accuracy_completed", 0.3, "accuracy_completed must be >= accuracy_offered"),
        ("device", "units", 5.1, "row 1: device units must be <= capacity"),
    ],
)
def test_labels_obey_their_laws(
    tmp_path: Path, level: str, name: str, value: float, message: str
) -> None:
    write(tmp_path, level, name, value)
    with pytest.raises(CorruptDataError, match=message):
        validate_dataset(tmp_path)


def test_what_passes_a_step_arrives_at_the_next(tmp_path: Path) -> None:
    batch = pack(DEPLOYMENTS)
    step = {"offered": np.array([10.0, 20.0, 16.0]), "lost": np.array([0.0, 5.0, 0.0])}
    measures = Measures.of(batch, "simulation", step=step)
    texts = [to_json(deployment) for deployment in DEPLOYMENTS]
    save(tmp_path, table_of(batch, measures, texts, np.arange(2)))
    with pytest.raises(CorruptDataError, match="row 1: step offered must be at most what passed"):
        validate_dataset(tmp_path)


@pytest.mark.parametrize("name", SCENARIOS)
def test_simulated_labels_obey_every_law(tmp_path: Path, name: str) -> None:
    config = GenerateConfig(scenario=SCENARIOS[name](), simulation=SimulationOptions(events=3e3))
    generate(tmp_path / "set", config, num=30, seed=2)
    assert validate_dataset(tmp_path / "set")["deployments"] == 30


def test_rows_fit_their_documents_and_their_place(tmp_path: Path) -> None:
    batch = pack(DEPLOYMENTS)
    measures = Measures.of(batch, "simulation")
    texts = [to_json(deployment) for deployment in DEPLOYMENTS]
    cases = [
        (texts[::-1], [0, 1], "device_start|step_start|chain|device"),
        (texts, [1, 0], "must hold ascending rows from 0 on"),
        ([texts[0], "{}"], [0, 1], "row 1: devices must be given"),
    ]
    for number, (documents, index, message) in enumerate(cases):
        folder = tmp_path / str(number)
        save(folder, table_of(batch, measures, documents, np.array(index)))
        with pytest.raises(CorruptDataError, match=message):
            validate_dataset(folder)
