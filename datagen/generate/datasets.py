"""The two ways to a labelled data set: draw deployments, or label given ones again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from datagen.documents import read_deployment, to_json
from datagen.errors import InvalidInputError, require
from datagen.evaluation.loads import unstable
from datagen.generate.campaign import CampaignLimits, run_campaign
from datagen.generate.config import GenerateConfig, options_document
from datagen.generate.pool import LocalPool
from datagen.generate.sources import DatasetSource, DocumentSource, ScenarioSource, Source
from datagen.generate.work import Executor, InProcess, Task
from datagen.simulator import SimulationOptions
from datagen.simulator.standard_errors import INTERVAL_LEVEL
from datagen.store import Dataset, DatasetWriter, read_dataset
from datagen.store.manifest import WHOLE

__all__ = ["GENERATE", "SIMULATE", "generate", "local", "simulate_dataset"]

GENERATE = "datagen generate"
SIMULATE = "datagen simulate"
"""Programs that a manifest may name."""

ROWS_PER_SHARD = 4096
"""Rows per shard of a data set that is labelled again."""

Progress = Callable[[int], object]


def local(workers: int, timeout: float | None = None) -> Executor:
    """Return the executor of this machine.

    Args:
        workers: Processes, >= 1.
        timeout: Seconds that one deployment may take before its worker is killed, > 0, or None. A
            limit takes a process that can be killed, so with one the work never is done in this.

    Returns:
        The executor.

    Raises:
        InvalidInputError: If an argument breaks its rule.
    """
    require(workers >= 1, "workers", "be >= 1", workers)
    require(timeout is None or timeout > 0, "timeout", "be > 0", timeout)
    return InProcess() if workers == 1 and timeout is None else LocalPool(workers, timeout)


def generate(
    out: str | Path,
    config: GenerateConfig,
    *,
    num: int,
    seed: int = 0,
    workers: int = 1,
    resume: bool = False,
    part: tuple[int, int] = WHOLE,
    executor: Executor | None = None,
    limits: CampaignLimits | None = None,
    progress: Progress = lambda rows: None,
) -> Dataset:
    """Generate a labelled data set, or a part of one.

    Args:
        out: A new or empty folder, or with ``resume`` one of an unfinished run.
        config: What is drawn and how it is labelled.
        num: Number of deployments, >= 1.
        seed: Master seed, >= 0; row i depends on the seed, the configuration and i alone.
        workers: Worker processes, >= 1; they do not change a byte.
        resume: Whether to go on with an unfinished run.
        part: Which part of the shards to write, (1, n) being the first of n.
        executor: Where the work is done instead of in ``workers`` processes.
        limits: How to go about the work instead of as ``resume`` says.
        progress: Called with the number of rows just done.

    Returns:
        The data set, or the part.

    Raises:
        InvalidInputError: If an argument breaks its rule, or ``out`` holds something else.
        DatagenError: If the campaign cannot go on; what is finished is kept.
    """
    for field, value, least in (("num", num, 1), ("seed", seed, 0)):
        require(value >= least, field, f"be >= {least}", value)
    executor = executor or local(workers)
    writer = DatasetWriter(
        folder=Path(out),
        rows=num,
        rows_per_shard=config.rows_per_shard,
        identity={"program": GENERATE, "config": config.document(), "seed": seed},
        source="simulation",
        level=INTERVAL_LEVEL,
        part=part,
    )
    source = ScenarioSource(scenario=config.scenario, seed=seed)
    task = Task(source=source, options=replace(config.simulation, seed=seed))
    limits = limits or CampaignLimits(resume=resume)
    run_campaign(task, writer, executor, limits, progress)
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
    executor = local(workers)
    source, rows, origin = _source(Path(given))
    writer = DatasetWriter(
        folder=Path(out),
        rows=rows,
        rows_per_shard=ROWS_PER_SHARD,
        identity={
            "program": SIMULATE,
            "config": {"simulation": options_document(options), "deployments_sha256": origin},
            "seed": options.seed,
        },
        source="simulation",
        level=INTERVAL_LEVEL,
    )
    run_campaign(Task(source=source, options=options), writer, executor, progress=progress)
    return read_dataset(out)


# The last value is a hash that stands for the content, so that the manifest says what was labelled.
def _source(given: Path) -> tuple[Source, int, str]:
    if given.is_dir():
        dataset = read_dataset(given)
        hashes = "".join(shard.sha256 for shard in dataset.shards)
        origin = hashlib.sha256(hashes.encode()).hexdigest()
        return DatasetSource(path=given.resolve()), len(dataset), origin
    text = to_json(read_deployment(given))
    source = DocumentSource(text=text)
    if unstable(source.rows(range(1))[0]).any():
        rule = "keep devices of unlimited capacity below load 1"
        raise InvalidInputError("placement", rule, str(given))
    return source, 1, hashlib.sha256(text.encode()).hexdigest()
