"""Every search on the same placement problems in the same time: which one should be the default?

``python benchmarks/search_methods.py --json`` draws problems of the ``placement`` scenario with
8 to 60 devices whose least-loaded placement loses something, runs every search on each with the
released surrogate, in turn, and compares the simulated losses of what they return. With
``--evaluations`` all get the same number of candidates instead of the same time, and are compared
by what the evaluator says of the best: no figure then depends on the machine. ``--out FOLDER`` also
writes a dated result file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from result_file import BenchmarkParser, deliver, head, machine

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
from surrogate.optimizers.goal import Goal
from surrogate.optimizers.pace import Pace
from surrogate.optimizers.run import Run

SEARCHES: dict[str, Callable[[Evaluator], Search]] = {
    "annealing": lambda _: Annealing(),
    "bayesian": lambda _: BayesianSearch(),
    "genetic": lambda _: GeneticSearch(),
    "gradient": GradientSearch,
    "local": lambda _: LocalSearch(),
    "random": lambda _: RandomSearch(),
}

Found = tuple[float, float, int]
"""Loss of the start and of what was found, and the number of candidates."""

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


def in_time(
    start: Deployment, evaluator: Evaluator, search: Search, seconds: float, seed: int
) -> Found:
    """Search for a time, and say what simulation says.

    Args:
        start: Where to start.
        evaluator: Judges the candidates.
        search: Proposes them.
        seconds: Budget [s].
        seed: Seed of the search.

    Returns:
        Simulated loss of the start and of the winner, and the number of candidates.
    """
    budget = Budget(seconds=seconds)
    result = place(start.problem, evaluator, budget, seed=seed, start=start, search=search)
    return result.start.loss_ratio, result.verified.loss_ratio, result.evaluations


def in_evaluations(
    start: Deployment, evaluator: Evaluator, search: Search, evaluations: float, seed: int
) -> Found:
    """Look at a number of candidates, and say what the evaluator says.

    Args:
        start: Where to start.
        evaluator: Judges the candidates.
        search: Proposes them.
        evaluations: Their number.
        seed: Seed of the search.

    Returns:
        Loss of the start and of the best candidate, and the number of candidates.
    """
    space, budget = PlacementSpace(start), Budget(evaluations=int(evaluations))
    search.begin(space, np.random.default_rng(seed))
    run = Run(space, evaluator, search, Goal(), budget.start(), seed)
    run.to_the_end(Pace(budget, reserve=0.0, planned=int(evaluations)), 0.0, None)
    first = evaluator.evaluate([start]).deployment["loss_ratio"][0]
    return float(first), run.archive.best, run.clock.evaluations


def measure(
    checkpoint: str,
    *,
    analytic: bool,
    budgets: Sequence[float],
    timed: bool,
    count: int,
) -> dict[str, Any]:
    """Run every search on every problem.

    Args:
        checkpoint: Name or folder of the surrogate.
        analytic: Whether candidates are judged by the analytic model; the surrogate then guides
            the gradient search only.
        budgets: Times [s] or numbers of candidates.
        timed: Whether these are times.
        count: Number of problems.

    Returns:
        One row per problem, budget and search, their summary, and the machine.
    """
    surrogate = load_surrogate(checkpoint)
    evaluator: Evaluator = AnalyticEvaluator() if analytic else surrogate
    rows = []
    for number, start in enumerate(problems(count)):
        space = PlacementSpace(start)
        few = (space.choices_count > 1).sum() <= MOST_VARIABLES
        for budget in budgets:
            for name, search in SEARCHES.items():
                if name == "bayesian" and not few:
                    continue
                run = in_time if timed else in_evaluations
                first, last, looked_at = run(start, evaluator, search(surrogate), budget, number)
                rows.append({
                    "problem": number,
                    "fragments": space.slots,
                    "devices": space.devices,
                    "budget": budget,
                    "search": name,
                    "start": first,
                    "loss": last,
                    "evaluations": looked_at,
                })
                sys.stderr.write(f"{rows[-1]}\n")
    return {
        "checkpoint": checkpoint,
        "evaluator": "analytic" if analytic else checkpoint,
        "timed": timed,
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
        placement that any search found of the problem in any budget, and how often it was the best
        in the budget, alone or not.
    """
    best: dict[int, float] = {}
    for row in rows:
        best[row["problem"]] = min(row["loss"], best.get(row["problem"], np.inf))
    compared = []
    for budget in sorted({row["budget"] for row in rows}):
        inside = [row for row in rows if row["budget"] == budget]
        least = {
            number: min(row["loss"] for row in inside if row["problem"] == number)
            for number in best
        }
        for name in sorted({row["search"] for row in inside}):
            own = [row for row in inside if row["search"] == name]
            compared.append({
                "budget": budget,
                "search": name,
                "problems": len(own),
                "loss": _mean(row["loss"] for row in own),
                "over_start": _mean(row["loss"] / row["start"] for row in own),
                "above_best": _mean(row["loss"] - best[row["problem"]] for row in own),
                "wins": sum(row["loss"] <= least[row["problem"]] for row in own),
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
    timed = report["timed"]
    source = (
        "Losses are simulated on seeds that no choice depended on."
        if timed
        else f"Losses are those of the {report['evaluator']} evaluator, which guided the searches."
    )
    lines = [
        *head(
            f"Searches on placement problems, equal {'time' if timed else 'numbers of candidates'}",
            report["machine"],
            configuration=f"evaluator {report['evaluator']}, gradient of checkpoint "
            f"{report['checkpoint']}, {report['problems']} problems of the placement scenario with "
            f"8 to 60 devices, seed {SEED}, least-loaded start",
            command=command,
            hardware=hardware,
        ),
        f"{source} *Above best*: mean difference to the best placement that any search found of "
        f"the problem. The Bayesian search takes problems of up to {MOST_VARIABLES} fragments "
        "only, and is compared on these.",
        "",
        "| budget | search | problems | mean loss | over start | above best | best | candidates |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['budget']:g}{' s' if timed else ''} | {row['search']} | {row['problems']} "
        f"| {100 * row['loss']:.2f} % | {row['over_start']:.3f} | {100 * row['above_best']:.2f} % "
        f"| {row['wins']} | {row['evaluations']:.0f} |"
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
    parser = BenchmarkParser(__doc__)
    parser.add_checkpoint()
    parser.add_argument(
        "--seconds", metavar="B", type=float, nargs="+", default=[1.0, 5.0], help="budgets [s]"
    )
    parser.add_argument(
        "--evaluations", metavar="N", type=float, nargs="+", help="numbers of candidates instead"
    )
    parser.add_argument("--analytic", action="store_true", help="judge by the analytic model")
    parser.add_argument("--problems", metavar="N", type=int, default=10, help="how many")
    given = parser.given(arguments)
    report = measure(
        given.checkpoint,
        analytic=given.analytic,
        budgets=given.evaluations or given.seconds,
        timed=given.evaluations is None,
        count=given.problems,
    )
    deliver("search_methods", report, given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
