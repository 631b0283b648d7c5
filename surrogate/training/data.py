"""Batches for training, straight from stored data sets: no graph is ever built one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from datagen.errors import require
from datagen.evaluation import DeploymentBatch
from datagen.store import read_dataset
from surrogate.features.labels import Example, LabelTable
from surrogate.training.streamed import StreamedDeployments, label_table

__all__ = ["DeploymentData", "DeploymentDataset"]


class DeploymentDataset(Dataset[Example]):
    """Deployments of one stored data set; whole batches are gathered at once.

    Args:
        table: Deployments and labels.
        indices: Which of them.
    """

    def __init__(self, table: LabelTable, indices: np.ndarray) -> None:
        self.table = table
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Example:
        return self.table.example(self.indices[[index]])

    def __getitems__(self, indices: list[int]) -> Example:
        """Return one example that holds all the deployments asked for."""
        return self.table.example(self.indices[np.asarray(indices)])


def _identity(example: Any) -> Any:
    return example


class DeploymentData(lightning.LightningDataModule):
    """Training and validation batches from folders that ``datagen generate`` made.

    Args:
        train: Data set folders; their deployments are pooled.
        batch_size: Deployments per batch.
        validation: Folders to validate on, labelled more precisely than those to train on, or none:
            then the last part of every training folder is held out.
        calibration: Folders that intervals and flags of the released model are calibrated on, of
            network shapes that occur in no training folder (``datagen simulate --unseen-by``), or
            none: then on what is held out.
        validation_share: How large that part is, in (0, 1).
        limit: Largest number of deployments used of each folder, or None for all.
        window: Row groups (of at most 1,024 deployments) of the training folders that memory holds
            at a time, for what does not fit into it; None loads everything. Needs ``validation``.
        workers: Processes that gather batches; gathering is so fast that 0 is usually best.
    """

    def __init__(
        self,
        train: list[str],
        validation: list[str] | None = None,
        calibration: list[str] | None = None,
        batch_size: int = 256,
        validation_share: float = 0.05,
        limit: int | None = None,
        window: int | None = None,
        workers: int = 0,
    ) -> None:
        super().__init__()
        require(len(train) > 0, "train", "name at least one data set", train)
        require(batch_size >= 1, "batch_size", "be >= 1", batch_size)
        proper = 0 < validation_share < 1
        require(proper, "validation_share", "lie in (0, 1)", validation_share)
        if window is not None:
            require(window >= 1, "window", "be >= 1", window)
            named = bool(validation)
            require(named, "validation", "name data sets where window is given", validation)
            require(limit is None, "limit", "be absent where window is given", limit)
        apart = set(train).isdisjoint(validation or ())
        require(apart, "validation", "name no data set that is trained on", validation)
        unused = set(calibration or ()).isdisjoint({*train, *(validation or ())})
        rule = "name no data set that is trained or validated on"
        require(unused, "calibration", rule, calibration)
        self.train = train
        self.validation = validation or []
        self.calibration = calibration or []
        self.batch_size = batch_size
        self.validation_share = validation_share
        self.limit = limit
        self.window = window
        self.workers = workers
        self.tables: list[LabelTable] = []
        self.validation_tables: list[LabelTable] = []

    def setup(self, stage: str) -> None:
        if self.validation_tables or self.tables:
            return
        if self.window is None:
            self.tables = [self._table(folder) for folder in self.train]
        self.validation_tables = [self._table(folder) for folder in self.validation]

    def _table(self, folder: str) -> LabelTable:
        dataset = read_dataset(Path(folder))
        count = len(dataset) if self.limit is None else min(self.limit, len(dataset))
        indices = np.arange(count)
        return label_table(dataset, indices)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs to draw the batches that an unbroken one would."""
        return {"random_state": torch.get_rng_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the random numbers of the run that is resumed."""
        torch.set_rng_state(state_dict["random_state"].cpu())

    def _parts(self, held_out: bool) -> list[DeploymentDataset]:
        if self.validation:
            tables = self.validation_tables if held_out else self.tables
            return [DeploymentDataset(table, np.arange(len(table))) for table in tables]
        parts = []
        for table in self.tables:
            first = len(table) - max(1, round(self.validation_share * len(table)))
            indices = np.arange(first, len(table)) if held_out else np.arange(first)
            parts.append(DeploymentDataset(table, indices))
        return parts

    def held_out(self) -> list[tuple[str, np.ndarray]]:
        """Return the folders and the rows of each that errors are measured on."""
        parts, folders = self._parts(held_out=True), self.validation or self.train
        return [(folder, part.indices) for folder, part in zip(folders, parts, strict=True)]

    def train_batches(self) -> Iterator[DeploymentBatch]:
        """Return the deployments trained on.

        Yields:
            Batches of them, each deployment once.
        """
        if self.window is None:
            for part in self._parts(held_out=False):
                yield part.table.batch.select(part.indices)
            return
        for folder in self.train:
            dataset = read_dataset(folder)
            for first in range(0, len(dataset), _READ_ROWS):
                rows = np.arange(first, min(first + _READ_ROWS, len(dataset)))
                yield dataset.batch(rows, laws=False)

    def sample(self, count: int) -> LabelTable:
        """Return training deployments of all folders, evenly spread, to fit features on.

        Args:
            count: About how many.

        Returns:
            Their table; the same every time.
        """
        if self.window is None:
            parts = self._parts(held_out=False)
            share = count / sum(map(len, parts))
            chosen = [part.indices[_spread(len(part), round(share * len(part)))] for part in parts]
            pairs = zip(parts, chosen, strict=True)
            return LabelTable.joined([part.table.select(rows) for part, rows in pairs])
        datasets = [read_dataset(folder) for folder in self.train]
        share = count / sum(map(len, datasets))
        return LabelTable.joined([
            label_table(d, _spread(len(d), round(share * len(d)))) for d in datasets
        ])

    def train_dataloader(self) -> DataLoader[Example]:
        if self.window is not None:
            streamed = StreamedDeployments(
                [read_dataset(folder) for folder in self.train],
                batch_size=self.batch_size,
                groups=self.window,
            )
            return DataLoader(streamed, batch_size=None)
        pooled = _Pooled(self._parts(held_out=False))
        return self._loader(pooled, self.batch_size, shuffle=True)

    def val_dataloader(self) -> list[DataLoader[Example]]:
        return [
            self._loader(part, _EVALUATION_BATCH, shuffle=False)
            for part in self._parts(held_out=True)
        ]

    def _loader(
        self, dataset: Dataset[Example], batch_size: int, *, shuffle: bool
    ) -> DataLoader[Example]:
        return DataLoader(
            dataset,
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=shuffle and len(dataset) > batch_size,  # type: ignore[arg-type]
            collate_fn=_identity,
            num_workers=self.workers,
        )


def _spread(total: int, count: int) -> np.ndarray:
    """Return up to ``count`` rows of ``total``, evenly spread, at least one."""
    return np.linspace(0, total - 1, max(1, min(count, total))).astype(int)


_READ_ROWS = 65_536
"""Deployments read at a time where memory does not hold all."""

_EVALUATION_BATCH = 1024
"""Deployments per validation batch: no gradients, so memory allows many."""


class _Pooled(ConcatDataset[Example]):
    """Several data sets as one; a batch may hold deployments of all of them."""

    def __init__(self, parts: Sequence[DeploymentDataset]) -> None:
        super().__init__(parts)
        self.parts = list(parts)
        self.joint = LabelTable.joined([part.table for part in parts])
        offsets = np.cumsum([0] + [len(part.table) for part in parts])
        self.rows = np.concatenate([
            part.indices + offset for part, offset in zip(parts, offsets, strict=False)
        ])

    def __getitems__(self, indices: list[int]) -> Example:
        return self.joint.example(self.rows[np.asarray(indices)])
