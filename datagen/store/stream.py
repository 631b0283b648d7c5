"""Reading a data set that does not fit into memory: some row groups at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.evaluation.batch import DeploymentBatch
from datagen.evaluation.measures import Measures
from datagen.store.reader import Dataset

__all__ = ["stream"]

Chooser = Callable[[DeploymentBatch], NDArray[np.bool_]]


def stream(
    dataset: Dataset,
    *,
    groups: int = 1,
    seed: int | None = None,
    labels: Collection[str] | None = None,
    laws: bool = False,
    choose: Chooser | None = None,
) -> Iterator[tuple[DeploymentBatch, Measures]]:
    """Read a data set window by window; every row comes once.

    Memory holds one window. With a seed, each window is made of row groups from all over the data
    set, which is nearly as good as shuffling all rows once the rows of a window are shuffled too.

    Args:
        dataset: The data set.
        groups: Row groups in a window, >= 1; a row group has at most 1,024 rows.
        seed: Seed of the order of row groups, another for every epoch; None for the stored order.
        labels: Labels to read, such as ``chain.latency``; None for all.
        laws: Whether the laws that simulation draws from are read too.
        choose: Tells which deployments to keep [B], for instance those of one part of a split; None
            for all.

    Yields:
        The deployments of a window, whose keys are their stored indices, and their labels.

    Raises:
        CorruptDataError: If a shard is damaged.
    """
    require(groups >= 1, "groups", "be >= 1", groups)
    stored = dataset.row_groups()
    order = np.arange(len(stored))
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(stored))
    for first in range(0, len(order), groups):
        rows = np.concatenate([np.array(stored[n]) for n in order[first : first + groups]])
        batch = dataset.batch(rows, laws=laws)
        if choose is not None:
            kept = np.flatnonzero(choose(batch))
            if len(kept) == 0:
                continue
            batch, rows = batch.select(kept), rows[kept]
        yield batch, dataset.measures(rows, labels)
