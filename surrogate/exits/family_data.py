"""Training batches from many made-up networks: a few samples of each, and the truth of many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from datagen.errors import require
from datagen.exits.counts import count_exits
from surrogate.exits.draws import random_thresholds
from surrogate.exits.evidence import Samples
from surrogate.exits.examples import ExitExample, Outcomes, outcomes_of
from surrogate.exits.families import NetworkFamily

__all__ = ["FamilyData", "FamilyExamples"]

TRUTH_SAMPLES = 8_000
"""Samples that the truth is counted over: its standard error is below 0.6 %."""

MOST_SAMPLES = 400
"""Samples kept of each network, for evidence."""

VECTORS = 24
"""Vectors of thresholds per network."""

VALIDATION_BATCHES = 40
"""Batches per validation."""


@dataclass(frozen=True, kw_only=True)
class _Pool:
    """Networks with the same number of exits E: samples [G, n, E] and truth about vectors."""

    samples: Samples
    thresholds: Tensor
    truth: Outcomes


def _pool(family: NetworkFamily, exits: int, networks: int, seed: np.random.SeedSequence) -> _Pool:
    """Draw the networks of one number of exits."""
    kept, thresholds, counts = [], [], []
    for stream in seed.spawn(networks):
        rng = np.random.default_rng(stream)
        trace = family.draw(TRUTH_SAMPLES + MOST_SAMPLES, exits, rng)
        tau = random_thresholds(trace.confidences, VECTORS, rng)
        # Evidence is a part of the truth's samples, a small one.
        counts.append(count_exits(trace, tau))
        kept.append((trace.confidences[:MOST_SAMPLES], trace.correct[:MOST_SAMPLES]))
        thresholds.append(tau)
    confidences, correct = (
        torch.from_numpy(np.stack(values).astype(np.float32)) for values in zip(*kept, strict=True)
    )
    return _Pool(
        samples=Samples(confidences, correct),
        thresholds=torch.from_numpy(np.stack(thresholds)).float(),
        truth=outcomes_of(counts),
    )


class FamilyExamples(Dataset[ExitExample]):
    """Batches of networks with the same number of exits, each with a random number of samples.

    Every batch that is asked for is drawn anew.

    Args:
        pools: Networks by number of exits.
        networks: Networks per batch.
        batches: Batches per pass.
        fewest: Smallest number of samples of a network.
        seed: Seed of the draws.
    """

    def __init__(
        self, pools: list[_Pool], *, networks: int, batches: int, fewest: int, seed: int
    ) -> None:
        super().__init__()
        self.pools = pools
        self.networks = networks
        self.batches = batches
        self.fewest = fewest
        self.rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        """Return the number of batches in a pass."""
        return self.batches

    def __getitem__(self, index: int) -> ExitExample:
        return self._example(self.pools[self.rng.integers(len(self.pools))], self.rng)

    def _example(self, pool: _Pool, rng: np.random.Generator) -> ExitExample:
        total = len(pool.thresholds)
        chosen = torch.from_numpy(rng.choice(total, min(self.networks, total), replace=False))
        count = round(float(np.exp(rng.uniform(np.log(self.fewest), np.log(MOST_SAMPLES)))))
        part = torch.from_numpy(rng.choice(MOST_SAMPLES, count, replace=False))
        samples = Samples(*(values[chosen][:, part] for values in pool.samples))
        truth = Outcomes(*(values[chosen] for values in pool.truth))
        return ExitExample((pool.thresholds[chosen], samples), truth)


class FamilyData(lightning.LightningDataModule):
    """Batches from random networks.

    Args:
        family: Distribution of the networks.
        networks: Networks to draw for training, at least one per number of exits.
        validation_networks: Other ones to validate on.
        batch_networks: Networks per batch, >= 1.
        batches: Batches per epoch, >= 1.
        fewest: Smallest number of recorded samples given of a network, >= 2.
        seed: Seed of all draws.
    """

    def __init__(
        self,
        family: NetworkFamily,
        networks: int = 1150,
        validation_networks: int = 230,
        batch_networks: int = 8,
        batches: int = 300,
        fewest: int = 16,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in (
            ("networks", networks),
            ("validation_networks", validation_networks),
            ("batch_networks", batch_networks),
            ("batches", batches),
        ):
            require(value >= 1, name, "be >= 1", value)
        rule = f"lie in [2, {MOST_SAMPLES}]"
        require(2 <= fewest <= MOST_SAMPLES, "fewest", rule, fewest)
        self.family = family
        self.networks, self.validation_networks = networks, validation_networks
        self.batch_networks, self.batches = batch_networks, batches
        self.fewest = fewest
        self.seed = seed
        self._pools: list[list[_Pool]] = []

    def prepare(self, network: nn.Module) -> None:
        """Draw the networks.

        Args:
            network: Nothing of it depends on the data.
        """
        if self._pools:
            return
        low, high = self.family.exits
        sizes = list(range(low, high + 1))
        counts = (self.networks, self.validation_networks)
        for stream, count in zip(np.random.SeedSequence(self.seed).spawn(2), counts, strict=True):
            streams = stream.spawn(len(sizes))
            each = max(1, round(count / len(sizes)))
            self._pools.append([
                _pool(self.family, exits, each, item)
                for exits, item in zip(sizes, streams, strict=True)
            ])

    def train_dataloader(self) -> DataLoader[ExitExample]:
        return DataLoader(self._examples(self._pools[0], self.batches), batch_size=None)

    def val_dataloader(self) -> DataLoader[ExitExample]:
        drawn = self._examples(self._pools[1], VALIDATION_BATCHES)
        fixed: Any = [drawn[index] for index in range(len(drawn))]
        return DataLoader(fixed, batch_size=None)

    def _examples(self, pools: list[_Pool], batches: int) -> FamilyExamples:
        return FamilyExamples(
            pools,
            networks=self.batch_networks,
            batches=batches,
            fewest=self.fewest,
            seed=self.seed,
        )
