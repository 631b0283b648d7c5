"""The two ways to a labelled data set: draw deployments, or label given ones again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from datagen.documents import read_deployment, to_json
from datagen.errors import InvalidInputError, require
from datagen.evaluation.loads import unstable
from datagen.generate.campaign import run_campaign
from datagen.generate.config import GenerateConfig, options_document
from datagen.generate.sources import DatasetSource, DocumentSource, ScenarioSource, Source
from datagen.simulator import SimulationOptions
from datagen.simulator.standard_errors import INTERVAL_LEVEL
from datagen.store import Dataset, DatasetWriter, read_dataset

__all__ = ["generate", "simulate_dataset"]

ROWS_PER_SHARD = 4096
"""Rows per shard of a data set that is labelled again."""

Progress = Callable[[int], object]


def generate(
    out: str | Path,
    config: GenerateConfig,
    *,
    num: int,
    seed: int = 0,
    workers: int = 1,
    resume: bool = False,
    progress: Progress = lambda rows: None,
) -> Dataset:
    """Generate a labelled data set.

    Args:
        out: A new or empty folder, or with ``resume`` one of an unfinished run.
        config: What is drawn and how it is labelled.
        num: Number of deployments, >= 1.
        seed: Master seed, >= 0; row i depends on the seed, the configuration and i alone.
        workers: Worker processes, >= 1; they do not change a byte.
        resume: Whether to go on with an unfinished run.
        progress: Called with the number of rows just done.

    Returns:
        The data set.

    Raises:
        InvalidInputError: If an argument breaks its rule, or ``out`` holds something else.
    """
    for field, value, least in (("num", num, 1), ("seed", seed, 0), ("workers", workers, 1)):
        require(value >= least, field, f"be >= {least}", value)
    writer = DatasetWriter(
        folder=Path(out),
        rows=num,
        rows_per_shard=config.rows_per_shard,
        identity={"program": "datagen generate", "config": config.document(), "seed": seed},
        source="simulation",
        level=INTERVAL_LEVEL,
    )
    source = ScenarioSource(scenario=config.scenario, seed=seed)
    options = replace(config.simulation, seed=seed)
    run_campaign(source, options, writer, workers=workers, resume=resume, progress=progress)
    return read_dataset(out)


def simulate_dataset(
    given: str | Path,
    out: str | Path,
    options: SimulationOptions,
    *,
    workers: int = 1,
    progress: Progress = lambda rows: None,
) -> Dataset:
    """Label given deployments.

    Args:
        given: A data set, or a YAML file with one deployment.
        out: A new or empty folder.
        options: How to simulate.
        workers: Worker processes, >= 1; they do not change a byte.
        progress: Called with the number of rows just done.

    Returns:
        The data set of the same deployments with new labels.

    Raises:
        InvalidInputError: If an argument breaks its rule, or ``out`` holds something.
    """
    require(workers >= 1, "workers", "be >= 1", workers)
    source, rows, origin = _source(Path(given))
    writer = DatasetWriter(
        folder=Path(out),
        rows=rows,
        rows_per_shard=ROWS_PER_SHARD,
        identity={
            "program": "datagen simulate",
            "config": {"simulation": options_document(options), "deployments_sha256": origin},
            "seed": options.seed,
        },
        source="simulation",
        level=INTERVAL_LEVEL,
    )
    run_campaign(source, options, writer, workers=workers, progress=progress)
    return read_dataset(out)


# The last value is a hash that stands for the content, so that the manifest says what was labelled.
def _source(given: Path) -> tuple[Source, int, str]:
    if given.is_dir():
        dataset = read_dataset(given)
        hashes = "".join(shard["sha256"] for shard in dataset.manifest["shards"])
        origin = hashlib.sha256(hashes.encode()).hexdigest()
        return DatasetSource(path=given.resolve()), len(dataset), origin
    text = to_json(read_deployment(given))
    source = DocumentSource(text=text)
    if unstable(source.rows(range(1))[0]).any():
        rule = "keep devices of unlimited capacity below load 1"
        raise InvalidInputError("placement", rule, str(given))
    return source, 1, hashlib.sha256(text.encode()).hexdigest()
