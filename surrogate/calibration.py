"""Calibration of intervals on deployments of network shapes that no training saw.

Labels are uncertain, too. Where their noise is no longer small beside the errors of predictions,
intervals would promise how close predictions come to simulations of that length, not to the truth;
so the noise is measured, and said where it is too large.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datagen.errors import require
from datagen.evaluation import DeploymentBatch, Measures
from datagen.evaluation.exit_paths import ExitPaths
from datagen.store import read_dataset
from datagen.store.split import topology_hash
from surrogate.error_scale import Chains
from surrogate.errors import CalibrationWarning
from surrogate.evaluator import Pass, passes
from surrogate.intervals import Intervals, crossed_coverage
from surrogate.models import DeploymentNetwork
from surrogate.targets import TARGETS

__all__ = [
    "Labelled",
    "fit_intervals",
    "fitted_coverage",
    "label_noise",
    "require_unseen",
    "warn_of_noise",
]

MOST_NOISE = 0.2
"""Largest label noise over the error of predictions: adding independent noise of a fifth to an
error makes it 2 % larger."""

MEAN_NORMAL = math.sqrt(2.0 / math.pi)
"""Mean distance of a normal variable from its mean, in standard deviations."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Labelled deployments with what a network says of them, read and predicted once.

    Args:
        path: Folder of their data set.
        batch: The deployments, every exit as a path.
        labels: Their labels.
        passed: The network's predictions.
    """

    path: Path
    batch: DeploymentBatch
    labels: Measures
    passed: tuple[Pass, ...]

    @classmethod
    def read(
        cls, path: str | Path, network: DeploymentNetwork, indices: NDArray[np.int64] | None = None
    ) -> Labelled:
        """Read and predict.

        Args:
            path: Folder of a data set.
            network: The network, in evaluation mode.
            indices: Which rows, or None for all.

        Returns:
            The labelled deployments.
        """
        dataset = read_dataset(path)
        rows = np.arange(len(dataset)) if indices is None else indices
        batch = dataset.batch(rows, laws=False)
        if ExitPaths.needed(batch):
            batch = ExitPaths.of(dataset.batch(rows)).batch
        return cls(
            path=Path(path),
            batch=batch,
            labels=dataset.measures(rows),
            passed=tuple(passes(network, batch)),
        )

    @property
    def name(self) -> str:
        """Name of the data set's folder."""
        return self.path.name

    def true(self, target: str) -> Floats:
        """Return the labels of a target.

        Args:
            target: Name of a measure of chains.

        Returns:
            Labels [C]; NaN where undefined, cut short or not measured.
        """
        unknown = np.full(len(self.batch.chain_rate), np.nan)
        values = np.array(self.labels.chain.get(target, unknown), dtype=np.float64)
        truncated = np.asarray(self.labels.deployment["truncated"], dtype=bool)
        values[truncated[self.batch.owner("chain")]] = np.nan
        return values

    def chains(self) -> Chains:
        """Return what intervals depend on, of every chain."""
        return Chains.joined([
            Chains.of(part.arrays, part.features, part.prediction) for part in self.passed
        ])


def require_unseen(sets: Sequence[Labelled], training: Iterable[DeploymentBatch]) -> None:
    """Refuse calibration on network shapes that were trained on.

    Args:
        sets: What intervals are calibrated on.
        training: All deployments trained on, in parts.

    Raises:
        InvalidInputError: If a topology is on both sides.
    """
    own = {part.name: topology_hash(part.batch) for part in sets}
    common = dict.fromkeys(own, 0)
    for batch in training:
        seen = np.unique(topology_hash(batch))
        for name, hashes in own.items():
            common[name] += int(np.isin(hashes, seen).sum())
    for name, count in common.items():
        rule = "hold no topology that was trained on (datagen simulate --unseen-by)"
        require(count == 0, "calibration", rule, f"{name} with {count} such deployments")


def fit_intervals(sets: Sequence[Labelled]) -> Intervals:
    """Calibrate intervals.

    Args:
        sets: Labelled deployments.

    Returns:
        The intervals.
    """
    return Intervals.fit(*_joined(sets))


def fitted_coverage(sets: Sequence[Labelled]) -> dict[str, dict[str, float | None]]:
    """Tell what intervals are worth that are calibrated so.

    Args:
        sets: Labelled deployments.

    Returns:
        As :func:`~surrogate.intervals.crossed_coverage` says.
    """
    return crossed_coverage(*_joined(sets))


def _joined(sets: Sequence[Labelled]) -> tuple[Chains, dict[str, Tensor]]:
    """Return the chains of all sets, and target -> labels [C]."""
    true = {
        name: torch.from_numpy(np.concatenate([part.true(name) for part in sets])).float()
        for name in TARGETS
    }
    return Chains.joined([part.chains() for part in sets]), true


def label_noise(part: Labelled) -> dict[str, float | None]:
    """Compare the noise of labels with the errors of predictions.

    Args:
        part: Labelled deployments.

    Returns:
        Target -> mean size of the noise over the mean error, both absolute; None where standard
        errors are unknown.
    """
    predicted = part.chains().predicted
    found: dict[str, float | None] = {}
    for name, target in TARGETS.items():
        noise = MEAN_NORMAL * target.standard_error(part.labels)
        error = np.abs(predicted[name].double().numpy() - part.true(name))
        known = np.isfinite(noise) & np.isfinite(error)
        total = float(error[known].sum())
        found[name] = float(noise[known].sum()) / total if total > 0 else None
    return found


def warn_of_noise(name: str, noise: dict[str, float | None]) -> None:
    """Warn of labels that are too noisy to calibrate on.

    Args:
        name: The data set.
        noise: What :func:`label_noise` gave for it.
    """
    for target, ratio in noise.items():
        if ratio is not None and ratio > MOST_NOISE:
            warnings.warn(
                f"{name}: the noise of {target} labels is {ratio:.2f} of the error of predictions, "
                f"more than {MOST_NOISE}; intervals come out too wide.",
                CalibrationWarning,
                stacklevel=2,
            )
