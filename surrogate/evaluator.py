"""A trained network as an evaluator: deployments in, measures out, in large batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datagen.evaluation import DeploymentBatch, Effect, Evaluator, Expansion, Measures
from datagen.evaluation.effects import refuse_uncovered
from datagen.evaluation.exit_paths import ExitPaths
from datagen.evaluation.expansion import EXPANDED
from datagen.evaluation.loads import never_entered, unstable
from surrogate.checkpoints import Release, load_release
from surrogate.error_scale import Chains
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.features import Features
from surrogate.features.labels import QUANTILES
from surrogate.intervals import LEVEL
from surrogate.models import DeploymentNetwork, Prediction
from surrogate.models.latency_law import LatencyLaw
from surrogate.parallel import in_threads

__all__ = ["Pass", "SurrogateEvaluator", "load_surrogate", "passes"]

Columns = dict[str, NDArray[np.float64]]

Told = tuple[Columns, Columns, list[str | None]]
"""Columns of chains and of steps, and reasons for flags by deployment."""

BATCH = 1024
"""Most deployments per forward pass: enough to hide overheads, little enough to stay in cache."""

LEAST_STEPS = 768
"""Fewest steps per forward pass that are worth a second thread: with fewer, two threads mostly wait
for the interpreter that both need between their operations."""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What a network says of some deployments, before anything is made of it.

    Args:
        batch: The deployments.
        arrays: The same for the network.
        features: Their features.
        prediction: What is predicted.
    """

    batch: DeploymentBatch
    arrays: FlowArrays
    features: Features
    prediction: Prediction

    @classmethod
    def of(cls, network: DeploymentNetwork, batch: DeploymentBatch) -> Pass:
        """Predict deployments at once.

        Args:
            network: The network, in evaluation mode.
            batch: The deployments.

        Returns:
            What is said of them.
        """
        arrays = flow_arrays(batch)
        with torch.inference_mode():
            features = network.features(arrays)
            prediction = network.predict(arrays, features)
        return cls(batch=batch, arrays=arrays, features=features, prediction=prediction)


def passes(network: DeploymentNetwork, batch: DeploymentBatch) -> list[Pass]:
    """Predict, so many deployments at a time.

    Args:
        network: The network, in evaluation mode.
        batch: The deployments.

    Returns:
        What is said of them, in order.
    """
    return in_threads(lambda part: Pass.of(network, part), _parts(batch))


