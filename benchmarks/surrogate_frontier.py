"""Error against milliseconds per deployment: surrogates, formulas and simulations on one data set.

``python benchmarks/surrogate_frontier.py DATASET --json`` evaluates the deployments of a labelled
data set by each of them, compares with the labels and says which simulations a surrogate beats at
equal or less time. ``--out FOLDER`` writes a dated result file and the frontier beside it, as an
SVG file of the same name; ``--html FILE`` draws it on a page. Trained networks compete by
``--checkpoint NAME=FOLDER``.

Times are medians of interleaved passes: a pass of one competitor is followed by one of the next, so
that other work on the machine meets all of them. Errors are over the same chains for all; what
needs no simulation is judged on the whole data set, too.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from frontier_boosting import boosting
from frontier_entries import Entry, formulas, simulations, surrogates
from frontier_plot import frontier_svg
from frontier_report import FIGURES, page, result_text, tables
from result_file import BenchmarkParser, deliver, machine

from datagen.errors import DatagenError, require
from datagen.evaluation import DeploymentBatch, Evaluator, Measures
from datagen.simulator.simulation import warm_up
from datagen.store import Dataset, read_dataset
from datagen.store.compare import compare_measures
from surrogate.errors import SurrogateError

HORIZONS = (1e2, 3e2, 1e3, 3e3, 1e4, 3e4)
"""Simulated times [s], from what costs little more than setting up to what costs milliseconds."""

SIMULATED = 1000
"""Deployments that are simulated: 2,000 chains tell a 95 % quantile to a tenth of its value."""

BATCH = 1024
TIMED = 4096
"""Deployments per call, and per timed pass, of whatever does not simulate."""

REPEATS = 5
THREADS = 2

TARGETS = ("throughput_ratio", "latency_ratio", "loss_ratio")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Labelled deployments that competitors are judged on.

    Args:
        batch: Deployments with their laws.
        labels: What is taken as true.
    """

    batch: DeploymentBatch
    labels: Measures

    @classmethod
    def of(cls, dataset: Dataset, count: int) -> Trial:
        """Take deployments evenly spread over a data set.

        Args:
            dataset: The data set.
            count: Number of deployments at most, >= 1.

        Returns:
            The trial.
        """
        rows = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(np.int64)
        return cls(batch=dataset.batch(rows), labels=dataset.measures(rows))

    def errors(self, evaluator: Evaluator) -> dict[str, Any]:
        """Return the errors of an evaluator by target.

        Args:
            evaluator: Who is judged.

        Returns:
            Plain values with the number of deployments.
        """
        report = compare_measures(self.batch, evaluator.evaluate(self.batch), self.labels)
        return {"deployments": len(self.batch)} | {target: report[target] for target in TARGETS}

    def parts(self, size: int) -> list[DeploymentBatch]:
        """Cut the deployments into batches.

        Args:
            size: Deployments per batch at most.

        Returns:
            The batches.
        """
        count = len(self.batch)
        chunks = np.array_split(np.arange(count), -(-count // size))
        return [self.batch.select(chunk) for chunk in chunks]


def timed(
    entries: Sequence[Entry], work: Sequence[Sequence[DeploymentBatch]], repeats: int
) -> list[list[float]]:
    """Time every entry again and again, in turn, each warm.

    Args:
        entries: The competitors, each evaluated before.
        work: What one pass of each evaluates.
        repeats: Passes of each.

    Returns:
        Per entry the milliseconds per deployment of its passes.
    """
    passes: list[list[float]] = [[] for _ in entries]
    for _ in range(repeats):
        for entry, batches, own in zip(entries, work, passes, strict=True):
            began = time.perf_counter()
            for batch in batches:
                entry.evaluator.evaluate(batch)
            seconds = time.perf_counter() - began
            own.append(1e3 * seconds / sum(map(len, batches)))
    return passes


def rows_of(
    entries: Sequence[Entry], dataset: Dataset, *, simulated: int, repeats: int
) -> list[dict[str, Any]]:
    """Judge and time every entry.

    Args:
        entries: The competitors.
        dataset: Labelled deployments.
        simulated: Deployments that all are compared on.
        repeats: Timed passes of each.

    Returns:
        One row of plain values per entry; see :func:`measure`.
    """
    same, whole = Trial.of(dataset, simulated), Trial.of(dataset, len(dataset))
    batches = Trial.of(dataset, TIMED).parts(BATCH)
    work = [[same.batch] if entry.simulates else batches for entry in entries]
    judged = [same.errors(entry.evaluator) for entry in entries]
    on_all = [None if entry.simulates else whole.errors(entry.evaluator) for entry in entries]
    passes = timed(entries, work, repeats)
    return [
        {
            "name": entry.name,
            "kind": entry.kind,
            "threads": entry.threads,
            "horizon": entry.horizon,
            "fit_s": entry.fit_s,
            "fitted_on": entry.fitted_on,
            "ms_per_deployment": statistics.median(own),
            "ms_fastest": min(own),
            "ms_slowest": max(own),
            "deployments_timed": sum(map(len, evaluated)),
            **errors,
            "whole": errors_on_all,
        }
        for entry, own, evaluated, errors, errors_on_all in zip(
            entries, passes, work, judged, on_all, strict=True
        )
    ]


def thread_ms(row: Mapping[str, Any]) -> float:
    """Return what a deployment costs [ms]: the time of all threads that may be used."""
    return float(row["ms_per_deployment"] * row["threads"])


def beaten(row: Mapping[str, Any], rivals: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Say which rivals cost at least as much and are no more accurate.

    Args:
        row: The row of a surrogate or formula.
        rivals: Rows of simulations.

    Returns:
        Names of rivals by figure, and under ``all`` those beaten in every figure. A figure that no
        chain defines is left out.
    """
    as_slow = [rival for rival in rivals if thread_ms(row) <= thread_ms(rival)]
    found = {
        f"{target}.{key}": [
            rival["name"]
            for rival in as_slow
            if rival[target][key] is not None and row[target][key] <= rival[target][key]
        ]
        for target, key in FIGURES
        if row[target][key] is not None
    }
    everywhere = [
        rival["name"]
        for rival in as_slow
        if found and all(rival["name"] in names for names in found.values())
    ]
    return {"all": everywhere} | found


def measure(
    dataset: Dataset, entries: Sequence[Entry], *, simulated: int, repeats: int
) -> dict[str, Any]:
    """Measure everything.

    Args:
        dataset: Labelled deployments.
        entries: The competitors.
        simulated: Deployments that all are compared on, >= 1.
        repeats: Timed passes of each, >= 1.

    Returns:
        Plain figures: ``rows`` with time, errors by target on the same deployments for all, on the
        ``whole`` data set where nothing is simulated, and ``beats``, None for a simulation.

    Raises:
        InvalidInputError: If a count is below one.
    """
    require(simulated >= 1, "simulated", "be >= 1", simulated)
    require(repeats >= 1, "repeats", "be >= 1", repeats)
    warm_up()
    rows = rows_of(entries, dataset, simulated=simulated, repeats=repeats)
    rivals = [row for row in rows if row["kind"] == "simulation"]
    for row in rows:
        row["beats"] = None if row["kind"] == "simulation" else beaten(row, rivals)
    hashes = "".join(shard["sha256"] for shard in dataset.manifest["shards"])
    return {
        "dataset": dataset.path.name,
        "dataset_sha256": hashlib.sha256(hashes.encode()).hexdigest(),
        "labels": dataset.manifest["labels"]["source"],
        "deployments": len(dataset),
        "compared": min(simulated, len(dataset)),
        "repeats": repeats,
        "rows": rows,
        "machine": machine(),
    }


def competitors(given: argparse.Namespace, dataset: Dataset) -> list[Entry]:
    """Return what the command line asks for.

    Args:
        given: Parsed arguments.
        dataset: What they will be judged on.

    Returns:
        Surrogates, baseline, formulas, simulations.

    Raises:
        InvalidInputError: If the baseline were fitted on what it is judged on.
    """
    entries = surrogates(given.checkpoint or ["chainnet"], given.threads)
    if given.boosting is not None:
        apart = given.boosting.resolve() != given.dataset.resolve()
        rule = "be another data set than the one that all are judged on"
        require(apart, "boosting", rule, str(given.boosting))
        fitted_on = read_dataset(given.boosting)
        entries.append(boosting(fitted_on, limit=given.boosting_limit, threads=given.threads))
    entries += formulas(given.threads)
    return entries + simulations(given.horizons, dataset.manifest.get("seed"))


def parser() -> BenchmarkParser:
    """Return the parser of the command line."""
    made = BenchmarkParser(__doc__)
    made.add_argument("dataset", metavar="DATASET", type=Path, help="labelled data set")
    made.add_argument(
        "--checkpoint",
        metavar="[NAME=]CHECKPOINT",
        action="append",
        help="name of a shipped one or folder, and what to call it; may be repeated",
    )
    made.add_argument(
        "--horizons", metavar="H", type=float, nargs="+", default=HORIZONS, help="times [s]"
    )
    made.add_argument("--simulated", metavar="N", type=int, default=SIMULATED, help="deployments")
    made.add_argument("--repeats", metavar="N", type=int, default=REPEATS, help="timed passes")
    made.add_argument("--threads", metavar="N", type=int, default=THREADS, help="of tensors")
    made.add_argument(
        "--boosting", metavar="DATASET", type=Path, help="fit gradient boosting on this, for a row"
    )
    made.add_argument(
        "--boosting-limit", metavar="N", type=int, default=100_000, help="deployments it is fit on"
    )
    made.add_argument("--html", metavar="FILE", type=Path, help="where the frontier is drawn")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    import torch

    reader = parser()
    given = reader.given(arguments)
    try:
        require(given.threads >= 1, "threads", "be >= 1", given.threads)
        torch.set_num_threads(given.threads)
        dataset = read_dataset(given.dataset)
        entries = competitors(given, dataset)
        report = measure(dataset, entries, simulated=given.simulated, repeats=given.repeats)
        if given.html is not None:
            page(report).write(given.html)
    except (DatagenError, SurrogateError) as error:
        reader.error(str(error))
    summary = tables(report)
    written = deliver("surrogate_frontier", report, given, result_text=result_text, summary=summary)
    if written is not None:
        written.with_suffix(".svg").write_text(frontier_svg(report["rows"]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
