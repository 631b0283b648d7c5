"""The folder of a released model: weights, what they are, how good they are, and a card.

Reading one runs no code from it, and checks that the weights are those that the description was
written for. What the description holds is the business of each family of models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from surrogate.errors import CheckpointError

__all__ = [
    "best_state",
    "described",
    "located",
    "metrics_of",
    "shipped_folder",
    "weights_of",
    "write_folder",
]

WEIGHTS, CONFIG, METRICS, CARD = "model.safetensors", "config.json", "metrics.json", "README.md"


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


def located(name_or_path: str | Path) -> Path:
    """Return the folder of a checkpoint.

    Args:
        name_or_path: A folder, or the name of a shipped checkpoint.

    Returns:
        The folder.

    Raises:
        CheckpointError: If there is no such folder.
    """
    folder = Path(name_or_path)
    if folder.is_dir():
        return folder
    shipped = shipped_folder(str(name_or_path))
    if "/" in str(name_or_path) or not shipped.is_dir():
        known = ", ".join(sorted(item.parent.name for item in shipped.parent.glob("*/config.json")))
        rule = f"be a folder or the name of a shipped one ({known or 'none is here'})"
        raise CheckpointError(f"checkpoint must {rule}, got {name_or_path!s}.")
    return shipped


def write_folder(
    folder: Path,
    state: Mapping[str, Tensor],
    config: Mapping[str, Any],
    *,
    metrics: dict[str, Any],
    card: str,
) -> None:
    """Write a checkpoint folder.

    Args:
        folder: Where; made if absent.
        state: Weights by name.
        config: What the model is; the hash of the weights is added.
        metrics: How good it is.
        card: Model card in Markdown.
    """
    weights = save({name: value.detach().cpu().contiguous() for name, value in state.items()})
    files = {
        WEIGHTS: weights,
        CONFIG: _json_bytes({**config, "sha256": hashlib.sha256(weights).hexdigest()}),
        METRICS: _json_bytes(metrics),
        CARD: card.encode(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def described(
    folder: Path,
    *,
    expected: Mapping[str, object],
    fields: Collection[str],
    models: Collection[str],
) -> dict[str, Any]:
    """Read what a checkpoint says it is.

    Args:
        folder: The checkpoint folder.
        expected: Versions that have to be exactly these.
        fields: What else has to be there.
        models: Names of models that may be loaded.

    Returns:
        The description.

    Raises:
        CheckpointError: If it is of another version or family.
    """
    path = folder / CONFIG
    config = _read_json(path)
    for field, wanted in expected.items():
        if config.get(field) != wanted:
            got = config.get(field)
            raise CheckpointError(f"{path}: {field} must be {wanted}, got {field}={got!r}.")
    for field in ("model", *fields, "sha256"):
        if field not in config:
            raise CheckpointError(f"{path}: {field} must be present, got {sorted(config)}.")
    known = list(models)  # a list, for what the file says need not be hashable
    if config["model"] not in known:
        raise CheckpointError(f"{path}: model must be one of {known}, got {config['model']!r}.")
    return config


def weights_of(folder: Path, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Read the weights of a checkpoint.

    Args:
        folder: The checkpoint folder.
        config: What it says it is.

    Returns:
        Weights by name.

    Raises:
        CheckpointError: If they are missing, or not those that are described.
    """
    try:
        weights = (folder / WEIGHTS).read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"checkpoint must hold {WEIGHTS}, got {folder}.") from None
    digest = hashlib.sha256(weights).hexdigest()
    if digest != config["sha256"]:
        rule = f"have the sha256 that {CONFIG} says, {config['sha256']}"
        raise CheckpointError(f"{folder / WEIGHTS} must {rule}, got {digest}.")
    try:
        return load(weights)
    except SafetensorError as error:
        why = " ".join(str(error).split())
        raise CheckpointError(
            f"{folder / WEIGHTS} must match what safetensors reads: {why}"
        ) from None


def metrics_of(folder: Path) -> dict[str, Any]:
    """Read how good a checkpoint was when it was released.

    Args:
        folder: The checkpoint folder.

    Returns:
        What was written.
    """
    return _read_json(folder / METRICS)


def best_state(path: Path) -> dict[str, Tensor]:
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


def _json_bytes(document: Mapping[str, Any]) -> bytes:
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
