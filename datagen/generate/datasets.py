"""The two ways to a labelled data set: draw deployments, or label given ones again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

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
from datagen.store.split import topology_hash

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
    unseen_by: Sequence[str | Path] = (),
    workers: int = 1,
    progress: Progress = lambda rows: None,
) -> Dataset:
    """Label given deployments.

    Args:
        given: A data set, or a YAML file with one deployment.
        out: A new or empty folder.
        options: How to simulate.
        unseen_by: Data sets; a deployment whose topology occurs in one of them is left out, so that
            a model trained on them has met none of the network shapes.
        workers: Worker processes, >= 1; they do not change a byte.
        progress: Called with the number of rows just done.

    Returns:
        The data set of the same deployments with new labels.

    Raises:
        InvalidInputError: If an argument breaks its rule, or ``out`` holds something.
    """
    executor = local(workers)
    source, rows, origin = _source(Path(given))
    config: dict[str, Any] = {"simulation": options_document(options), "deployments_sha256": origin}
    if unseen_by:
        named = isinstance(source, DatasetSource)
        require(named, "unseen_by", "be given with a data set", str(given))
        chosen = _unseen(read_dataset(given), [read_dataset(path) for path in unseen_by])
        require(len(chosen) > 0, "unseen_by", "leave some deployment", list(map(str, unseen_by)))
        source, rows = DatasetSource(path=Path(given).resolve(), chosen=chosen), len(chosen)
        config["chosen_sha256"] = hashlib.sha256(repr(chosen).encode()).hexdigest()
    writer = DatasetWriter(
        folder=Path(out),
        rows=rows,
        rows_per_shard=ROWS_PER_SHARD,
        identity={
            "program": SIMULATE,
            "config": config,
            "seed": options.seed,
        },
        source="simulation",
        level=INTERVAL_LEVEL,
    )
    run_campaign(Task(source=source, options=options), writer, executor, progress=progress)
    return read_dataset(out)


def _unseen(dataset: Dataset, others: Sequence[Dataset]) -> tuple[int, ...]:
    """Return the positions of the deployments whose topology occurs in no other data set."""
    seen = [topology_hash(other.batch(laws=False)) for other in others]
    new = ~np.isin(topology_hash(dataset.batch(laws=False)), np.concatenate(seen))
    return tuple(np.flatnonzero(new).tolist())


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
