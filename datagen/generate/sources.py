"""Sources: where the deployments of a data set come from, row by row, in any process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from datagen.deployment import Deployment
from datagen.documents import from_json, to_json
from datagen.evaluation.batch import DeploymentBatch
from datagen.evaluation.packing import pack
from datagen.scenarios import Scenario
from datagen.store import Dataset, read_dataset

__all__ = ["DatasetSource", "DocumentSource", "ScenarioSource", "Source"]


class Source(ABC):
    """A sequence of deployments; a small value that travels to worker processes."""

    @abstractmethod
    def rows(self, rows: range) -> tuple[DeploymentBatch, list[str]]:
        """Return deployments.

        Args:
            rows: Their indices.

        Returns:
            Packed deployments whose keys are the indices, and the JSON of each.
        """


@dataclass(frozen=True, kw_only=True)
class ScenarioSource(Source):
    """Deployments drawn from a scenario.

    Args:
        scenario: The distribution.
        seed: Master seed.
    """

    scenario: Scenario
    seed: int

    def rows(self, rows: range) -> tuple[DeploymentBatch, list[str]]:
        """Draw deployments."""
        deployments = [self.scenario.sample(index, self.seed) for index in rows]
        return pack(deployments).with_key(np.array(rows)), [to_json(d) for d in deployments]


@lru_cache(maxsize=1)
def _opened(path: Path) -> Dataset:
    # One process reads one data set chunk by chunk: its files are verified once, not every time.
    return read_dataset(path)


@dataclass(frozen=True, kw_only=True)
class DatasetSource(Source):
    """Deployments of a data set, to be labelled again.

    Args:
        path: The data set.
        chosen: Positions of those that are, in the order they are numbered anew; None for all, as
            they are numbered there.
    """

    path: Path
    chosen: tuple[int, ...] | None = None

    def rows(self, rows: range) -> tuple[DeploymentBatch, list[str]]:
        """Read deployments."""
        dataset = _opened(self.path)
        if self.chosen is None:
            return dataset.batch(list(rows)), dataset.documents(list(rows))
        places = list(self.chosen[rows.start : rows.stop])
        batch = dataset.batch(places).with_key(np.array(rows))
        return batch, dataset.documents(places)


@dataclass(frozen=True, kw_only=True)
class DocumentSource(Source):
    """One deployment, given as JSON.

    Args:
        text: Its JSON.
    """

    text: str

    def rows(self, rows: range) -> tuple[DeploymentBatch, list[str]]:
        """Parse the deployment."""
        deployment = from_json(self.text)
        assert isinstance(deployment, Deployment)
        return pack([deployment] * len(rows)).with_key(np.array(rows)), [self.text] * len(rows)
