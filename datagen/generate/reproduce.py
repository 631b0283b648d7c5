"""One row of a data set made again, bit for bit, from what its manifest says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from datagen.errors import InvalidInputError, require
from datagen.evaluation.measures import Measures
from datagen.generate.config import config_from_document, options_from_document
from datagen.generate.datasets import GENERATE, SIMULATE
from datagen.generate.sources import DatasetSource, ScenarioSource, Source
from datagen.simulator import simulate_batch
from datagen.store import Dataset, read_dataset, table_of
from datagen.store.files import same_column
from datagen.store.writer import versions

__all__ = ["Reproduction", "reproduce"]


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A row made again.

    Args:
        deployment: The deployment as JSON.
        measures: Its labels.
        different: Columns that are not what the data set holds, bit by bit; none where all are.
        versions: What differs from the versions that wrote the data set, as (then, now).
    """

    deployment: str
    measures: Measures
    different: tuple[str, ...]
    versions: dict[str, tuple[str | None, str]]


def reproduce(path: str | Path, index: int) -> Reproduction:
    """Make a row again.

    Args:
        path: The data set.
        index: The row, by the ``index`` it is stored with.

    Returns:
        The row and how it compares with the one stored.

    Raises:
        InvalidInputError: If there is no such row, or the labels were not simulated by ``datagen
            generate`` or ``datagen simulate``.
        CorruptDataError: If the data set is damaged.
    """
    dataset = read_dataset(path)
    position = _position(dataset, index)
    source, rows, options = _recipe(dataset, position)
    batch, documents = source.rows(rows)
    batch = batch.with_key(np.array([index]))
    measures = simulate_batch(batch, options)
    made = table_of(batch, measures, documents, np.array([index]))
    stored = dataset.table([position])
    different = tuple(
        name
        for name in stored.column_names
        if not same_column(stored[name], pa.chunked_array(made[name].chunks))
    )
    now, then = versions(), dataset.manifest.get("versions", {})
    changed = {name: (then.get(name), now[name]) for name in now if then.get(name) != now[name]}
    return Reproduction(
        deployment=documents[0], measures=measures, different=different, versions=changed
    )


def _position(dataset: Dataset, index: int) -> int:
    keys = dataset.keys()
    found = int(np.searchsorted(keys, index))
    is_there = found < len(keys) and int(keys[found]) == index
    require(is_there, "index", f"be a row of the data set, {keys[0]} to {keys[-1]}", index)
    return found


def _recipe(dataset: Dataset, position: int) -> tuple[Source, range, Any]:
    manifest = dataset.manifest
    program, seed = manifest.get("program"), int(manifest.get("seed") or 0)
    if program == GENERATE:
        config = config_from_document(manifest["config"])
        key = int(dataset.keys()[position])
        source = ScenarioSource(scenario=config.scenario, seed=seed)
        return source, range(key, key + 1), replace(config.simulation, seed=seed)
    if program == SIMULATE:
        options = options_from_document(manifest["config"]["simulation"])
        source_ = DatasetSource(path=dataset.path.resolve())
        return source_, range(position, position + 1), replace(options, seed=seed)
    raise InvalidInputError("path", f"be written by {GENERATE} or {SIMULATE}", program)
