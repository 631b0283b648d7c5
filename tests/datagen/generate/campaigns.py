"""One small campaign that several tests run in different ways and compare byte by byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from datagen.generate import GenerateConfig, Task
from datagen.generate.sources import Source
from datagen.scenarios import Type1Scenario
from datagen.simulator import SimulationOptions
from datagen.store import DatasetWriter

ROWS, SEED = 20, 5

CONFIG = GenerateConfig(
    scenario=Type1Scenario(chains=(1, 2), length=(2, 3), pool=4),
    simulation=SimulationOptions(events=2e3),
    rows_per_shard=7,
)


def shards(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.glob("*.parquet"))}


def writer(folder: Path) -> DatasetWriter:
    """A writer of what ``generate(folder, CONFIG, num=ROWS, seed=SEED)`` would write."""
    return DatasetWriter(
        folder=folder,
        rows=ROWS,
        rows_per_shard=CONFIG.rows_per_shard,
        identity={"program": "datagen generate", "config": CONFIG.document(), "seed": SEED},
        source="simulation",
        level=0.95,
    )


def task(source: Source) -> Task:
    return Task(source=source, options=replace(CONFIG.simulation, seed=SEED))
