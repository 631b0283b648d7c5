"""Online exit policies against each other: accuracy, loss and latency in every cell, equal draws.

    python benchmarks/early_exit_policies.py --rows rows.jsonl --out benchmarks/results

Every measured row goes to the file of rows at once, and a second call goes on after what is there;
the report is made of all of them. See :mod:`policy_cells` for what is deployed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from policy_cells import (
    ARRIVALS,
    CHAIN,
    DIFFICULTIES,
    LOADS,
    TOPOLOGIES,
    Cell,
    deployment_of,
    policies,
    prepare,
)
from policy_questions import answers
from policy_questions import text as questions_text
from policy_regret import regrets
from policy_regret import text as regret_text
from policy_report import plot, report_of, result_text
from result_file import REPOSITORY, BenchmarkParser, deliver, machine

from datagen.exits import ExitTrace
from datagen.simulator.options import SimulationOptions
from datagen.simulator.policies import PolicyRun, simulate_policies

NETWORK = REPOSITORY / "checkpoints" / "eenn-network"

JOBS = 16_000
"""Offered jobs of a cell, all runs together: a loss of 1 % is known to a tenth of itself."""

RUNS = 4
WARMUP = 0.1
SEED = 11


def measured_row(cell: Cell, policy: str, run: PolicyRun, jobs: int) -> dict[str, Any]:
    """Return the figures of one policy in one cell."""
    chain, mix = run.measures.chain, run.mixes[CHAIN]
    said: dict[str, Any] = asdict(cell) | {"policy": policy, "jobs": jobs}
    for name in ("accuracy_offered", "accuracy_completed", "loss_ratio", "latency", "p95"):
        said[name] = float(chain[name][0])
        error = float(chain[f"{name}_se"][0]) if f"{name}_se" in chain else float("nan")
        said[f"{name}_se"] = error if np.isfinite(error) else None
    said["loss_low"] = float(chain["loss_ratio_low"][0])
    said["loss_high"] = float(chain["loss_ratio_high"][0])
    said["decision_us"] = 1e6 * run.costs[CHAIN].per_decision
    said["mix"] = mix.round(4).tolist()
    return said


def options_of(given: argparse.Namespace) -> SimulationOptions:
    """Return how every row is simulated."""
    return SimulationOptions(offered=float(given.jobs), replications=RUNS, warmup=WARMUP, seed=SEED)


def sweep(given: argparse.Namespace, done: set[tuple[object, ...]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of all cells that are not done yet."""
    ceed = given.data / "ceed"
    options = options_of(given)
    for topology, difficulty in product(given.topologies, given.difficulties):
        prepared = None
        for arrivals, load in product(ARRIVALS, given.loads):
            cell = Cell(topology, difficulty, arrivals, load)
            own = tuple(asdict(cell).values())
            if prepared is None:
                prepared = prepare(topology, difficulty, NETWORK, ceed, given.target)
            deployment = deployment_of(cell, prepared.traces, ceed)
            for name, make in policies(prepared, given.target).items():
                if (*own, name) in done:
                    continue
                run = simulate_policies(
                    deployment,
                    {CHAIN: make()},
                    options,
                    calibration={CHAIN: prepared.traces.calibration},
                )
                yield measured_row(cell, name, run, given.jobs)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows measured so far."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def key_of(row: dict[str, Any]) -> tuple[object, ...]:
    """Return what tells a row from others."""
    return tuple(row[n] for n in ("topology", "difficulty", "arrivals", "load", "policy"))


def parser() -> BenchmarkParser:
    """Return the command line."""
    made = BenchmarkParser(__doc__)
    made.add_public_data()
    made.add_argument("--target", metavar="L", type=float, default=0.01, help="loss target")
    made.add_argument(
        "--loads", metavar="L", type=float, nargs="+", default=LOADS, help="load factors"
    )
    made.add_argument(
        "--topologies",
        metavar="T",
        nargs="+",
        default=TOPOLOGIES,
        choices=TOPOLOGIES,
        help="gateway, edges or both",
    )
    made.add_argument(
        "--difficulties",
        metavar="D",
        nargs="+",
        default=DIFFICULTIES,
        choices=DIFFICULTIES,
        help="clean, drifting or both",
    )
    made.add_argument("--jobs", metavar="N", type=int, default=JOBS, help="jobs of a cell")
    made.add_argument(
        "--rows", metavar="FILE", type=Path, required=True, help="rows measured so far"
    )
    made.add_argument("--questions", metavar="FILE", type=Path, help="rows of the open questions")
    made.add_argument(
        "--notes", metavar="FILE", type=Path, help="comments for the result file, in Markdown"
    )
    made.add_argument("--report-only", action="store_true", help="measure nothing")
    made.add_argument("--plot", metavar="FILE", type=Path, help="accuracy by load")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    given = parser().given(arguments)
    if not given.report_only:
        with given.rows.open("a") as file:
            for row in sweep(given, {key_of(row) for row in read_rows(given.rows)}):
                file.write(json.dumps(row) + "\n")
                file.flush()
        if given.questions is not None and not given.questions.exists():
            ceed = given.data / "ceed"
            prepared = prepare("gateway", "drifting", NETWORK, ceed, given.target)
            with given.questions.open("w") as file:
                for row in answers(prepared, ceed, given.target, options_of(given)):
                    file.write(json.dumps(row) + "\n")
                    file.flush()
    rows = read_rows(given.rows)
    asked = [] if given.questions is None else read_rows(given.questions)
    report = report_of(rows, given.target) | {"machine": machine()}
    said = [] if given.notes is None else given.notes.read_text().splitlines()
    regret = regrets(ExitTrace.load(NETWORK / "test.npz"))
    report |= {"questions": asked, "regret": regret, "comments": said}
    report["notes"] = [*regret_text(regret), *questions_text(asked)]
    if given.plot is not None:
        plot(rows, given.target, given.plot)
    deliver("early_exit_policies", report, given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
