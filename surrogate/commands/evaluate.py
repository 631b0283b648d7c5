"""``surrogate evaluate``: errors, speed and calibration of a checkpoint on a labelled data set."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datagen.commands.options import Parser, progress_bar

if TYPE_CHECKING:
    from surrogate.report import Judged

__all__ = ["evaluate", "judge", "main"]

BATCH = 1024
SINGLES = 200
PASSES = 7
WARM_UPS = 2
THREADS = 2
TIMED = 4096
"""How speed is measured: see the contract of ``ms_per_deployment`` in the documentation."""

ALL_PASSES = 1 + WARM_UPS + PASSES + 1
"""Passes of a judgement: for errors, for the time of batches, for that of single deployments."""


def evaluate(checkpoint: str, dataset_path: str) -> dict[str, Any]:
    """Judge a checkpoint on a data set.

    Args:
        checkpoint: Folder or shipped name.
        dataset_path: Folder of a labelled data set.

    Returns:
        Errors by target and regime, and milliseconds per deployment, batched and single.
    """
    return dict(judge(checkpoint, dataset_path).result)


def judge(
    checkpoint: str,
    dataset_path: str,
    name: str | None = None,
    progress: Callable[[int], object] = lambda passes: None,
) -> Judged:
    """Judge a checkpoint on a data set; keep what a report shows of it.

    Args:
        checkpoint: Folder or shipped name.
        dataset_path: Folder of a labelled data set.
        name: What to call it; its own name by default.
        progress: Called with the number of passes over the data just made, :data:`ALL_PASSES` in
            all.

    Returns:
        Deployments, predictions and labels, and the figures of :func:`evaluate`.
    """
    import torch

    from datagen.store import read_dataset
    from datagen.store.compare import compare_measures
    from surrogate.evaluator import load_surrogate
    from surrogate.report import Judged

    torch.set_num_threads(THREADS)
    surrogate = load_surrogate(checkpoint)
    dataset = read_dataset(dataset_path)
    batch, labels = dataset.batch(laws=surrogate.needs_laws), dataset.measures()
    measures = surrogate.evaluate(batch)
    progress(1)
    result = compare_measures(batch, measures, labels)
    inside = float(np.mean(measures.deployment["in_distribution"]))
    result |= {"deployments": len(batch), "in_distribution": inside}
    result["ms_per_deployment"] = _batched_ms(surrogate, batch, progress)
    result["ms_single"] = _single_ms(surrogate, dataset)
    progress(1)
    return Judged(
        name=name or Path(checkpoint).name,
        batch=batch,
        measures=measures,
        labels=labels,
        result=result,
    )


def _batched_ms(surrogate: Any, batch: Any, progress: Callable[[int], object]) -> float:
    rows = np.arange(min(TIMED, len(batch)))
    parts = [batch.select(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH)]
    seconds = []
    for index in range(WARM_UPS + PASSES):
        begin = time.perf_counter()
        for part in parts:
            surrogate.evaluate(part)
        if index >= WARM_UPS:
            seconds.append(time.perf_counter() - begin)
        progress(1)
    return 1e3 * float(np.median(seconds)) / len(rows)


def _single_ms(surrogate: Any, dataset: Any) -> float:
    singles = [dataset[index][0] for index in range(min(SINGLES, len(dataset)))]
    seconds = []
    for deployment in singles:
        begin = time.perf_counter()
        surrogate.evaluate([deployment])
        seconds.append(time.perf_counter() - begin)
    return 1e3 * float(np.median(seconds))


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: The words after its name.
    """
    parser = Parser("evaluate", "Errors and speed of a released model.", program="surrogate")
    parser.add_argument("checkpoint", help="checkpoint folder, or name of a shipped one")
    parser.add_argument("dataset", help="folder of a labelled data set")
    parser.add_json()
    parser.add_argument("--report", metavar="OUT.html", help="write a self-contained report")
    given = parser.parse_args(arguments)
    report = None if given.report is None else Path(given.report)
    if report is not None:
        from surrogate.report.target import require_target

        require_target(report)
    with progress_bar(ALL_PASSES, quiet=given.json, unit="pass") as progress:
        judged = judge(given.checkpoint, given.dataset, progress=progress)
    result = dict(judged.result)
    if given.json:
        sys.stdout.write(json.dumps(result, allow_nan=False) + "\n")
    else:
        sys.stdout.write(summary(result))
    if report is not None:  # last: the figures are out by now, whatever happens to the page
        from surrogate.report import evaluation_report

        evaluation_report(judged, report)


def summary(result: dict[str, Any]) -> str:
    """Return the errors as a small table.

    Args:
        result: What :func:`evaluate` gave.

    Returns:
        Text of a few lines.
    """
    keys = ("mape", "mape_trimmed", "median", "p95")
    lines = [f"{'relative error, %':20s}" + "".join(f"{key:>14s}" for key in keys)]
    for target in ("throughput_ratio", "latency_ratio"):
        cells = (result[target][key] for key in keys)
        shown = ("-" if cell is None else f"{100 * cell:.3f}" for cell in cells)
        lines.append(f"{target:20s}" + "".join(f"{cell:>14s}" for cell in shown))
    lines.append(
        f"{result['ms_per_deployment']:.4f} ms per deployment batched, "
        f"{result['ms_single']:.2f} ms alone; "
        f"{100 * result['in_distribution']:.1f} % in distribution"
    )
    return "\n".join(lines) + "\n"
