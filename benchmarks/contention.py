"""Errors of a surrogate where jobs get in each other's way, by what they contend for.

``python benchmarks/contention.py CHECKPOINT DATASET --json`` evaluates a labelled data set of the
scenario ``contention`` and compares with the labels: all chains, the chains of deployments that
have an effect, alone or among others, and those of plain deployments. ``--prior`` judges the
uncorrected prior of the same features beside it: a fresh network that reads them.

    python benchmarks/contention.py checkpoints/contention data/contention_test --json --out FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from result_file import BenchmarkParser, deliver, head, machine

from datagen.errors import DatagenError
from datagen.evaluation import DeploymentBatch, Effect, Measures
from datagen.store import read_dataset
from surrogate import load_surrogate
from surrogate.errors import SurrogateError
from surrogate.features.arrays import flow_arrays
from surrogate.models import ChainNet

FEATURES: dict[str, Effect] = {
    "shared processors": Effect.PROCESSOR_SHARING,
    "cores that slow each other down": Effect.SPEEDUP,
    "priorities": Effect.PRIORITY,
    "parallel chains": Effect.PARALLEL,
    "blocking": Effect.BLOCKING,
}
"""Effects that are judged apart, in the words of the table."""

THROUGHPUT_P95, LATENCY_MAPE = 0.08, 0.03
"""Goals over all chains: 95 % quantile of the throughput ratio's error, mean of the latency's."""

DENOMINATOR_SHIFT = 1e-5
"""Added to labels in relative errors, as everywhere."""

BATCH = 512
"""Deployments per call."""

Floats = NDArray[np.float64]
Errors = dict[str, Floats]


def relative_errors(said: Mapping[str, Floats], labels: Measures) -> Errors:
    """Return relative errors of the chains; NaN where either side is undefined.

    Args:
        said: Predicted throughput and latency ratios [C].
        labels: What is taken as true.

    Returns:
        Errors by target [C].
    """
    return {
        name: np.abs(values - labels.chain[name]) / (labels.chain[name] + DENOMINATOR_SHIFT)
        for name, values in said.items()
    }


def groups(batch: DeploymentBatch) -> dict[str, NDArray[np.bool_]]:
    """Return which chains are judged together, by name of the group.

    Args:
        batch: The deployments.

    Returns:
        Flags [C].
    """
    owner = batch.owner("chain")
    every = Effect(0)
    rows = {"all": np.ones(len(owner), dtype=bool)}
    for name, effect in FEATURES.items():
        rows[name] = (batch.effects & int(effect))[owner] != 0
        every |= effect
    rows["chains that are parallel"] = batch.chain_parallel > 0
    count = sum((batch.effects & int(effect) != 0).astype(int) for effect in FEATURES.values())
    rows["one of these alone"] = (count == 1)[owner]
    rows["two or more"] = (count >= 2)[owner]
    rows["none of these"] = (batch.effects & int(every))[owner] == 0
    return rows


def summary(errors: Errors, rows: NDArray[np.bool_]) -> dict[str, Any]:
    """Return mean and 95 % quantile of the errors of some chains.

    Args:
        errors: Errors by target [C].
        rows: The chains [C].

    Returns:
        Plain figures by target; None where nothing is defined.
    """
    found: dict[str, Any] = {"chains": int(rows.sum())}
    for name, values in errors.items():
        known = values[rows & np.isfinite(values)]
        some = len(known) > 0
        found[name] = {
            "mape": float(known.mean()) if some else None,
            "p95": float(np.quantile(known, 0.95)) if some else None,
            "n": len(known),
        }
    return found


def uncorrected(batch: DeploymentBatch) -> dict[str, Floats]:
    """Return what the prior of the group's features says, corrected by nothing.

    Args:
        batch: The deployments.

    Returns:
        Throughput and latency ratios [C].
    """
    network = ChainNet(hidden=2, iterations=1, groups=["contention"])
    parts: dict[str, list[Floats]] = {"throughput_ratio": [], "latency_ratio": []}
    with torch.inference_mode():
        for first in range(0, len(batch), BATCH):
            rows = np.arange(first, min(first + BATCH, len(batch)))
            said = network(flow_arrays(batch.select(rows)))
            for name, listed in parts.items():
                listed.append(getattr(said, name).double().numpy())
    return {name: np.concatenate(listed) for name, listed in parts.items()}


def report(checkpoint: str, folder: Path, *, prior: bool) -> dict[str, Any]:
    """Judge a surrogate.

    Args:
        checkpoint: Name or folder.
        folder: Labelled data set.
        prior: Whether the uncorrected prior is judged, too.

    Returns:
        Plain figures.
    """
    dataset = read_dataset(folder)
    batch, labels = dataset.batch(), dataset.measures()
    measures = load_surrogate(checkpoint).evaluate(batch)
    said = {name: measures.chain[name] for name in ("throughput_ratio", "latency_ratio")}
    errors = relative_errors(said, labels)
    rows = groups(batch)
    found: dict[str, Any] = {
        "machine": machine(),
        "checkpoint": checkpoint,
        "deployments": len(batch),
        "errors": {name: summary(errors, own) for name, own in rows.items()},
    }
    if prior:
        plain = relative_errors(uncorrected(batch), labels)
        found["prior"] = {name: summary(plain, own) for name, own in rows.items()}
    everything = found["errors"]["all"]
    found["reached"] = bool(
        everything["throughput_ratio"]["p95"] <= THROUGHPUT_P95
        and everything["latency_ratio"]["mape"] <= LATENCY_MAPE
    )
    return found


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100.0 * value:.2f} %"


def _table(figures: Mapping[str, Any]) -> list[str]:
    lines = [
        "| deployments with | chains | throughput ratio: mean | 95 % | latency: mean | 95 % |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, own in figures.items():
        cells = [name, str(own["chains"])]
        for target in ("throughput_ratio", "latency_ratio"):
            cells += [_percent(own[target]["mape"]), _percent(own[target]["p95"])]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def result_text(found: Mapping[str, Any], command: str, hardware: str | None) -> str:
    """Return the content of a result file.

    Args:
        found: What :func:`report` gave.
        command: The command that gives it again.
        hardware: Class of the machine; this one's by default.

    Returns:
        Markdown.
    """
    lines = head(
        "Errors under contention, by effect",
        found["machine"],
        configuration=f"{found['deployments']} deployments, checkpoint {found['checkpoint']}",
        command=command,
        hardware=hardware,
    )
    reached = "reached" if found["reached"] else "not reached"
    lines += [
        f"Relative errors of chains. Goals over all of them: 95 % quantile of the throughput ratio "
        f"at most {_percent(THROUGHPUT_P95)}, mean of the latency ratio at most "
        f"{_percent(LATENCY_MAPE)}; {reached}.",
        "",
        *_table(found["errors"]),
    ]
    if "prior" in found:
        lines += ["The uncorrected prior:", "", *_table(found["prior"])]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge a surrogate and deliver the figures.

    Args:
        arguments: Words of the command line; None for the process's own.

    Returns:
        0, or 2 where something that was given cannot be used.
    """
    parser = BenchmarkParser(__doc__)
    parser.add_argument("checkpoint", help="name or folder of a checkpoint")
    parser.add_argument("dataset", type=Path, help="labelled data set")
    parser.add_argument("--prior", action="store_true", help="judge the uncorrected prior, too")
    given = parser.given(arguments)
    try:
        found = report(given.checkpoint, given.dataset, prior=given.prior)
    except (DatagenError, SurrogateError) as error:
        sys.stderr.write(f"contention: error: {error}\n")
        return 2
    deliver("contention", found, given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
