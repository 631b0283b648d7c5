"""From a trained early-exit network to a checkpoint folder with its traces, and back.

Beside what every checkpoint holds, the folder of a network trained on digits has its traces on the
calibration and the test images, ``calibration.npz`` and ``test.npz``: all that simulations,
policies and the threshold predictor need of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from datagen.exits import ExitTrace, clustered_error
from surrogate.eenn.calibration import CalibratedExits, calibration_error, fit_temperatures
from surrogate.eenn.digits import DigitsData
from surrogate.eenn.network import MultiExitNetwork
from surrogate.eenn.recording import measure_latency, record_logits, record_trace
from surrogate.errors import CheckpointError
from surrogate.folders import best_state, described, located, weights_of, write_folder

__all__ = ["TRACES", "load_network", "record_digits", "release_network"]

SCHEMA = 1
"""Version of the description."""

NETWORKS = {"multi-exit": MultiExitNetwork}
"""Classes a checkpoint may name. Loading looks up a name here and never imports one."""

TRACES = ("calibration", "test")
"""Parts of the images that traces are recorded on."""

COST_UNIT = "multiply-accumulate operations"
"""What the traces count as cost, unless seconds are asked for."""


def release_network(
    checkpoint: Path, network: MultiExitNetwork, data: DigitsData, folder: Path
) -> dict[str, Any]:
    """Calibrate a trained network, record its traces, and write all of it.

    Args:
        checkpoint: The run's ``.ckpt`` file.
        network: A network of the run's settings; its weights are replaced.
        data: The run's data.
        folder: Where to write.

    Returns:
        The metrics written: accuracy and calibration error by exit, part and context.
    """
    network.load_state_dict(best_state(checkpoint))
    network.cpu().eval()
    logits, parts = record_logits(network, data.samples("calibration"))
    calibrated = CalibratedExits(network, fit_temperatures(logits, parts["labels"]))
    traces = record_digits(calibrated, data)
    metrics: dict[str, Any] = {
        "exits": network.exits,
        "parameters": sum(values.numel() for values in network.parameters()),
        "images": {part: len(chosen) for part, chosen in data.parts.items()},
        "contexts": [context.name for context in data.contexts],
        "cost_unit": COST_UNIT,
        "cost": network.multiply_accumulates(data.size, data.size),
        "temperatures": calibrated.temperatures.tolist(),
        **{part: trace_metrics(trace) for part, trace in traces.items()},
    }
    config = {
        "schema": SCHEMA,
        "model": next(name for name, cls in NETWORKS.items() if type(network) is cls),
        "settings": network.settings,
        "data": data.settings,
    }
    state = calibrated.state_dict()
    write_folder(folder, state, config, metrics=metrics, card=card(folder.name, metrics))
    for part, trace in traces.items():
        trace.save(folder / f"{part}.npz")
    return metrics


def load_network(name_or_path: str | Path) -> tuple[CalibratedExits[MultiExitNetwork], DigitsData]:
    """Load an early-exit network and the data it was trained on.

    Args:
        name_or_path: A folder, or the name of a shipped checkpoint.

    Returns:
        The calibrated network in evaluation mode, and the data with their split and contexts.

    Raises:
        CheckpointError: If there is no such checkpoint, or it is not of this version.
    """
    folder = located(name_or_path)
    config = described(
        folder, expected={"schema": SCHEMA}, fields=("settings", "data"), models=NETWORKS
    )
    weights = weights_of(folder, config)
    try:
        network = NETWORKS[config["model"]](**config["settings"])
        calibrated = CalibratedExits(network, [1.0] * network.exits)
        calibrated.load_state_dict(weights)
        data = DigitsData.from_settings(config["data"])
    except (RuntimeError, TypeError, KeyError, ValueError) as error:
        why = " ".join(str(error).split())
        raise CheckpointError(
            f"{folder} must match this version's {config['model']}: {why}"
        ) from None
    calibrated.requires_grad_(requires_grad=False).eval()
    return calibrated, data


def record_digits(
    model: CalibratedExits[MultiExitNetwork], data: DigitsData, *, latency: bool = False
) -> dict[str, ExitTrace]:
    """Record the traces of a network on the digits it was not trained on.

    Args:
        model: The network, calibrated.
        data: The digits.
        latency: Whether the cost of an exit is its latency on this machine [s], measured now;
            otherwise it counts multiply-accumulate operations.

    Returns:
        The traces by part, ``calibration`` and ``test``.
    """
    loaders = {part: data.samples(part) for part in TRACES}
    if latency:
        image = next(iter(loaders["test"]))[0][:1]
        cost = measure_latency(model, image, model.network.exits)
    else:
        cost = model.network.multiply_accumulates(data.size, data.size)
    return {
        part: record_trace(model, loader, name=part, cost=cost) for part, loader in loaders.items()
    }


def trace_metrics(trace: ExitTrace) -> dict[str, Any]:
    """Say how good the exits of a trace are.

    Args:
        trace: The trace.

    Returns:
        Accuracy with its standard error by image, mean confidence and calibration error of each
        exit, and the accuracy of each exit in each context.
    """
    context = np.zeros(trace.samples, int) if trace.context is None else trace.context
    return {
        "samples": trace.samples,
        "accuracy": trace.correct.mean(axis=0).tolist(),
        "accuracy_se": clustered_error(trace.correct, trace.group).tolist(),
        "confidence": trace.confidences.mean(axis=0).tolist(),
        "calibration_error": calibration_error(trace.confidences, trace.correct),
        "accuracy_by_context": [
            trace.correct[context == number].mean(axis=0).tolist()
            for number in range(int(context.max()) + 1)
        ],
    }


def card(name: str, metrics: dict[str, Any]) -> str:
    """Return the model card.

    Args:
        name: Name of the checkpoint.
        metrics: As written to ``metrics.json``.

    Returns:
        Markdown.
    """
    test = metrics["test"]
    header = ["exit", "cost", "accuracy", "s.e.", "confidence", "ECE", *metrics["contexts"]]
    lines = [
        f"# {name}",
        "",
        "Residual network with a classifier after every block, trained on the handwritten digits",
        "that come with scikit-learn, seen in several conditions. Its recorded answers are in",
        "`calibration.npz` and `test.npz` (`datagen.exits.ExitTrace`).",
        "",
        f"On the {metrics['images']['test']} test images, none of them seen in training, in all",
        "contexts; accuracies in percent, standard errors by image:",
        "",
        f"| {' | '.join(header)} |",
        "|" + "---|" * len(header),
    ]
    for place in range(metrics["exits"]):
        cells = [f"{place}", f"{metrics['cost'][place]:.0f}"]
        columns = [test["accuracy"], test["accuracy_se"], test["confidence"]]
        columns += [test["calibration_error"], *test["accuracy_by_context"]]
        cells += [f"{100 * column[place]:.1f}" for column in columns]
        lines.append(f"| {' | '.join(cells)} |")
    images = ", ".join(f"{count} {part}" for part, count in metrics["images"].items())
    lines += [
        "",
        f"Images: {images}; all contexts of an image are in the same part. Temperatures were",
        f"fitted on the calibration images. Cost: {metrics['cost_unit']} per image.",
        f"{metrics['parameters']} parameters.",
        "",
    ]
    return "\n".join(lines)