def _parts(batch: DeploymentBatch) -> list[DeploymentBatch]:
    """Cut a batch into parts for single forward passes, as many for each thread."""
    threads = max(1, min(torch.get_num_threads(), len(batch.step_mean) // LEAST_STEPS))
    count = min(threads * math.ceil(len(batch) / (BATCH * threads)), len(batch))
    if count <= 1:
        return [batch]
    return [batch.select(rows) for rows in np.array_split(np.arange(len(batch)), count)]


class SurrogateEvaluator(Evaluator):
    """Evaluates by a released network.

    Args:
        release: The loaded checkpoint.
        details: Whether intervals, ``in_distribution`` and reasons are wanted, too.
    """

    def __init__(self, release: Release, *, details: bool = True) -> None:
        self.release, self.details = release, details

    @property
    def name(self) -> str:
        """Name of the checkpoint."""
        return self.release.name

    def without_details(self) -> SurrogateEvaluator:
        return SurrogateEvaluator(self.release, details=False)

    @property
    def needs_laws(self) -> bool:  # type: ignore[override]
        """Whether exits are covered: the time of a part of a step takes those of its fragments."""
        return bool(self.release.coverage.effects & Effect.EXITS)

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        refuse_uncovered(self.name, self.release.coverage.effects, batch.effects)
        if self.release.coverage.effects & Effect.NPU and ExitPaths.needed(batch):
            return self._by_paths(ExitPaths.of(batch))
        if self.needs_laws and np.any(batch.effects & int(EXPANDED)):
            expansion = Expansion.of(batch)
            return expansion.collected(self.evaluate_batch(expansion.batch))
        return self._joined(batch, self._all_told(batch))

    def _all_told(self, batch: DeploymentBatch) -> list[Told]:
        network = self.release.network
        return in_threads(lambda part: self._told(Pass.of(network, part)), _parts(batch))

    def _by_paths(self, paths: ExitPaths) -> Measures:
        """Measure deployments whose every exit is a path; steps are not those of the origin."""
        chain, step, reasons = self._concatenated(self._all_told(paths.batch))
        completing = paths.batch.path_probability * paths.passed(step["passed"])
        chain |= paths.accuracies(completing)
        return self._measures(paths.origin, chain, {}, reasons)

    def measures(self, batch: DeploymentBatch, predicted: Iterable[Pass]) -> Measures:
        """Turn predictions into measures, with intervals and flags where details are wanted.

        Args:
            batch: The deployments.
            predicted: What :func:`passes` gave for them.

        Returns:
            Their measures.
        """
        return self._joined(batch, [self._told(part) for part in predicted])

    def _joined(self, batch: DeploymentBatch, parts: Sequence[Told]) -> Measures:
        """Join what is told of the parts of a batch."""
        return self._measures(batch, *self._concatenated(parts))

    @staticmethod
    def _concatenated(parts: Sequence[Told]) -> Told:
        chain = {name: np.concatenate([p[0][name] for p in parts]) for name in parts[0][0]}
        step = {name: np.concatenate([p[1][name] for p in parts]) for name in parts[0][1]}
        return chain, step, [reason for part in parts for reason in part[2]]

    def _told(self, part: Pass) -> Told:
        arrays, prediction = part.arrays, part.prediction
        chain = {
            name: getattr(prediction, name).numpy().astype(np.float64)
            for name in ("throughput_ratio", "loss_ratio", "latency", "latency_ratio")
        }
        reasons: list[str | None] = [None] * arrays.deployments
        with torch.inference_mode():
            chain |= _latency_law(part.batch, prediction.law)
            if self.details:
                reasons = self.release.coverage.reasons(arrays, part.features)
                described = Chains.of(arrays, part.features, prediction)
                chain |= _bounds(chain, self.release.intervals.bounds(described))
        step = {
            "sojourn_completed": prediction.step_sojourn,
            "passed": prediction.step_log_passed.exp(),
        }
        return chain, {name: _in_order(arrays, values) for name, values in step.items()}, reasons

    def _measures(
        self, batch: DeploymentBatch, chain: Columns, step: Columns, reasons: list[str | None]
    ) -> Measures:
        flags = {}
        if self.details:
            flags["in_distribution"] = np.array([reason is None for reason in reasons])
        chain["throughput"] = chain["throughput_ratio"] * batch.chain_rate
        step = {name: values for name, values in step.items() if name != "passed"}
        vain = np.bincount(batch.owner("step"), never_entered(batch), len(batch)) > 0
        for name, without, said in (
            ("unstable", unstable(batch), "an unlimited buffer has load >= 1"),
            ("deadlocked", vain, "jobs wait for room that a device never has"),
        ):
            if without.any():
                flags[name] = without
                reasons = [
                    said if flag else why for flag, why in zip(without, reasons, strict=True)
                ]
                for level, columns in (("chain", chain), ("step", step)):
                    for values in columns.values():
                        values[without[batch.owner(level)]] = np.nan
        return Measures.of(
            batch,
            "surrogate",
            deployment=flags,
            chain=chain,
            step=step,
            level=LEVEL,
            reason=tuple(reasons),
        )


def _in_order(arrays: FlowArrays, values: Tensor) -> NDArray[np.float64]:
    """Return values of steps in the order of the batch [S]."""
    ordered = np.empty(len(arrays.step_row))
    ordered[arrays.step_row.numpy()] = values.numpy()
    return ordered


def _latency_law(batch: DeploymentBatch, law: LatencyLaw) -> Columns:
    """Return quantiles of the latency, and the share of jobs in time where there are deadlines."""
    columns = law.log_quantiles.exp().double().unbind(-1)
    measures = {name: values.numpy() for name, values in zip(QUANTILES, columns, strict=True)}
    if np.isfinite(batch.chain_deadline).any():
        deadline = torch.from_numpy(batch.chain_deadline.astype(np.float32))
        measures["attainment"] = law.attainment(deadline).double().numpy()
    return measures


def _bounds(chain: Columns, targets: Mapping[str, tuple[Tensor, Tensor]]) -> Columns:
    """Return the bounds of all chain measures from those of the targets [C]."""
    found = {
        f"{name}_{end}": values.numpy().astype(np.float64)
        for name, pair in targets.items()
        for end, values in zip(("low", "high"), pair, strict=True)
    }
    # Losses are what is not passed, and latencies fall as their ratio rises.
    unloaded = chain["latency"] * chain["latency_ratio"]
    for end, other, beyond in (("low", "high", np.minimum), ("high", "low", np.maximum)):
        if "throughput_ratio" in targets:
            loss = 1.0 - found[f"throughput_ratio_{other}"]
            found[f"loss_ratio_{end}"] = beyond(loss, chain["loss_ratio"])
        if "latency_ratio" not in targets:
            continue
        ratio = found[f"latency_ratio_{other}"]
        latency = np.full_like(unloaded, np.inf)  # where nothing is said of the ratio
        np.divide(unloaded, ratio, out=latency, where=ratio > 0)
        found[f"latency_{end}"] = beyond(latency, chain["latency"])
    return found


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
