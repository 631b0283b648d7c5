"""Released exit predictors: arrays of thresholds in, exit mixes, accuracy and confidence out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from datagen.errors import require
from datagen.exits import ExitTrace
from datagen.exits.counts import checked_thresholds, samples_in
from surrogate.errors import CheckpointError
from surrogate.exits.few_shot_network import AdaptedNet, FewShotNet
from surrogate.exits.prediction import ExitPrediction
from surrogate.exits.tables import ConfidenceTable
from surrogate.exits.trace_network import TraceNet
from surrogate.folders import described, located, metrics_of, weights_of, write_folder

__all__ = [
    "EXIT_MODELS",
    "AdaptedPredictor",
    "ExitEstimates",
    "ExitPredictor",
    "FewShotPredictor",
    "TracePredictor",
    "load_exit_predictor",
    "save_exit_predictor",
]

Forward = Callable[[Tensor, slice], ExitPrediction]
"""Predicts for a part of the vectors: their thresholds [B, E - 1], and which they are."""

SCHEMA = 1
"""Version of the description of an exit predictor."""

BATCH = 512
"""Vectors per forward pass: what they need at a time stays in the processor's cache."""

EXIT_MODELS: dict[str, type[TraceNet] | type[FewShotNet]] = {
    "exit-trace": TraceNet,
    "exit-few-shot": FewShotNet,
}
"""Classes a released exit predictor may name. Loading looks up a name here and imports none."""


@dataclass(frozen=True, kw_only=True)
class ExitEstimates:
    """Predictions for B vectors of thresholds of a network with E exits.

    Args:
        mix: Share of the samples that leaves at each exit [B, E]; rows sum to 1.
        accuracy: Share of right answers of those who leave there [B, E].
        confidence: Their mean confidence [B, E].
    """

    mix: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    confidence: NDArray[np.float64]

    @property
    def overall_accuracy(self) -> NDArray[np.float64]:
        """Share of right answers among all samples [B]."""
        return np.asarray((self.mix * self.accuracy).sum(axis=1))


class ExitPredictor:
    """Predicts for one network by a torch module from thresholds [B, E] to a prediction.

    Args:
        exits: Number of exits E of the network.
    """

    def __init__(self, exits: int) -> None:
        self.exits = exits

    def _estimates(self, thresholds: ArrayLike, predict: Forward) -> ExitEstimates:
        """Predict in parts that are small enough, in double precision at the end."""
        tau = torch.from_numpy(checked_thresholds(thresholds, self.exits)).float()
        parts: list[ExitPrediction] = []
        with torch.inference_mode():
            for first in range(0, max(len(tau), 1), BATCH):
                chosen = slice(first, first + BATCH)
                parts.append(predict(tau[chosen], chosen))
        names = ("mix", "accuracy", "confidence")
        return ExitEstimates(**{
            name: torch.cat([getattr(part, name) for part in parts]).double().numpy()
            for name in names
        })


class TracePredictor(ExitPredictor):
    """Predicts for the network that a :class:`TraceNet` was trained on.

    Args:
        name: Name of the checkpoint.
        network: The trained network: a torch module from thresholds [B, E] and contexts [B] to
            :class:`ExitPrediction`, differentiable in the thresholds.
        metrics: Errors measured when it was released.
    """

    def __init__(self, name: str, network: TraceNet, metrics: dict[str, Any]) -> None:
        super().__init__(network.exits)
        self.name = name
        self.network = network
        self.metrics = metrics

    @property
    def contexts(self) -> int:
        """Number of contexts of the network."""
        return self.network.contexts

    def predict(self, thresholds: ArrayLike, context: ArrayLike | None = None) -> ExitEstimates:
        """Predict who leaves where.

        Args:
            thresholds: One threshold per intermediate classifier, or one per exit with 0 for the
                final one [B, E - 1] or [B, E]; finite, >= 0; above 1 closes the exit.
            context: Context of all vectors, or of each [B]; all contexts evenly by default.

        Returns:
            Estimates for B vectors.

        Raises:
            InvalidInputError: If thresholds or contexts are out of range or of wrong length.
        """
        if context is None:
            return self.predict_mixture(thresholds, np.full(self.contexts, 1.0 / self.contexts))
        count = len(checked_thresholds(thresholds, self.exits))
        return self._compiled(thresholds, self._rows(context, count))

    def predict_mixture(self, thresholds: ArrayLike, shares: ArrayLike) -> ExitEstimates:
        """Predict who leaves where when samples of several contexts come.

        Args:
            thresholds: As in :meth:`predict`.
            shares: Share of each context [C], >= 0; they sum to 1.

        Returns:
            Estimates for B vectors.

        Raises:
            InvalidInputError: If thresholds or shares are out of range or of wrong length.
        """
        weights = np.asarray(shares, dtype=np.float64)
        rule = f"be {self.contexts} shares >= 0 that sum to 1"
        fitting = weights.shape == (self.contexts,) and bool((weights >= 0).all())
        require(fitting and abs(weights.sum() - 1.0) < 1e-6, "shares", rule, shares)
        table = self.network.table.mixed(torch.from_numpy(weights).float()[None])
        return self._compiled(thresholds, None, table)

    def _compiled(
        self,
        thresholds: ArrayLike,
        row: NDArray[np.int64] | None,
        table: ConfidenceTable | None = None,
    ) -> ExitEstimates:
        """Predict for rows of a table, the first one by default, by the compiled network."""
        from surrogate.exits.compiled_trace import compiled_prediction  # who loads compiles nothing

        tau = checked_thresholds(thresholds, self.exits)
        row = np.zeros(len(tau), dtype=np.int64) if row is None else row
        found = compiled_prediction(self.network, tau, row, table)
        return ExitEstimates(**{
            name: values.astype(np.float64) for name, values in found._asdict().items()
        })

    def _rows(self, context: ArrayLike, count: int) -> NDArray[np.int64]:
        given = np.asarray(context)
        rule = f"be one whole number in [0, {self.contexts}), or {count} of them"
        require(given.shape in ((), (count,)), "context", rule, given.shape)
        whole = given.dtype.kind in "iu" and bool(((given >= 0) & (given < self.contexts)).all())
        require(whole, "context", rule, context)
        return np.array(np.broadcast_to(given, (count,)), dtype=np.int64)


