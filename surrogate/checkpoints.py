"""Released checkpoints: a folder with weights, what they are, how good they are, and a card.

Loading needs the folder (or the name of a shipped one), runs no code from it, and checks that the
weights are the ones the description was written for.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from surrogate.coverage import Coverage
from surrogate.errors import CheckpointError
from surrogate.features.features import FEATURE_SCHEMA
from surrogate.intervals import Intervals
from surrogate.models import MODELS

__all__ = ["SCHEMA", "Release", "load_release", "save_release", "shipped_folder"]

SCHEMA = 3
"""Version of the folder's layout."""

WEIGHTS, CONFIG, METRICS, CARD = "model.safetensors", "config.json", "metrics.json", "README.md"


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
    network: nn.Module
    coverage: Coverage
    intervals: Intervals
    metrics: dict[str, Any]


def shipped_folder(name: str) -> Path:
    """Return the folder of a checkpoint that comes with the package.

    Args:
        name: Its name, for example ``chainnet``.

    Returns:
        The folder; whether it exists is for the caller to see.
    """
    package = Path(__file__).resolve().parent
    installed = package / "checkpoints_data"  # in a wheel
    root = installed if installed.is_dir() else package.parent / "checkpoints"  # in a clone
    return root / name


def save_release(
    folder: Path,
    network: nn.Module,
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
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    weights = save(tensors)
    config = {
        "schema": SCHEMA,
        "model": names[0],
        "settings": network.settings,
        "feature_schema": FEATURE_SCHEMA,
        "covers": coverage.as_json(),
        "intervals": intervals.as_json(),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    files = {
        WEIGHTS: weights,
        CONFIG: _json_bytes(config),
        METRICS: _json_bytes(metrics),
        CARD: card.encode(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _json_bytes(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"checkpoint must hold {path.name}, got {path.parent}.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} must be JSON, got {error}.") from None
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} must hold an object, got {type(document).__name__}.")
    return document


def _check_schema(path: Path, config: dict[str, Any]) -> None:
    expected = {"schema": SCHEMA, "feature_schema": FEATURE_SCHEMA}
    for field, wanted in expected.items():
        if config.get(field) != wanted:
            got = config.get(field)
            raise CheckpointError(f"{path}: {field} must be {wanted}, got {field}={got!r}.")
    for field in ("model", "settings", "covers", "intervals", "sha256"):
        if field not in config:
            raise CheckpointError(f"{path}: {field} must be present, got {sorted(config)}.")
    known = list(MODELS)
    if config["model"] not in known:
        raise CheckpointError(f"{path}: model must be one of {known}, got {config['model']!r}.")


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
    folder = Path(name_or_path)
    if not folder.is_dir():
        shipped = shipped_folder(str(name_or_path))
        if "/" in str(name_or_path) or not shipped.is_dir():
            raise CheckpointError(
                f"checkpoint must be a folder or the name of a shipped one, got {name_or_path!s}."
            )
        folder = shipped
    config = _read_json(folder / CONFIG)
    _check_schema(folder / CONFIG, config)
    try:
        weights = (folder / WEIGHTS).read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"checkpoint must hold {WEIGHTS}, got {folder}.") from None
    if hashlib.sha256(weights).hexdigest() != config["sha256"]:
        raise CheckpointError(f"{folder / WEIGHTS} must have the sha256 that {CONFIG} says.")
    try:
        network = MODELS[config["model"]](**config["settings"])
        network.load_state_dict(load(weights))
        coverage = Coverage.from_json(config["covers"])
        intervals = Intervals.from_json(config["intervals"])
    except (SafetensorError, RuntimeError, TypeError, KeyError, ValueError) as error:
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
        metrics=_read_json(folder / METRICS),
    )


def best_state(path: Path) -> dict[str, torch.Tensor]:
    """Return the network's weights in a Lightning checkpoint.

    Args:
        path: A ``.ckpt`` file; read as plain data, no code in it runs.

    Returns:
        Weights by name.
    """
    content = torch.load(path, map_location="cpu", weights_only=True)
    prefix = "network."
    return {
        name.removeprefix(prefix): value
        for name, value in content["state_dict"].items()
        if name.startswith(prefix)
    }
