"""``surrogate optimize``: search a deployment of a problem and prove it by simulation."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from datagen.commands.options import Parser, number, whole, write_json, write_line
from datagen.errors import require

if TYPE_CHECKING:
    from datagen.deployment import Problem
    from datagen.evaluation import Evaluator
    from surrogate.optimizers import Objective, Search, SearchResult

__all__ = ["evaluator_named", "main", "objective_named", "search_named"]

PROBLEMS = ("place", "thresholds", "npu", "joint", "split", "reconfigure")
"""Kinds of problems that can be searched."""

SEARCHES = {
    "annealing": "Annealing",
    "bayesian": "BayesianSearch",
    "genetic": "GeneticSearch",
    "gradient": "GradientSearch",
    "local": "LocalSearch",
    "nsga2": "NondominatedSearch",
    "random": "RandomSearch",
    "screened": "ScreenedAnnealing",
}
"""Searches by the names of the command line; their classes, which are costly to import."""

RULES = ("first-fit", "ilp", "least-loaded", "neurosurgeon", "round-robin")
"""Placements that are computed without a search, by their names in :mod:`optimizers.rules`."""

FRONT_SEARCH = "nsga2"
"""The search for several objectives at once."""

SPLIT_RULE = "neurosurgeon"
"""What cuts each chain once where nothing else is asked for."""

OBJECTIVES = {
    "deadline": "MissedDeadlines",
    "energy": "Energy",
    "latency": "Latency",
    "loss": "SystemLoss",
    "p95": "TailLatency",
    "throughput": "Throughput",
}
"""Objectives by the names of the command line, and their classes."""

SIMULATED_EVENTS = 2e4
"""Events per candidate where the simulator guides the search: a few milliseconds each, and a loss
ratio of 5 % to about a tenth of itself, with the same random numbers for all candidates."""

SIMULATED_RUNS = 4
"""Independent runs that share these events: fewer give no standard error worth the name."""


def _parser() -> Parser:
    parser = Parser(
        "optimize", "Search a deployment and prove it by simulation.", program="surrogate"
    )
    parser.add_argument("kind", choices=PROBLEMS, help="what is decided")
    parser.add_argument("problem", metavar="PROBLEM.yaml", help="problem, perhaps with a start")
    parser.add_argument(
        "--evaluator",
        metavar="E",
        required=True,
        help="analytic, simulator, or a checkpoint: a folder or the name of a shipped one",
    )
    parser.add_argument(
        "--search",
        choices=(*SEARCHES, *RULES),
        help="what proposes candidates (default: screened where formulas cover the problem, "
        "otherwise annealing; nsga2 with --also; of split, neurosurgeon)",
    )
    _add_goal(parser)
    _add_special(parser)
    parser.add_argument("--seconds", metavar="B", help="time of search and selection [s]")
    parser.add_argument("--evaluations", metavar="N", help="largest number of candidates")
    parser.add_argument("--seed", metavar="S", help="seed of everything random (default: 0)")
    parser.add_json()
    parser.add_argument("--report", metavar="OUT.html", help="write a self-contained report")
    return parser


def _add_goal(parser: Parser) -> None:
    """Add the options that say what is minimised, and which limits are kept."""
    parser.add_argument(
        "--objective",
        choices=tuple(OBJECTIVES),
        help="what is minimised (default: loss; of npu, joint and split, latency); of throughput "
        "and of deadlines met, the shortfall",
    )
    parser.add_argument(
        "--also",
        choices=tuple(OBJECTIVES),
        action="append",
        help="a further objective: what can be had of one for how much of the other is searched "
        "and simulated as a Pareto front; may be repeated",
    )
    parser.add_argument("--max-latency", metavar="L", help="mean latency of any chain at most [s]")
    parser.add_argument(
        "--loss-target",
        metavar="L",
        help="loss ratio at most (thresholds: default 0.01; npu, joint: default none)",
    )
    parser.add_argument(
        "--min-attainment",
        metavar="A",
        help="npu, joint: share of jobs in time, of chains with one",
    )
    parser.add_argument(
        "--min-accuracy",
        metavar="A",
        help="npu, joint: right answers over offered, where exits are",
    )
    parser.add_argument(
        "--keep",
        metavar="WHAT,...",
        help="npu, joint: not searched, of placement, batching, variant, thresholds, routing",
    )


def _add_special(parser: Parser) -> None:
    """Add the options that only one kind of problem has."""
    parser.add_argument("--bands", metavar="N", help="bands of the backlog (default: 1, static)")
    parser.add_argument("--lookup", metavar="OUT.json", help="write thresholds by arrival rate")
    parser.add_argument("--after", metavar="AFTER.yaml", help="reconfigure: the problem to come")
    parser.add_argument("--factor", metavar="X", help="reconfigure: factor on all arrival rates")
    parser.add_argument("--bandwidth", metavar="B", help="reconfigure: bytes per second of a move")


def evaluator_named(name: str, problem: Problem, seed: int) -> Evaluator:
    """Return the evaluator that a command line names.

    Args:
        name: ``analytic``, ``simulator``, or a checkpoint.
        problem: What is searched.
        seed: Seed of the simulator, where that is asked for.

    Returns:
        The evaluator.
    """
    if name == "analytic":
        from datagen.analytic.decomposition import AnalyticEvaluator

        return AnalyticEvaluator()
    if name == "simulator":
        from datagen.simulator import SimulationEvaluator
        from surrogate.optimizers.proof import same_window

        options = same_window(
            problem, events=SIMULATED_EVENTS, replications=SIMULATED_RUNS, seed=seed
        )
        return SimulationEvaluator(options)
    from surrogate.evaluator import load_surrogate

    return load_surrogate(name)


def objective_named(name: str, problem: Problem) -> Objective:
    """Return the objective that a command line names.

    Args:
        name: One of ``OBJECTIVES``.
        problem: What is searched.

    Returns:
        The objective; of deadlines, over the chains that have one.

    Raises:
        InvalidInputError: If it is about deadlines and no chain has one.
    """
    from surrogate import optimizers

    kind = getattr(optimizers, OBJECTIVES[name])
    if kind is not optimizers.MissedDeadlines:
        return kind()  # type: ignore[no-any-return]
    timed = {chain.name: 1.0 for chain in problem.chains if chain.deadline is not None}
    require(bool(timed), "objective", "be another where no chain has a deadline", name)
    return kind(timed)


def search_named(
    name: str | None, kind: str, evaluator: Evaluator, objective: Objective
) -> Search | None:
    """Return the search that a command line names.

    Args:
        name: One of ``SEARCHES`` or ``RULES``, or None.
        kind: What is decided.
        evaluator: What will judge the candidates.
        objective: What will be minimised.

    Returns:
        The search; None for the default one of placements.
    """
    from surrogate import optimizers

    if name is None and kind != "split":
        return None
    if name in SEARCHES:
        found: Search = getattr(optimizers, SEARCHES[name]).driven_by(evaluator, objective)
        return found
    return optimizers.RuleSearch(SPLIT_RULE if name is None else name)


def main(arguments: list[str]) -> None:
    """Run the command; where nothing fits, the answer is the least infeasible placement.

    Args:
        arguments: The words after its name.
    """
    given = _parser().parse_args(arguments)
    seconds = number("seconds", given.seconds)
    evaluations = None
    if given.evaluations is not None:
        evaluations = whole("evaluations", given.evaluations, 0, 1)
    seed = whole("seed", given.seed, 0, 0)
    if given.kind == "thresholds":
        from surrogate.commands.optimize_thresholds import run

        run(given, seconds, seed)
        return
    if given.kind == "reconfigure":
        from surrogate.commands.optimize_reconfigure import run as run_reconfigure

        run_reconfigure(given, seconds, evaluations, seed)
        return
    if given.kind in ("npu", "joint"):
        from surrogate.commands.optimize_npu import run as run_npu

        run_npu(given, seconds, evaluations, seed)
        return
    _place(given, seconds, evaluations, seed)


def _place(given: Namespace, seconds: float | None, evaluations: int | None, seed: int) -> None:
    """Search a placement."""
    for name in ("after", "factor", "bandwidth", "min_attainment", "min_accuracy", "keep"):
        value = getattr(given, name)
        require(value is None, name, f"be absent for {given.kind}", value)
    alone = given.also is None or given.search in (None, FRONT_SEARCH)
    require(alone, "search", f"be {FRONT_SEARCH} where there is --also", given.search)
    report = None if given.report is None else Path(given.report)
    if report is not None:
        from surrogate.report.target import require_target

        require_target(report)

    from datagen.documents import read_problem
    from surrogate.commands.search_bar import searching, stage_bars
    from surrogate.optimizers import Budget, LatencyLimit, place

    budget = Budget(seconds=seconds, evaluations=evaluations)
    problem, start = read_problem(given.problem)
    evaluator = evaluator_named(given.evaluator, problem, seed)
    default = "latency" if given.kind == "split" else "loss"
    named = (given.objective or default, *(given.also or ()))
    objectives = [objective_named(name, problem) for name in named]
    limit = number("max_latency", given.max_latency)
    proposer = given.search or (FRONT_SEARCH if given.also else None)
    search = search_named(proposer, given.kind, evaluator, objectives[0])
    with stage_bars(quiet=given.json) as bars:
        result = place(
            problem,
            evaluator,
            budget,
            seed,
            start,
            searching(bars, budget),
            search=search,
            objective=objectives,
            constraints=() if limit is None else (LatencyLimit(limit),),
            watch=bars,
        )
    if given.json:
        write_json(result.to_dict())
    else:
        _write_summary(result)
    if report is not None:  # last: what was found is out by now, whatever happens to the page
        from surrogate.report import placement_report

        placement_report(result, report)


def _write_front(result: SearchResult) -> None:
    """Write a line for each point: its values as verified, or else as predicted."""
    from surrogate.optimizers.objective import shown_as

    names = tuple(result.front[0].predicted.values)
    write_line("Pareto front, verified by simulation (--json and --report tell the placements):")
    write_line("".join(f"{shown_as(name)[0]:>32}" for name in names))
    for point in result.front:
        values = (point.verified or point.predicted).values
        cells = (f"{shown_as(name)[1] * values[name]:>32.4g}" for name in names)
        mark = "  chosen" if point.deployment == result.deployment else ""
        write_line("".join(cells) + mark)


def _write_summary(result: SearchResult) -> None:
    for chain, devices in result.placement.items():
        write_line(f"{chain:<16} {' '.join(map(str, devices))}")
    for violation in result.violations:
        write_line(f"{violation}: nothing that keeps this was found")
    low, high = result.verified.ci95 or (float("nan"), float("nan"))
    write_line(
        f"loss ratio: start {result.start.loss_ratio:.4g}, predicted"
        f" {result.predicted.loss_ratio:.4g}, verified {result.verified.loss_ratio:.4g}"
        f" (95 %: {low:.4g} to {high:.4g})"
    )
    from surrogate.optimizers.objective import shown_as

    for name in result.objectives["predicted"].values:
        if name != "loss_ratio":
            title, factor = shown_as(name)
            said = [
                f"{who} {factor * result.objectives[who].values[name]:.4g}"
                for who in ("start", "predicted", "verified")
                if who in result.objectives
            ]
            write_line(f"{title}: {', '.join(said)}")
    if result.front:
        _write_front(result)
    if result.predicted.reason is not None:
        write_line(f"the surrogate does not vouch for it: {result.predicted.reason}")
    write_line(
        f"{result.evaluations} placements in {result.seconds:.2f} s"
        f" ({result.seconds_total:.2f} s with start and proof), {result.status}"
    )
