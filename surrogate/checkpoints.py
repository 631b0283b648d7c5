"""Released surrogates of deployments: weights, coverage and intervals in a checkpoint folder.

Loading needs the folder (or the name of a shipped one) and runs no code from it; see
:mod:`surrogate.folders`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surrogate.coverage import Coverage
from surrogate.errors import CheckpointError
from surrogate.features.features import FEATURE_SCHEMA
from surrogate.folders import described, located, metrics_of, weights_of, write_folder
from surrogate.intervals import Intervals
from surrogate.models import MODELS, DeploymentNetwork

__all__ = ["SCHEMA", "Release", "load_release", "released_network", "save_release"]

SCHEMA = 3
"""Version of the folder's layout."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """A loaded checkpoint.

    Args:
        name: Name of the folder.
        network: The network, in evaluation mode.
        coverage: What it was trained on.
        intervals: How far its predictions may be off.
        metrics: Errors measured when it was released.
    """

    name: str
    network: DeploymentNetwork
    coverage: Coverage
    intervals: Intervals
    metrics: dict[str, Any]


def save_release(
    folder: Path,
    network: DeploymentNetwork,
    coverage: Coverage,
    intervals: Intervals,
    *,
    metrics: dict[str, Any],
    card: str,
) -> None:
    """Write a checkpoint folder.

    Args:
        folder: Where; made if absent.
        network: A network of a class in :data:`surrogate.models.MODELS` with its ``settings``.
        coverage: What it was trained on.
        intervals: How far its predictions may be off.
        metrics: Errors, and the hashes of the data they were measured on.
        card: Model card in Markdown.

    Raises:
        CheckpointError: If the class of the network may not be released.
    """
    names = [name for name, cls in MODELS.items() if type(network) is cls]
    if not names:
        got = type(network).__name__
        raise CheckpointError(f"network must be one of {list(MODELS)}, got {got}.")
    config = {
        "schema": SCHEMA,
        "model": names[0],
        "settings": network.settings,
        "feature_schema": FEATURE_SCHEMA,
        "covers": coverage.as_json(),
        "intervals": intervals.as_json(),
    }
    write_folder(folder, network.state_dict(), config, metrics=metrics, card=card)


def load_release(name_or_path: str | Path) -> Release:
    """Load a checkpoint folder.

    Args:
        name_or_path: A folder, or the name of a shipped checkpoint.

    Returns:
        The loaded checkpoint.

    Raises:
        CheckpointError: If there is no such checkpoint, its schema is another one, or its weights
            are not those it describes.
    """
    folder = located(name_or_path)
    config = described(
        folder,
        expected={"schema": SCHEMA, "feature_schema": FEATURE_SCHEMA},
        fields=("settings", "covers", "intervals"),
        models=MODELS,
    )
    weights = weights_of(folder, config)
    try:
        network = MODELS[config["model"]](**config["settings"])
        network.load_state_dict(weights)
        coverage = Coverage.from_json(config["covers"], network.features.names)
        intervals = Intervals.from_json(config["intervals"])
    except (RuntimeError, TypeError, KeyError, ValueError) as error:
        why = " ".join(str(error).split())
        raise CheckpointError(
            f"{folder} must match this version's {config['model']}: {why}"
        ) from None
    network.requires_grad_(requires_grad=False).eval()
    return Release(
        name=folder.name,
        network=network,
        coverage=coverage,
        intervals=intervals,
        metrics=metrics_of(folder),
    )


def released_network(checkpoint: str) -> DeploymentNetwork:
    """Return the network of a released checkpoint, to be trained further.

    A training configuration may name this function where it would name a class of networks; see
    ``configs/train/fine_tune.yaml``. The scale of the features stays that of the checkpoint.

    Args:
        checkpoint: A folder, or the name of a shipped checkpoint.

    Returns:
        The network in training mode.

    Raises:
        CheckpointError: If it cannot be loaded.
    """
    network = load_release(checkpoint).network
    network.scaled = True
    return network.requires_grad_().train()
