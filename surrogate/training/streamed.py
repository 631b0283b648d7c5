"""Training batches from data sets that do not fit into memory: some row groups at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from torch import distributed
from torch.utils.data import IterableDataset

from datagen.evaluation.exit_paths import ExitPaths
from datagen.store import Dataset
from surrogate.features.labels import READ_LABELS, Example, LabelTable

__all__ = ["StreamedDeployments"]


class StreamedDeployments(IterableDataset[Example]):
    """Shuffled batches of several stored data sets; memory holds one window of them.

    A window is made of row groups from all over the data sets, and its rows are shuffled; every
    pass orders both anew. What a window leaves over goes into the next one, so that a pass always
    has the same number of batches. Where several processes train one network, all read the same
    windows and take turns at their batches, so that a row is seen by one of them.

    Args:
        datasets: The data sets.
        batch_size: Deployments per batch, >= 1.
        groups: Row groups in a window, >= 1; a row group has at most 1,024 deployments.
        seed: Seed of the order.
    """

    def __init__(
        self, datasets: Sequence[Dataset], *, batch_size: int, groups: int, seed: int = 0
    ) -> None:
        super().__init__()
        self.datasets = list(datasets)
        self.batch_size = batch_size
        self.groups = groups
        self.seed = seed
        self.passes = 0

    def __len__(self) -> int:
        """Return the number of this process's batches; the last deployments may make none."""
        total = sum(len(dataset) for dataset in self.datasets) // self.batch_size
        return total // _place()[1]

    def __iter__(self) -> Iterator[Example]:
        rank, processes = _place()
        whole = len(self) * processes
        for table, rows in islice(self._batches(), rank, whole, processes):
            yield table.example(rows)

    def _batches(self) -> Iterator[tuple[LabelTable, np.ndarray]]:
        rng = np.random.default_rng([self.seed, self.passes])
        self.passes += 1
        rest: LabelTable | None = None
        for window in self._windows(rng):
            table = LabelTable.joined([rest, window] if rest is not None else [window])
            order = rng.permutation(len(table))
            whole = len(order) - len(order) % self.batch_size
            for first in range(0, whole, self.batch_size):
                yield table, order[first : first + self.batch_size]
            rest = table.select(order[whole:]) if whole < len(order) else None

    def _windows(self, rng: np.random.Generator) -> Iterator[LabelTable]:
        places = [
            (number, group)
            for number, dataset in enumerate(self.datasets)
            for group in dataset.row_groups()
        ]
        order = rng.permutation(len(places))
        for first in range(0, len(order), self.groups):
            chosen = [places[n] for n in order[first : first + self.groups]]
            tables = []
            for number, dataset in enumerate(self.datasets):
                rows = [np.array(group) for owner, group in chosen if owner == number]
                if rows:
                    tables.append(label_table(dataset, np.concatenate(rows)))
            yield LabelTable.joined(tables)


def _place() -> tuple[int, int]:
    """Number of this process among those that train together, and how many these are."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def label_table(dataset: Dataset, rows: np.ndarray) -> LabelTable:
    """Read deployments and the labels that training needs.

    Args:
        dataset: The data set.
        rows: Which deployments.

    Returns:
        Their table.
    """
    batch = dataset.batch(rows, laws=False)
    if ExitPaths.needed(batch):
        batch = dataset.batch(rows)
    return LabelTable(batch, dataset.measures(rows, READ_LABELS))
