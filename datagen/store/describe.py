"""A summary of a data set: what is in it, how loaded it is, and how well its labels are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation.batch import DeploymentBatch
from datagen.evaluation.effects import EFFECT_FIELDS
from datagen.evaluation.loads import chain_load, offered_load
from datagen.evaluation.measures import Measures
from datagen.store.compare import LOAD_REGIMES
from datagen.store.reader import Dataset
from datagen.store.stream import stream

__all__ = ["LEVELS", "describe_dataset", "gather"]

Floats = NDArray[np.float64]

LEVELS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Levels of the quantiles that are shown."""

GROUPS = 8
"""Row groups read at a time."""

FLAGS = ("precise", "truncated", "phase_dependent", "saturated", "unstable")

LABELS = (
    "deployment.events",
    "deployment.loss_ratio",
    *(f"deployment.{name}" for name in FLAGS),
    *(
        f"chain.{name}"
        for name in (
            "offered",
            "completed",
            "throughput_ratio",
            "throughput_ratio_se",
            "loss_ratio",
            "latency",
            "latency_se",
            "latency_ratio",
            "p95",
            "energy",
        )
    ),
)
"""Labels that a summary needs."""

LOSS_CLASSES: dict[str, tuple[float, float]] = {
    "0": (0.0, 0.0),
    "0-1e-4": (0.0, 1e-4),
    "1e-4-1e-3": (1e-4, 1e-3),
    "1e-3-1e-2": (1e-3, 1e-2),
    "1e-2-1e-1": (1e-2, 1e-1),
    "1e-1-1": (1e-1, 1.0),
}
"""Ranges of loss ratios, the lower end excluded."""


def _parts(batch: DeploymentBatch, measures: Measures) -> dict[str, NDArray[Any]]:
    """Return the numbers of a window that a summary is made of."""
    chain, deployment = measures.chain, measures.deployment
    owner = batch.owner("step")
    with np.errstate(divide="ignore", invalid="ignore"):
        parts: dict[str, NDArray[Any]] = {
            "chains": batch.counts("chain"),
            "devices": batch.counts("device"),
            "steps": np.bincount(owner, minlength=len(batch)),
            "path_length": batch.counts("step"),
            "capacity": batch.device_capacity,
            "effects": batch.effects,
            "device_load": offered_load(batch),
            "chain_load": chain_load(batch),
            "relative_throughput_error": chain["throughput_ratio_se"] / chain["throughput_ratio"],
            "relative_latency_error": chain["latency_se"] / chain["latency"],
        }
    for name in ("offered", "completed", "loss_ratio", "latency", "latency_ratio", "p95", "energy"):
        parts[name] = chain[name]
    parts["system_loss_ratio"] = deployment["loss_ratio"]
    for name in ("events", *FLAGS):
        parts[name] = deployment[name]
    parts["exit_number"], parts["exit_share"] = _exits(batch)
    return parts


def _exits(batch: DeploymentBatch) -> tuple[NDArray[np.int64], Floats]:
    """Return the number of each exit in its chain, from 1, and its share of the chain's jobs."""
    if batch.exit_probability is None or batch.exit_fragment is None:
        return np.empty(0, dtype=np.int64), np.empty(0)
    counts = batch.counts("exit")
    chain = np.repeat(np.arange(len(counts)), counts)
    # Thresholds have two rows per exit, for right and wrong answers: they pass the same fragments.
    new = np.ones(len(chain), dtype=bool)
    new[1:] = (chain[1:] != chain[:-1]) | (np.diff(batch.exit_fragment) != 0)
    exit_ = np.cumsum(new) - 1
    shares = np.bincount(exit_, weights=batch.exit_probability)
    first = np.searchsorted(chain[new], chain[new], side="left")
    return np.arange(len(shares)) - first + 1, np.asarray(shares)


