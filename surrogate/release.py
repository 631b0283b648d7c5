"""From a finished training run to a released checkpoint with metrics and a card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from datagen.evaluation.expansion import EXPANDED
from datagen.store import read_dataset
from datagen.store.compare import compare_measures
from surrogate.checkpoints import Release, save_release
from surrogate.coverage import Coverage
from surrogate.evaluator import SurrogateEvaluator
from surrogate.features.arrays import flow_arrays
from surrogate.folders import best_state
from surrogate.intervals import TARGETS, Intervals
from surrogate.models import DeploymentNetwork
from surrogate.training.data import DeploymentData

__all__ = ["release_run"]

COVERAGE_SAMPLE = 20_000
"""Deployments whose features set the ranges of the coverage."""


def release_run(
    checkpoint: Path, network: DeploymentNetwork, data: DeploymentData, folder: Path
) -> dict[str, Any]:
    """Write the best weights of a run as a released checkpoint.

    Args:
        checkpoint: The run's best ``.ckpt`` file.
        network: A network of the run's class and settings; its weights are replaced.
        data: The run's data, for coverage and held-out errors.
        folder: Where to write.

    Returns:
        The metrics written: errors on the held-out part of every data set.
    """
    network.load_state_dict(best_state(checkpoint))
    network.cpu().eval()
    seen = data.sample(COVERAGE_SAMPLE)
    held_out = data.held_out_example()
    with torch.no_grad():
        coverage = Coverage.of(seen.batch, network.features(flow_arrays(seen.batch)))
        features = network.features(held_out.arrays)
        predicted = network.predict(held_out.arrays, features)
    coverage = coverage.calibrated(held_out.arrays, features)
    if any(_is_expanded(path) for path in data.train):
        coverage = replace(coverage, effects=coverage.effects | EXPANDED)
    intervals = Intervals.fit(
        held_out.arrays,
        features,
        {name: getattr(predicted, name) for name in TARGETS},
        {name: getattr(held_out.targets, f"log_{name}").exp() for name in TARGETS},
    )
    release = Release(
        name=folder.name, network=network, coverage=coverage, intervals=intervals, metrics={}
    )
    metrics = {
        "trained_on": {Path(path).name: provenance(path, data) for path in data.train},
        "held_out": held_out_errors(SurrogateEvaluator(release), data),
        "parameters": sum(values.numel() for values in network.parameters()),
    }
    save_release(
        folder, network, coverage, intervals, metrics=metrics, card=card(folder.name, metrics)
    )
    return metrics


def _is_expanded(path: str) -> bool:
    """Return whether the chains of a data set are the paths and exits of others."""
    config = read_dataset(path).manifest.get("config") or {}
    return bool(config.get("scenario", {}).get("expanded", False))


def held_out_errors(evaluator: SurrogateEvaluator, data: DeploymentData) -> dict[str, Any]:
    """Return the errors on the held-out part of every data set.

    Args:
        evaluator: The surrogate.
        data: The data it was trained on.

    Returns:
        Per folder its manifest's hash, the number of deployments and the errors.
    """
    errors: dict[str, Any] = {}
    for path, indices in data.held_out():
        dataset = read_dataset(path)
        batch, labels = dataset.batch(indices, laws=False), dataset.measures(indices)
        known = evaluator.evaluate(batch)
        errors[Path(path).name] = {
            "deployments": len(indices),
            **compare_measures(batch, known, labels),
        }
    return errors


def provenance(path: str, data: DeploymentData) -> dict[str, Any]:
    """Say which data set a model was trained on, so that it can be made again.

    Args:
        path: One of the folders of ``data``.
        data: The data of the run.

    Returns:
        Its configuration, seed, rows, and the hash of its manifest without when and where.
    """
    manifest = read_dataset(path).manifest
    lasting = {key: value for key, value in manifest.items() if key != "run"}
    identity = json.dumps(lasting, sort_keys=True).encode()
    held_out = dict(data.held_out()).get(path, ())
    return {
        "config": manifest.get("config"),
        "seed": manifest.get("seed"),
        "deployments": int(manifest["rows"]),
        "held_out": len(held_out),
        "versions": manifest.get("versions"),
        "sha256": hashlib.sha256(identity).hexdigest(),
    }


def card(name: str, metrics: Mapping[str, Any]) -> str:
    """Return the model card.

    Args:
        name: Name of the checkpoint.
        metrics: As written to ``metrics.json``.

    Returns:
        Markdown.
    """
    lines = [
        f"# {name}",
        "",
        "Graph network that predicts throughput, loss and latency of chains of DNN fragments on",
        "edge devices with finite buffers. Trained on simulated deployments only; the covered",
        "effects and feature ranges are in `config.json`.",
        "",
        "Errors on held-out deployments, in percent of the simulated value (throughput ratio and",
        "latency ratio of each chain):",
        "",
        "| data | deployments | throughput MAPE | trimmed | median | p95 | latency MAPE | p95 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for data, errors in metrics["held_out"].items():
        passed, latency = errors["throughput_ratio"], errors["latency_ratio"]
        cells = [passed[key] for key in ("mape", "mape_trimmed", "median", "p95")]
        cells += [latency[key] for key in ("mape", "p95")]
        shown = " | ".join("-" if cell is None else f"{100 * cell:.2f}" for cell in cells)
        lines.append(f"| {data} | {errors['deployments']} | {shown} |")
    lines += [
        "",
        "Trained on (generated with `datagen generate`; full configuration in `metrics.json`):",
        "",
        "| data | deployments | of these held out | seed |",
        "|---|---|---|---|",
        *(
            f"| {data} | {made['deployments']} | {made['held_out']} | {made['seed']} |"
            for data, made in metrics["trained_on"].items()
        ),
        "",
        f"{metrics['parameters']} parameters.",
        "",
        "`trimmed` leaves out the worst 0.1 % of chains. Inputs outside of the covered ranges are",
        "flagged (`in_distribution`), effects outside are refused.",
        "",
    ]
    return "\n".join(lines)
