"""The search on the shipped example, repeated: what it predicts, and what simulation says of it.

``python benchmarks/example_placement.py --json`` searches ``examples/cameras.yaml`` with several
seeds; ``--out FOLDER`` also writes a dated result file.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from result_file import BenchmarkParser, deliver, head, machine

from datagen.documents import read_problem
from surrogate import load_surrogate
from surrogate.optimizers import Budget, place

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "cameras.yaml"

SEEDS = range(5)


def measure(checkpoint: str, seconds: float) -> dict[str, Any]:
    """Search with every seed.

    Args:
        checkpoint: Name or folder of the surrogate.
        seconds: Budget of each search [s].

    Returns:
        One row per seed, and the machine.
    """
    problem, start = read_problem(EXAMPLE)
    surrogate = load_surrogate(checkpoint)
    rows = []
    for seed in SEEDS:
        result = place(problem, surrogate, Budget(seconds=seconds), seed=seed, start=start)
        found = result.to_dict()
        rows.append({
            "seed": seed,
            "start": found["start"]["loss_ratio"],
            "predicted": found["predicted"]["loss_ratio"],
            "verified": found["verified"]["loss_ratio"],
            "ci95": found["verified"]["ci95"],
            "evaluations": found["evaluations"],
        })
    return {"checkpoint": checkpoint, "seconds": seconds, "rows": rows, "machine": machine()}


def result_text(report: dict[str, Any], command: str, hardware: str | None = None) -> str:
    """Return the content of a result file.

    Args:
        report: What :func:`measure` gave.
        command: The command that was run.
        hardware: Class of the machine; this one's by default.

    Returns:
        Markdown.
    """
    lines = [
        *head(
            "Placement of examples/cameras.yaml",
            report["machine"],
            configuration=f"checkpoint {report['checkpoint']}, {report['seconds']:g} s a search",
            command=command,
            hardware=hardware,
        ),
        "| seed | start, simulated | predicted | verified | 95 % interval | evaluations |",
        "|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        low, high = row["ci95"]
        cells = (f"{100 * row[name]:.2f} %" for name in ("start", "predicted", "verified"))
        lines.append(
            f"| {row['seed']} | {' | '.join(cells)} | {100 * low:.2f} to {100 * high:.2f} % | "
            f"{row['evaluations']} |"
        )
    verified = statistics.median(row["verified"] for row in report["rows"])
    lines += ["", f"Median verified loss ratio: {100 * verified:.2f} %.", ""]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    parser = BenchmarkParser(__doc__)
    parser.add_checkpoint()
    parser.add_argument("--seconds", metavar="B", type=float, default=10.0, help="budget [s]")
    given = parser.given(arguments)
    report = measure(given.checkpoint, given.seconds)
    deliver("example_placement", report, given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
