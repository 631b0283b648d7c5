"""From a finished training run to a released checkpoint with metrics and a card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from datagen.evaluation import Effect
from datagen.evaluation.expansion import EXPANDED
from datagen.store import read_dataset
from datagen.store.compare import compare_measures
from surrogate.calibration import (
    Labelled,
    fit_intervals,
    fitted_coverage,
    label_noise,
    require_unseen,
    warn_of_noise,
)
from surrogate.checkpoints import Release, save_release
from surrogate.coverage import Coverage
from surrogate.evaluator import SurrogateEvaluator
from surrogate.features.arrays import flow_arrays
from surrogate.folders import best_state
from surrogate.intervals import MIN_CHAINS
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
        data: The run's data: for coverage, calibration and held-out errors.
        folder: Where to write.

    Returns:
        The metrics written: errors on the held-out part of every data set.

    Raises:
        InvalidInputError: If a topology of the calibration data was trained on.
    """
    network.load_state_dict(best_state(checkpoint))
    network.cpu().eval()
    judged = [Labelled.read(path, network, rows) for path, rows in data.held_out()]
    unseen = [Labelled.read(path, network) for path in data.calibration]
    if unseen:
        require_unseen(unseen, data.train_batches())
    calibrating = unseen or judged
    noise = {part.name: label_noise(part) for part in calibrating}
    for name in (part.name for part in unseen):
        warn_of_noise(name, noise[name])
    release = Release(
        name=folder.name,
        network=network,
        coverage=_coverage(network, data, judged),
        intervals=fit_intervals(calibrating),
        metrics={},
    )
    metrics = {
        "trained_on": {Path(path).name: provenance(path, data) for path in data.train},
        "calibrated_on": {
            part.name: {
                "deployments": len(part.batch),
                "topologies_trained_on": "none" if unseen else "unknown",
                "label_noise": noise[part.name],
                "sha256": identity(read_dataset(part.path).manifest),
            }
            for part in calibrating
        },
        "calibration_coverage": fitted_coverage(calibrating),
        "held_out": held_out_errors(SurrogateEvaluator(release), judged),
        "parameters": sum(values.numel() for values in network.parameters()),
    }
    save_release(
        folder,
        network,
        release.coverage,
        release.intervals,
        metrics=metrics,
        card=card(folder.name, metrics),
    )
    return metrics


def _coverage(
    network: DeploymentNetwork, data: DeploymentData, sets: Sequence[Labelled]
) -> Coverage:
    """Describe what the network was trained on, with limits set on other deployments."""
    seen = data.sample(COVERAGE_SAMPLE)
    with torch.inference_mode():
        arrays = flow_arrays(seen.batch)
        coverage = Coverage.of(seen.batch, arrays, network.features(arrays))
    if coverage.effects & Effect.NPU or any(_is_expanded(path) for path in data.train):
        coverage = replace(coverage, effects=coverage.effects | EXPANDED)
    return coverage.calibrated([
        [(part.arrays, part.features) for part in labelled.passed] for labelled in sets
    ])


def _is_expanded(path: str) -> bool:
    """Return whether the chains of a data set are the paths and exits of others."""
    config = read_dataset(path).manifest.get("config") or {}
    return bool(config.get("scenario", {}).get("expanded", False))


def held_out_errors(evaluator: SurrogateEvaluator, judged: Sequence[Labelled]) -> dict[str, Any]:
    """Return the errors on the held-out part of every data set.

    Args:
        evaluator: The surrogate.
        judged: The held-out deployments, predicted by its network.

    Returns:
        Per folder the number of deployments and the errors.
    """
    return {
        part.name: {
            "deployments": len(part.batch),
            **compare_measures(
                part.batch, evaluator.measures(part.batch, part.passed), part.labels
            ),
        }
        for part in judged
    }