class AdaptedPredictor(ExitPredictor):
    """Predicts for a network that few samples are known of.

    Args:
        network: The adapted network.
        exits: Number of its exits.
    """

    def __init__(self, network: AdaptedNet, exits: int) -> None:
        super().__init__(exits)
        self.network = network

    def predict(self, thresholds: ArrayLike) -> ExitEstimates:
        """Predict who leaves where.

        Args:
            thresholds: One threshold per intermediate classifier, or one per exit with 0 for the
                final one [B, E - 1] or [B, E]; finite, >= 0; above 1 closes the exit.

        Returns:
            Estimates for B vectors.
        """
        return self._estimates(thresholds, lambda tau, _: self.network(tau))


class FewShotPredictor:
    """Adapts to networks it has never seen.

    Args:
        name: Name of the checkpoint.
        network: The trained network.
        metrics: Errors measured when it was released.
    """

    def __init__(self, name: str, network: FewShotNet, metrics: dict[str, Any]) -> None:
        self.name = name
        self.network = network
        self.metrics = metrics

    def adapted(self, trace: ExitTrace, context: int | None = None) -> AdaptedPredictor:
        """Return a predictor for a network.

        Args:
            trace: Some samples of the network, at least two.
            context: Context whose samples count; all of them by default.

        Returns:
            A predictor; no training takes place.

        Raises:
            InvalidInputError: If there are fewer samples, or no such context.
        """
        chosen = trace if context is None else samples_in(trace, context)
        require(chosen.exits >= 2, "trace", "have at least two exits", chosen.exits)
        require(chosen.samples >= 2, "trace", "have at least two samples", chosen.samples)
        return AdaptedPredictor(AdaptedNet(self.network, chosen), chosen.exits)


def save_exit_predictor(
    folder: Path, network: TraceNet | FewShotNet, *, metrics: dict[str, Any], card: str
) -> None:
    """Write a checkpoint folder.

    Args:
        folder: Where; made if absent.
        network: The trained network.
        metrics: Errors, and what it was trained on.
        card: Model card in Markdown.

    Raises:
        CheckpointError: If the class of the network may not be released.
    """
    names = [name for name, cls in EXIT_MODELS.items() if type(network) is cls]
    if not names:
        got = type(network).__name__
        raise CheckpointError(f"network must be one of {list(EXIT_MODELS)}, got {got}.")
    config = {"schema": SCHEMA, "model": names[0], "settings": network.settings}
    write_folder(folder, network.state_dict(), config, metrics=metrics, card=card)


def load_exit_predictor(name_or_path: str | Path) -> TracePredictor | FewShotPredictor:
    """Load a released exit predictor.

    Args:
        name_or_path: A folder, or the name of a shipped checkpoint: ``eenn-digits`` knows one
            network, ``eenn-general`` adapts to any.

    Returns:
        The predictor.

    Raises:
        CheckpointError: If there is no such checkpoint, it is of another kind or version, or its
            weights are not those it describes.
    """
    folder = located(name_or_path)
    config = described(
        folder, expected={"schema": SCHEMA}, fields=("settings",), models=EXIT_MODELS
    )
    weights = weights_of(folder, config)
    try:
        network = EXIT_MODELS[config["model"]](**config["settings"])
        network.load_state_dict(weights)
    except (RuntimeError, TypeError, KeyError, ValueError) as error:
        why = " ".join(str(error).split())
        raise CheckpointError(
            f"{folder} must match this version's {config['model']}: {why}"
        ) from None
    network.requires_grad_(requires_grad=False).eval()
    metrics = metrics_of(folder)
    if isinstance(network, TraceNet):
        return TracePredictor(folder.name, network, metrics)
    return FewShotPredictor(folder.name, network, metrics)
