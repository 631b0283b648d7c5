"""Every search on the same placement problems in the same time: which one should be the default?

``python benchmarks/search_methods.py --json`` draws problems of the ``placement`` scenario with
8 to 60 devices whose least-loaded placement loses something, runs every search on each with the
released surrogate, in turn, and compares the simulated losses of what they return;
``--out FOLDER`` also writes a dated result file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from result_file import add_output_options, deliver, head, machine

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.deployment import Deployment
from datagen.evaluation import Evaluator
from datagen.scenarios import PlacementScenario
from surrogate import load_surrogate
from surrogate.optimizers import (
    Annealing,
    BayesianSearch,
    Budget,
    GeneticSearch,
    GradientSearch,
    LocalSearch,
    PlacementSpace,
    RandomSearch,
    Search,
    place,
)
from surrogate.optimizers.baselines import least_loaded_start
from surrogate.optimizers.bayesian import MOST_VARIABLES

SEARCHES: dict[str, Callable[[Evaluator], Search]] = {
    "annealing": lambda _: Annealing(),
    "bayesian": lambda _: BayesianSearch(),
    "genetic": lambda _: GeneticSearch(),
    "gradient": GradientSearch,
    "local": lambda _: LocalSearch(),
    "random": lambda _: RandomSearch(),
}

SCENARIO = PlacementScenario(devices=(8, 60), load=(0.5, 1.2))

SEED = 2611
"""Of the problems; no data set was drawn with it."""

LEAST_LOSS = 0.02
"""Loss of the least-loaded placement, as the analytic model says: with less, little is to gain."""


def problems(count: int) -> list[Deployment]:
    """Draw problems, placed least-loaded.

    Args:
        count: How many.

    Returns:
        The starts.
    """
    found: list[Deployment] = []
    index = 0
    while len(found) < count:
        drawn = SCENARIO.sample(index, SEED).problem
        index += 1
        start = least_loaded_start(drawn)
        loss = AnalyticEvaluator().evaluate([start]).deployment["loss_ratio"][0]
        if len(drawn.devices) >= SCENARIO.devices[0] and loss >= LEAST_LOSS:
            found.append(start)
    return found


def measure(checkpoint: str, seconds: Sequence[float], count: int) -> dict[str, Any]:
    """Run every search on every problem.

    Args:
        checkpoint: Name or folder of the surrogate.
        seconds: Budgets [s].
        count: Number of problems.

    Returns:
        One row per problem, budget and search, their summary, and the machine.
    """
    surrogate = load_surrogate(checkpoint)
    rows = []
    for number, start in enumerate(problems(count)):
        space = PlacementSpace(start)
        few = (space.choices_count > 1).sum() <= MOST_VARIABLES
        for budget in seconds:
            for name, search in SEARCHES.items():
                if name == "bayesian" and not few:
                    continue
                result = place(
                    start.problem,
                    surrogate,
                    Budget(seconds=budget),
                    seed=number,
                    start=start,
                    search=search(surrogate),
                )
                rows.append({
                    "problem": number,
                    "fragments": space.slots,
                    "devices": space.devices,
                    "seconds": budget,
                    "search": name,
                    "start": result.start.loss_ratio,
                    "verified": result.verified.loss_ratio,
                    "evaluations": result.evaluations,
                })
                sys.stderr.write(f"{rows[-1]}\n")
    return {
        "checkpoint": checkpoint,
        "problems": count,
        "rows": rows,
        "summary": summary(rows),
        "machine": machine(),
    }


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Compare the searches in each budget.

    Args:
        rows: What :func:`measure` gathers.

    Returns:
        Per budget and search: mean loss, mean loss over that of the start, mean loss above the best
        placement that any search found of the problem in any time, and wins or ties in the budget.
    """
    best: dict[int, float] = {}
    for row in rows:
        best[row["problem"]] = min(row["verified"], best.get(row["problem"], np.inf))
    compared = []
    for seconds in sorted({row["seconds"] for row in rows}):
        inside = [row for row in rows if row["seconds"] == seconds]
        least = {
            number: min(row["verified"] for row in inside if row["problem"] == number)
            for number in best
        }
        for name in sorted({row["search"] for row in inside}):
            own = [row for row in inside if row["search"] == name]
            compared.append({
                "seconds": seconds,
                "search": name,
                "problems": len(own),
                "loss": _mean(row["verified"] for row in own),
                "over_start": _mean(row["verified"] / row["start"] for row in own),
                "above_best": _mean(row["verified"] - best[row["problem"]] for row in own),
                "wins": sum(row["verified"] <= least[row["problem"]] for row in own),
                "evaluations": float(np.median([row["evaluations"] for row in own])),
            })
    return compared


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))


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
            "Searches on placement problems in equal time",
            report["machine"],
            configuration=f"checkpoint {report['checkpoint']}, {report['problems']} problems of "
            f"the placement scenario with 8 to 60 devices, seed {SEED}, least-loaded start",
            command=command,
            hardware=hardware,
        ),
        "Losses are simulated on seeds that no choice depended on. *Above best*: mean difference "
        "to the best placement that any search found of the problem. The Bayesian search takes "
        f"problems of up to {MOST_VARIABLES} fragments only.",
        "",
        "| budget | search | problems | mean loss | over start | above best | wins | candidates |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['seconds']:g} s | {row['search']} | {row['problems']} | {100 * row['loss']:.2f} % "
        f"| {row['over_start']:.3f} | {100 * row['above_best']:.2f} % | {row['wins']} "
        f"| {row['evaluations']:.0f} |"
        for row in report["summary"]
    ]
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--checkpoint", metavar="NAME", default="chainnet", help="name or folder")
    parser.add_argument(
        "--seconds", metavar="B", type=float, nargs="+", default=[1.0, 5.0], help="budgets [s]"
    )
    parser.add_argument("--problems", metavar="N", type=int, default=10, help="how many")
    add_output_options(parser)
    given = parser.parse_args(words)
    report = measure(given.checkpoint, given.seconds, given.problems)
    deliver("search_methods", report, given, words, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