def identity(manifest: Mapping[str, Any]) -> str:
    """Return a hash of what made a data set, without when and where.

    Args:
        manifest: The data set's manifest.

    Returns:
        SHA-256 in hexadecimal.
    """
    lasting = {key: value for key, value in manifest.items() if key != "run"}
    return hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()


def provenance(path: str, data: DeploymentData) -> dict[str, Any]:
    """Say which data set a model was trained on, so that it can be made again.

    Args:
        path: One of the folders of ``data``.
        data: The data of the run.

    Returns:
        Its configuration, seed, rows, and the hash of its manifest without when and where.
    """
    manifest = read_dataset(path).manifest
    held_out = dict(data.held_out()).get(path, ())
    return {
        "config": manifest.get("config"),
        "seed": manifest.get("seed"),
        "deployments": int(manifest["rows"]),
        "held_out": len(held_out),
        "versions": manifest.get("versions"),
        "sha256": identity(manifest),
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
        *_error_lines(metrics["held_out"]),
        "",
        *_coverage_lines(metrics["held_out"]),
        "",
        *_calibration_lines(metrics["calibrated_on"], metrics["calibration_coverage"]),
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


def _error_lines(held_out: Mapping[str, Any]) -> list[str]:
    """Return the lines that say how wrong predictions are."""
    lines = [
        "Errors on held-out deployments, in percent of the simulated value (throughput ratio and",
        "latency ratio of each chain):",
        "",
        "| data | deployments | throughput MAPE | trimmed | median | p95 | latency MAPE | p95 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for data, errors in held_out.items():
        passed, latency = errors["throughput_ratio"], errors["latency_ratio"]
        cells = [passed[key] for key in ("mape", "mape_trimmed", "median", "p95")]
        cells += [latency[key] for key in ("mape", "p95")]
        shown = " | ".join("-" if cell is None else f"{100 * cell:.2f}" for cell in cells)
        lines.append(f"| {data} | {errors['deployments']} | {shown} |")
    return lines


def _coverage_lines(held_out: Mapping[str, Any]) -> list[str]:
    """Return the lines that say what intervals are worth."""
    return [
        "Share of the true values inside the 90 % intervals, and their mean and median width (of",
        "p95 in seconds):",
        "",
        "| data | target | inside | least of any load | least of any length | width | median |",
        "|---|---|---|---|---|---|---|",
        *(
            _coverage_row(data, target, covered)
            for data, errors in held_out.items()
            for target, covered in errors["coverage"].items()
            if isinstance(covered, Mapping)
        ),
    ]


def _calibration_lines(parts: Mapping[str, Any], coverage: Mapping[str, Any]) -> list[str]:
    """Return the lines that say what intervals were made from, and how well that worked."""
    targets = list(coverage)
    return [
        "Intervals were calibrated on (noise of labels, of the mean error of predictions):",
        "",
        f"| data | deployments | {' | '.join(targets)} |",
        "|---|---|" + "---|" * len(targets),
        *(
            f"| {data} | {made['deployments']} | "
            + " | ".join(_number(made["label_noise"].get(target)) for target in targets)
            + " |"
            for data, made in parts.items()
        ),
        "",
        "There, share of the true values inside intervals fitted to the other deployments:",
        "",
        "| target | inside | least of any load | least of any length |",
        "|---|---|---|---|",
        *(
            f"| {target} | {' | '.join(_number(share, 3) for share in shares.values())} |"
            for target, shares in coverage.items()
        ),
    ]


def _coverage_row(data: str, target: str, covered: Mapping[str, Any]) -> str:
    least = []
    for name in ("by_load", "by_length"):
        shares = [part["covered"] for part in covered[name].values() if part["n"] >= MIN_CHAINS]
        least.append(min(shares, default=None))
    cells = [covered["covered"], *least, covered["width"], covered["width_median"]]
    return f"| {data} | {target} | " + " | ".join(_number(cell, 3) for cell in cells) + " |"


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
