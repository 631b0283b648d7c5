"""A trained network as an evaluator: deployments in, measures out, in large batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from datagen.evaluation import DeploymentBatch, Evaluator, Measures
from datagen.evaluation.effects import refuse_uncovered
from datagen.evaluation.loads import unstable
from surrogate.checkpoints import Release, load_release
from surrogate.error_scale import Chains
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.features import Features
from surrogate.intervals import LEVEL
from surrogate.models.readout import Prediction

__all__ = ["Pass", "SurrogateEvaluator", "load_surrogate", "passes"]

Columns = dict[str, NDArray[np.float64]]

BATCH = 1024
"""Deployments per forward pass: enough to fill two cores, little enough to stay in cache."""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What a network says of some deployments, before anything is made of it.

    Args:
        arrays: The deployments.
        features: Their features.
        prediction: What is predicted.
    """

    arrays: FlowArrays
    features: Features
    prediction: Prediction


def passes(network: nn.Module, batch: DeploymentBatch) -> Iterator[Pass]:
    """Predict, so many deployments at a time.

    Args:
        network: The network, in evaluation mode.
        batch: The deployments.

    Yields:
        What is said of them, in order.
    """
    chunks = [batch]
    if len(batch) > BATCH:
        rows = np.array_split(np.arange(len(batch)), -(-len(batch) // BATCH))
        chunks = [batch.select(chunk) for chunk in rows]
    for chunk in chunks:
        arrays = flow_arrays(chunk)
        with torch.inference_mode():
            features = network.features(arrays)  # type: ignore[operator]
            prediction = network.predict(arrays, features)  # type: ignore[operator]
        yield Pass(arrays=arrays, features=features, prediction=prediction)


class SurrogateEvaluator(Evaluator):
    """Evaluates by a released network.

    Args:
        release: The loaded checkpoint.
    """

    def __init__(self, release: Release) -> None:
        self.release = release

    @property
    def name(self) -> str:
        """Name of the checkpoint."""
        return self.release.name

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        refuse_uncovered(self.name, self.release.coverage.effects, batch.effects)
        return self.measures(batch, passes(self.release.network, batch))

    def measures(self, batch: DeploymentBatch, predicted: Iterable[Pass]) -> Measures:
        """Turn predictions into measures with intervals and flags.

        Args:
            batch: The deployments.
            predicted: What :func:`passes` gave for them.

        Returns:
            Their measures.
        """
        parts = [self._told(part) for part in predicted]
        chain = {name: np.concatenate([p[0][name] for p in parts]) for name in parts[0][0]}
        step = {name: np.concatenate([p[1][name] for p in parts]) for name in parts[0][1]}
        reasons = [reason for part in parts for reason in part[2]]
        flags = {"in_distribution": np.array([reason is None for reason in reasons])}
        return self._measures(batch, chain, step, flags, reasons)

    def _told(self, part: Pass) -> tuple[Columns, Columns, list[str | None]]:
        arrays, prediction = part.arrays, part.prediction
        with torch.inference_mode():
            reasons = self.release.coverage.reasons(arrays, part.features)
            bounds = self.release.intervals.bounds(Chains.of(arrays, part.features, prediction))
        chain = {
            name: getattr(prediction, name).numpy().astype(np.float64)
            for name in ("throughput_ratio", "loss_ratio", "latency", "latency_ratio")
        }
        for name, pair in bounds.items():
            for end, values in zip(("low", "high"), pair, strict=True):
                chain[f"{name}_{end}"] = values.numpy().astype(np.float64)
        # Losses are what is not passed, and latencies fall as their ratio rises.
        unloaded = chain["latency"] * chain["latency_ratio"]
        for end, other, beyond in (("low", "high", np.minimum), ("high", "low", np.maximum)):
            loss = 1.0 - chain[f"throughput_ratio_{other}"]
            chain[f"loss_ratio_{end}"] = beyond(loss, chain["loss_ratio"])
            ratio = chain[f"latency_ratio_{other}"]
            latency = np.full_like(unloaded, np.inf)  # where nothing is said of the ratio
            np.divide(unloaded, ratio, out=latency, where=ratio > 0)
            chain[f"latency_{end}"] = beyond(latency, chain["latency"])
        sojourn = np.empty(len(arrays.step_row))
        sojourn[arrays.step_row.numpy()] = prediction.step_sojourn.numpy()
        return chain, {"sojourn_completed": sojourn}, reasons

    @staticmethod
    def _measures(
        batch: DeploymentBatch,
        chain: Columns,
        step: Columns,
        flags: dict[str, NDArray[np.bool_]],
        reasons: list[str | None],
    ) -> Measures:
        chain["throughput"] = chain["throughput_ratio"] * batch.chain_rate
        without = unstable(batch)
        if without.any():
            flags["unstable"] = without
            said = "an unlimited buffer has load >= 1"
            reasons = [said if flag else why for flag, why in zip(without, reasons, strict=True)]
            owner = batch.owner("chain")
            for values in chain.values():
                values[without[owner]] = np.nan
            step["sojourn_completed"][without[batch.owner("step")]] = np.nan
        return Measures.of(
            batch,
            "surrogate",
            deployment=flags,
            chain=chain,
            step=step,
            level=LEVEL,
            reason=tuple(reasons),
        )


def load_surrogate(name_or_path: str | Path) -> SurrogateEvaluator:
    """Load a released surrogate.

    Args:
        name_or_path: Name of a shipped checkpoint (``chainnet``) or a checkpoint folder.

    Returns:
        An evaluator.

    Raises:
        CheckpointError: If it cannot be loaded.
    """
    return SurrogateEvaluator(load_release(name_or_path))
