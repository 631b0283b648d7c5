"""Simulator and released model against the labels of ChainNet's public validation set.

``python benchmarks/public_data.py --json`` imports the set, simulates it again, compares, evaluates
the checkpoint and prints the figures; ``--out FOLDER`` also writes a dated result file.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from result_file import BenchmarkParser, cores, deliver, head, machine

HORIZON = 1e5
"""Simulated time of each deployment [s]: as long as makes our noise small beside the labels'."""

SEED = 0

PER_DEPLOYMENT = ("numClasses", "numNodes", "capacity")
PER_CHAIN = (
    "arrival", "path", "service", "throughput", "responseTime", "tputRatio", "resptRatio",
)  # fmt: skip
"""Text files of the format with one line per deployment, and per chain."""

COLUMNS = ("mape", "mape_trimmed", "median", "p95", "p99", "mae")


def shortened(source: Path, target: Path, limit: int) -> Path:
    """Copy the first deployments of a folder of text files.

    Args:
        source: The folder, or the one above its ``raw``.
        target: A new folder.
        limit: Number of deployments.

    Returns:
        The new folder.
    """
    folder = source / "raw" if (source / "raw").is_dir() else source
    target.mkdir()
    classes = (folder / "numClasses.txt").read_text().split()[:limit]
    lines = dict.fromkeys(PER_DEPLOYMENT, len(classes))
    lines |= dict.fromkeys(PER_CHAIN, sum(map(int, classes)))
    for name, count in lines.items():
        file = folder / f"{name}.txt"
        if file.is_file():
            kept = file.read_text().splitlines(keepends=True)[:count]
            (target / file.name).write_text("".join(kept))
    return target


def measure(
    source: Path, checkpoint: str, *, limit: int | None, workers: int, horizon: float
) -> dict[str, Any]:
    """Measure everything.

    Args:
        source: Folder of text files.
        checkpoint: Checkpoint folder or name.
        limit: Number of deployments, or None for all.
        workers: Processes that simulate.
        horizon: Simulated time per deployment [s].

    Returns:
        Plain figures.
    """
    from datagen.generate import simulate_dataset
    from datagen.simulator import SimulationOptions
    from datagen.store import read_dataset
    from datagen.store.chainnet import import_chainnet
    from datagen.store.compare import compare_datasets
    from surrogate.commands.evaluate import evaluate

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if limit is not None:
            source = shortened(source, folder / "shortened", limit)
        count = import_chainnet(source, folder / "public")
        options = SimulationOptions(engine="numba", horizon=horizon, seed=SEED)
        began = time.perf_counter()
        simulate_dataset(folder / "public", folder / "simulated", options, workers=workers)
        seconds = time.perf_counter() - began
        simulator = compare_datasets(
            read_dataset(folder / "simulated"), read_dataset(folder / "public")
        )
        surrogate = evaluate(checkpoint, str(folder / "public"))
    return {
        "deployments": count,
        "horizon": horizon,
        "seed": SEED,
        "checkpoint": checkpoint,
        "workers": workers,
        "simulator": simulator | {"ms_per_deployment": 1e3 * seconds * workers / count},
        "surrogate": surrogate,
        "machine": machine(),
    }


def table(report: dict[str, Any]) -> str:
    """Return the figures as a Markdown table.

    Args:
        report: What :func:`measure` gave.

    Returns:
        Lines of text.
    """
    titles = ["", *COLUMNS, "ms per deployment"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for judged, name in (("simulator", "simulator"), ("surrogate", report["checkpoint"])):
        for target in ("throughput_ratio", "latency_ratio"):
            errors = report[judged][target]
            shown = [
                "-" if errors[key] is None else f"{100 * errors[key]:.3f} %" for key in COLUMNS
            ]
            shown[-1] = "-" if errors["mae"] is None else f"{errors['mae']:.5f}"
            shown.append(f"{report[judged]['ms_per_deployment']:.3f}")
            label = f"{name}, {target.replace('_', ' ')}"
            lines.append(f"| {label} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def result_text(report: dict[str, Any], command: str, hardware: str | None = None) -> str:
    """Return the content of a result file.

    Args:
        report: What :func:`measure` gave.
        command: The command that was run.
        hardware: Class of the machine; this one's by default.

    Returns:
        Markdown.
    """
    return "\n".join([
        *head(
            "Public data: simulator and released model against published labels",
            report["machine"],
            configuration=f"{report['deployments']} deployments of ChainNet's validation set; "
            f"numba engine, horizon {report['horizon']:g} s, seed {report['seed']}, "
            f"{report['workers']} workers; checkpoint {report['checkpoint']}",
            command=command,
            hardware=hardware,
        ),
        table(report),
        "Relative errors |a - b| / (b + 1e-5) over chains against the published labels, which",
        "carry simulation noise themselves; `mape_trimmed` leaves out the worst 0.1 %, `mae` is",
        "absolute. Times: the simulator's is that of one pass, reading and writing included,",
        "times the number of workers; the model's is the median of 7 passes over batches of 1,024",
        f"with 2 threads (one deployment alone: {report['surrogate']['ms_single']:.2f} ms).",
        "",
        "By load (largest offered load on the chain's devices), mean error of the model:",
        "",
        "| load | chains | throughput ratio | latency ratio |",
        "|---|---|---|---|",
        *by_load(report["surrogate"]),
        "",
    ])


def by_load(judged: dict[str, Any]) -> list[str]:
    """Return the rows of the errors by load.

    Args:
        judged: Figures of the surrogate.

    Returns:
        Lines of a Markdown table.
    """
    lines = []
    for regime, errors in judged["by_load"].items():
        passed, latency = errors["throughput_ratio"], errors["latency_ratio"]
        shown = [
            "-" if part["mape"] is None else f"{100 * part['mape']:.2f} %"
            for part in (passed, latency)
        ]
        lines.append(f"| {regime} | {passed['n']} | {' | '.join(shown)} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    parser = BenchmarkParser(__doc__)
    parser.add_public_data("chainnet", "val", said="folder of the text files")
    parser.add_checkpoint()
    parser.add_argument("--limit", metavar="N", type=int, help="first N deployments only")
    parser.add_argument("--horizon", metavar="H", type=float, default=HORIZON, help="time [s]")
    parser.add_argument("--workers", metavar="W", type=int, default=cores(), help="processes")
    given = parser.given(arguments)
    parser.require_public_data(given.data.is_dir(), given.data)
    report = measure(
        given.data,
        given.checkpoint,
        limit=given.limit,
        workers=given.workers,
        horizon=given.horizon,
    )
    deliver("public_data", report, given, result_text=result_text, summary=table(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
