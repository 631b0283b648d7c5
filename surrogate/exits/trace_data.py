"""Training batches from the trace of one network: random thresholds, in mixtures of contexts."""

from __future__ import annotations

from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datagen.errors import require
from datagen.exits import ExitTrace
from datagen.exits.counts import count_exits
from surrogate.exits.draws import random_thresholds
from surrogate.exits.examples import ExitExample, Outcomes, outcomes_of
from surrogate.exits.tables import ConfidenceTable, table_of
from surrogate.exits.trace_network import TraceNet

__all__ = ["TraceData", "TraceVectors"]

MIXTURES = 64
"""Mixtures of contexts in a batch."""

PURE, EVEN = 0.5, 0.1
"""Share of mixtures that are one context, and all contexts evenly; the others are random."""

VALIDATION_BATCH = 1024
"""Vectors per validation batch."""


class TraceVectors(Dataset[ExitExample]):
    """Vectors of thresholds, and what became of the samples of a trace under them.

    Args:
        trace: The trace.
        table: Its confidence table.
        thresholds: Vectors of thresholds [V, E - 1].
        contexts: Contexts that mixtures are made of.
        seed: Seed of the mixtures.
    """

    def __init__(
        self,
        trace: ExitTrace,
        table: ConfidenceTable,
        thresholds: NDArray[np.float64],
        contexts: list[int],
        seed: int,
    ) -> None:
        self.table = ConfidenceTable(*(values.float() for values in table))
        self.thresholds = torch.from_numpy(thresholds).float()
        known: list[int | None] = [None] if trace.contexts == 0 else list(range(trace.contexts))
        self.outcomes = outcomes_of([count_exits(trace, thresholds, k) for k in known])
        self.contexts = contexts
        self.rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self.thresholds)

    def __getitem__(self, index: int) -> ExitExample:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> ExitExample:
        """Return one example that holds all the vectors asked for, each in a random mixture."""
        shares = self._mixtures()
        row = torch.from_numpy(self.rng.integers(len(shares), size=len(indices)))
        weights = shares[row]  # [B, C]
        truth = Outcomes(
            *(torch.einsum("bc,cbe->be", weights, values[:, indices]) for values in self.outcomes)
        )
        inputs = (self.thresholds[indices], row, self.table.mixed(shares))
        return ExitExample(inputs, truth)

    def _mixtures(self) -> Tensor:
        """Return random mixtures of the contexts [R, C]."""
        count = len(self.contexts)
        drawn = self.rng.dirichlet(np.full(count, 0.5), MIXTURES)
        kind = self.rng.random(MIXTURES)
        pure = np.eye(count)[self.rng.integers(count, size=MIXTURES)]
        drawn = np.where((kind < PURE)[:, None], pure, drawn)
        drawn[kind >= 1.0 - EVEN] = 1.0 / count
        shares = np.zeros((MIXTURES, len(self.table.right)))
        shares[:, self.contexts] = drawn
        return torch.from_numpy(shares).float()


def _identity(example: Any) -> Any:
    return example


class TraceData(lightning.LightningDataModule):
    """Batches from a calibration trace.

    Args:
        trace: File of the trace, see :mod:`datagen.exits.files`.
        test: File of a trace of other samples, which the released model is judged by, or none.
        vectors: Vectors of thresholds to train on, >= 1.
        validation_vectors: Other ones to validate on, >= 1, with the same samples.
        batch_size: Vectors per batch, >= 1.
        unseen_contexts: Contexts to leave out of training; the network knows their confidence
            tables, but none of their outcomes.
        seed: Seed of thresholds and mixtures.
    """

    def __init__(
        self,
        trace: str,
        test: str | None = None,
        vectors: int = 65536,
        validation_vectors: int = 4096,
        batch_size: int = 512,
        unseen_contexts: list[int] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in (
            ("vectors", vectors),
            ("validation_vectors", validation_vectors),
            ("batch_size", batch_size),
        ):
            require(value >= 1, name, "be >= 1", value)
        self.trace, self.test = trace, test
        self.vectors, self.validation_vectors = vectors, validation_vectors
        self.batch_size = batch_size
        self.unseen_contexts = list(unseen_contexts or [])
        self.seed = seed
        self._parts: list[TraceVectors] = []

    def prepare(self, network: TraceNet) -> None:
        """Read the trace and give the network its confidence table.

        Args:
            network: Made for as many exits and contexts as the trace has.

        Raises:
            InvalidInputError: If it is made for others.
        """
        trace = ExitTrace.load(self.trace)
        contexts = max(trace.contexts, 1)
        settings = network.settings
        for name, got in (("exits", trace.exits), ("contexts", contexts)):
            require(settings[name] == got, name, f"be {got} as in {self.trace}", settings[name])
        seen = [number for number in range(contexts) if number not in self.unseen_contexts]
        rule = f"lie in [0, {contexts}) and leave some"
        proper = bool(seen) and all(0 <= k < contexts for k in self.unseen_contexts)
        require(proper, "unseen_contexts", rule, self.unseen_contexts)
        table = table_of(trace, settings["knots"])
        network.set_table(table)
        counts = (self.vectors, self.validation_vectors)
        streams = np.random.SeedSequence(self.seed).spawn(len(counts))
        self._parts = [
            TraceVectors(
                trace,
                table,
                random_thresholds(trace.confidences, count, np.random.default_rng(stream)),
                seen,
                self.seed,
            )
            for count, stream in zip(counts, streams, strict=True)
        ]

    def train_dataloader(self) -> DataLoader[ExitExample]:
        return DataLoader(
            self._parts[0],
            batch_size=self.batch_size,
            shuffle=True,
            collate_fn=_identity,
        )

    def val_dataloader(self) -> DataLoader[ExitExample]:
        return DataLoader(self._parts[1], batch_size=VALIDATION_BATCH, collate_fn=_identity)