def gather(
    dataset: Dataset, progress: Callable[[int], object] = lambda rows: None
) -> dict[str, NDArray[Any]]:
    """Return the numbers that tables and plots are made of, read window by window.

    Args:
        dataset: The data set.
        progress: Called with the number of rows just gathered.

    Returns:
        Arrays by name, each with one value per deployment, chain, path, device or exit.
    """
    collected: dict[str, list[NDArray[Any]]] = {}
    for batch, measures in stream(dataset, groups=GROUPS, labels=LABELS):
        for name, values in _parts(batch, measures).items():
            collected.setdefault(name, []).append(values)
        progress(len(batch))
    return {name: np.concatenate(values) for name, values in collected.items()}


def _quantiles(values: NDArray[Any]) -> dict[str, Any]:
    known = np.asarray(values[np.isfinite(values)], dtype=np.float64)
    if len(known) == 0:
        return {"n": 0}
    quantiles = np.quantile(known, LEVELS)
    found = {f"q{100 * level:g}": float(q) for level, q in zip(LEVELS, quantiles, strict=True)}
    return {"n": len(known), "mean": float(known.mean()), **found}


def _share(flags: NDArray[Any]) -> float | None:
    return float(np.mean(flags)) if len(flags) else None


def _losses(losses: Floats) -> dict[str, Any]:
    known = losses[np.isfinite(losses)]
    classes = {
        name: _share((known > low) & (known <= high) if high > 0 else known == 0)
        for name, (low, high) in LOSS_CLASSES.items()
    }
    return {**_quantiles(losses), "classes": classes}


def _exit_histogram(numbers: NDArray[Any], shares: Floats) -> dict[str, Any]:
    totals = np.bincount(numbers, weights=shares)[1:] if len(numbers) else np.empty(0)
    chains = int((numbers == 1).sum())
    return {
        "chains": chains,
        "histogram": {str(n): float(total / chains) for n, total in enumerate(totals, 1)},
    }


def describe_dataset(
    dataset: Dataset, numbers: dict[str, NDArray[Any]] | None = None
) -> dict[str, Any]:
    """Sum a data set up.

    Args:
        dataset: The data set.
        numbers: What :func:`gather` gave, if it is known already.

    Returns:
        Plain values: ``deployments``, ``failed``, ``sizes``, ``effects``, ``loads``, ``losses``,
        ``latencies``, ``exits`` and ``precision``. Quantiles are of what is defined; ``n`` says
        how much that is.
    """
    n = gather(dataset) if numbers is None else numbers
    effects = {
        text: _share(n["effects"] & int(effect) > 0) for effect, text in EFFECT_FIELDS.items()
    }
    regimes = {
        name: _share((n["chain_load"] >= low) & (n["chain_load"] < high))
        for name, (low, high) in LOAD_REGIMES.items()
    }
    manifest = dataset.manifest
    return {
        "deployments": len(dataset),
        "program": manifest.get("program"),
        "seed": manifest.get("seed"),
        "labels": dict(manifest["labels"]),
        "failed": [{"index": row.index, "error": row.error} for row in dataset.failed],
        "sizes": {
            name: _quantiles(n[name])
            for name in ("chains", "devices", "steps", "path_length", "capacity")
        },
        "effects": {text: share for text, share in effects.items() if share},
        "loads": {
            "device": _quantiles(n["device_load"]),
            "chain": _quantiles(n["chain_load"]),
            "regimes": regimes,
        },
        "losses": {
            "chain": _losses(n["loss_ratio"]),
            "system": _losses(n["system_loss_ratio"]),
        },
        "latencies": {name: _quantiles(n[name]) for name in ("latency", "p95", "latency_ratio")},
        "energy": _quantiles(n["energy"]),
        "exits": _exit_histogram(n["exit_number"], n["exit_share"]),
        "precision": {
            **{
                name: _quantiles(n[name])
                for name in (
                    "events",
                    "offered",
                    "completed",
                    "relative_throughput_error",
                    "relative_latency_error",
                )
            },
            **{name: _share(n[name]) for name in FLAGS},
        },
    }
