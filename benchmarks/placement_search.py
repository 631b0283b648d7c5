"""Equal time for every search of placements: what the placement that each returns loses.

``python benchmarks/placement_search.py --json`` compares, on problems that nobody tuned on,
annealing guided by a surrogate with annealing on the compiled simulator (tuned on other problems),
annealing on the analytic approximation, random search, an integer program, and rules (first-fit,
round-robin, least-loaded, Neurosurgeon's cuts). All methods take their
turns on one problem before the next begins, and each returned placement is judged by one
independent long simulation on common random numbers. Two placements tie if their losses differ by
less than two standard errors of both together, or by less than 1e-4.

Budgets are of processor time by default, one thread each: beside other work, wall-clock time would
compare how lucky the searches were. ``--time wall`` takes wall-clock time, where the surrogate may
use all cores. Start-up, warm-up and verification are outside of the budget, as in every search.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
from placement_boards import LOADS, PERIODIC_LOADS, boards_measured
from placement_cases import EVALUATION_SEED, cases
from placement_report import result_text
from placement_rivals import RULES, LossSimulator, integer_rival, tuned
from placement_speed import speeds
from placement_trial import FLOOR, judged, row_of, searched
from result_file import BenchmarkParser, deliver, machine

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.deployment import Deployment
from datagen.evaluation import Evaluator
from surrogate import load_surrogate
from surrogate.optimizers import (
    Annealing,
    Budget,
    PlacementSpace,
    RandomSearch,
    Search,
    SearchResult,
)
from surrogate.optimizers.baselines import random_placements
from surrogate.optimizers.budget import TimeKind

SEARCHES = ("surrogate", "simulation", "analytic", "random_search")
"""What gets the budget; the first is compared with the others."""

SECTIONS = ("search", "boards", "periodic", "throughput")

BLIND = ("first_fit", "round_robin", "neurosurgeon", "ilp", "random")
"""Methods that do not know of queues."""

JUDGING_SEED = 90210
"""Of the simulation that judges; no search uses it."""

LONGER_SEED = 90211
"""Of the longer simulation that verified intervals are checked with."""

CHECKED = ("surrogate", "analytic")
"""Searches whose verified intervals are checked."""

TIE_ERRORS, TIE_LOSS = 2.0, 1e-4
"""Standard errors, and loss ratio, within which two placements tie."""


def evaluator_and_search(
    name: str, surrogate: Evaluator, start: Deployment, seconds: float, seed: int
) -> tuple[Evaluator, Search | None]:
    """Return what a method judges with and searches by.

    Args:
        name: A name out of SEARCHES.
        surrogate: The surrogate.
        start: A deployment of the problem.
        seconds: Budget [s].
        seed: Seed of the jobs that the simulator plays.

    Returns:
        Evaluator and search, None for the default.
    """
    if name == "simulation":
        settings = tuned(seconds)
        return LossSimulator.of(start, events=settings.events, seed=seed), settings.search()
    if name == "analytic":
        return AnalyticEvaluator(), Annealing()
    return surrogate, RandomSearch() if name == "random_search" else None


def compared(
    surrogate: Evaluator, row: int, start: Deployment, given: argparse.Namespace
) -> list[dict[str, Any]]:
    """Let every method search one problem with every budget, and judge what they return.

    Args:
        surrogate: The surrogate.
        row: Number of the problem, and seed of its searches.
        start: Its start.
        given: Budgets, which time they are of, and how long simulations judge.

    Returns:
        One row per budget.
    """
    space = PlacementSpace(start)
    found: dict[tuple[str, float], SearchResult] = {}
    for seconds in given.seconds:
        for name in given.searches:
            evaluator, search = evaluator_and_search(name, surrogate, start, seconds, row)
            found[name, seconds] = searched(
                start, evaluator, search, seconds=seconds, time=given.time, seed=row
            )
    ruled = {name: rule(space) for name, rule in RULES.items()}
    ruled["random"] = random_placements(space, 1, np.random.default_rng(row))[0]
    longest = max(given.seconds)
    program = integer_rival(space, longest, Budget(seconds=longest, time=given.time).now)
    ruled["ilp"] = program.placement
    placements = np.stack([*ruled.values(), *map(row_of, found.values())])
    distinct, place = np.unique(placements, axis=0, return_inverse=True)
    measures = judged(start, distinct, events=given.events, seed=JUDGING_SEED)
    loss = measures.deployment["loss_ratio"][place]
    error = measures.deployment["loss_ratio_se"][place]
    longer = _longer(start, found, given.interval_events)
    return [
        {
            "problem": row,
            "devices": space.devices,
            "chains": len(start.problem.chains),
            "fragments": space.slots,
            "seconds": seconds,
            "best_known": float(loss.min()),
            "ilp": program.told(),
            "evaluations": {name: found[name, seconds].evaluations for name in given.searches},
            "predicted": {
                name: found[name, seconds].predicted.loss_ratio for name in given.searches
            },
            "verified": {name: _verified(found[name, seconds]) for name in given.searches},
            "longer": {
                name: longer[name, seconds] for name in CHECKED if (name, seconds) in longer
            },
        }
        | _by_method(ruled, found, seconds, loss, error)
        for seconds in given.seconds
    ]


def _by_method(
    ruled: dict[str, Any],
    found: dict[tuple[str, float], SearchResult],
    seconds: float,
    loss: np.ndarray,
    error: np.ndarray,
) -> dict[str, dict[str, float]]:
    """Return the loss and its standard error by method, of the rules and of one budget."""
    searches = {
        name: len(ruled) + number
        for number, (name, budget) in enumerate(found)
        if budget == seconds
    }
    place = {name: number for number, name in enumerate(ruled)} | searches
    return {
        "loss_ratio": {name: float(loss[at]) for name, at in place.items()},
        "standard_error": {name: float(error[at]) for name, at in place.items()},
    }


def _longer(
    start: Deployment, found: dict[tuple[str, float], SearchResult], events: float
) -> dict[tuple[str, float], float]:
    """Simulate what some searches returned far longer than their verification did."""
    keys = [key for key in found if key[0] in CHECKED]
    if events <= 0:
        return {}
    rows = np.stack([row_of(found[key]) for key in keys])
    distinct, place = np.unique(rows, axis=0, return_inverse=True)
    measures = judged(start, distinct, events=events, seed=LONGER_SEED)
    return dict(zip(keys, measures.deployment["loss_ratio"][place].tolist(), strict=True))


def _verified(result: SearchResult) -> dict[str, Any]:
    verified: dict[str, Any] = result.to_dict()["verified"]
    return {name: verified[name] for name in ("loss_ratio", "ci95")}


def tied(row: dict[str, Any], one: str, other: str) -> bool:
    """Return whether simulation cannot tell two placements of a row apart.

    Args:
        row: A row of the comparison.
        one: A method.
        other: Another.

    Returns:
        Whether their losses differ by less than TIE_LOSS or TIE_ERRORS standard errors.
    """
    difference = abs(row["loss_ratio"][one] - row["loss_ratio"][other])
    both = float(np.hypot(row["standard_error"][one], row["standard_error"][other]))
    return bool(difference <= max(TIE_LOSS, TIE_ERRORS * both))


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Compare the surrogate search with every other method, budget by budget.

    Args:
        rows: Rows of the comparison.

    Returns:
        Budget -> method -> share of problems at which the surrogate is at least as good (ties
        count), better by more than a tie, and the median ratio of the losses; the method ``start``
        is the least-loaded placement, ``best_known`` the best that any method found.
    """
    found: dict[str, Any] = {}
    for seconds in sorted({row["seconds"] for row in rows}):
        here = [row for row in rows if row["seconds"] == seconds]
        methods = [name for name in here[0]["loss_ratio"] if name != SEARCHES[0]]
        found[f"{seconds:g}"] = {name: _against(here, name) for name in methods} | {
            "best_known": {"median_loss_ratio": _median_ratio(here, None)}
        }
    return found


def _against(rows: Sequence[dict[str, Any]], name: str) -> dict[str, float]:
    ours = SEARCHES[0]
    less = [row["loss_ratio"][ours] <= row["loss_ratio"][name] for row in rows]
    ties = [tied(row, ours, name) for row in rows]
    good = [a or b for a, b in zip(less, ties, strict=True)]
    better = [a and not b for a, b in zip(less, ties, strict=True)]
    return {
        "at_least_as_good": statistics.mean(good),
        "better": statistics.mean(better),
        "median_loss_ratio": _median_ratio(rows, name),
    }


def _median_ratio(rows: Sequence[dict[str, Any]], name: str | None) -> float:
    ratios = [
        (row["loss_ratio"][SEARCHES[0]] + FLOOR)
        / ((row["best_known"] if name is None else row["loss_ratio"][name]) + FLOOR)
        for row in rows
    ]
    return statistics.median(ratios)


def not_behind(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tell where a method that does not know of queues is as good as the surrogate search.

    Args:
        rows: Rows of the comparison.

    Returns:
        One entry per method, problem and budget: losses of both.
    """
    ours = SEARCHES[0]
    return [
        {
            "method": name,
            "problem": row["problem"],
            "seconds": row["seconds"],
            "loss_ratio": row["loss_ratio"][name],
            "surrogate": row["loss_ratio"][ours],
        }
        for name in BLIND
        for row in rows
        if row["loss_ratio"][name] <= row["loss_ratio"][ours] or tied(row, ours, name)
    ]


def coverage(rows: Sequence[dict[str, Any]], events: float) -> dict[str, Any]:
    """Tell how many verified intervals contain the value of an independent, far longer simulation.

    Args:
        rows: Rows of the comparison, with ``longer`` where it was asked for.
        events: Events of that simulation.

    Returns:
        The share, and of how many.
    """
    inside = [
        low <= row["longer"][name] <= high
        for row in rows
        for name in row["longer"]
        for low, high in [row["verified"][name]["ci95"]]
    ]
    return {
        "share": statistics.mean(inside) if inside else None,
        "n": len(inside),
        "events": events,
    }


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Measure the sections asked for.

    Args:
        given: The options.

    Returns:
        Plain figures.
    """
    surrogate = load_surrogate(given.checkpoint)
    report: dict[str, Any] = {
        "checkpoint": given.checkpoint,
        "time": given.time,
        "events": given.events,
        "machine": machine(),
    }
    sections = given.section or list(SECTIONS)
    if "search" in sections:
        rows: list[dict[str, Any]] = []
        problems = cases(given.problems, EVALUATION_SEED)
        for number, (row, start) in enumerate(problems, start=1):
            rows += compared(surrogate, row, start, given)
            done = ", ".join(f"{name} {loss:.4f}" for name, loss in rows[-1]["loss_ratio"].items())
            sys.stderr.write(f"problem {number} of {len(problems)}: {done}\n")
        report |= {"rows": rows, "summary": summary(rows), "not_behind": not_behind(rows)}
        report["tuned"] = {f"{seconds:g}": vars(tuned(seconds)) for seconds in given.seconds}
        report["intervals"] = coverage(rows, given.interval_events)
    if "boards" in sections:
        loads, seconds = tuple(given.load or LOADS), max(given.seconds)
        report["five_boards"] = boards_measured(
            surrogate, loads=loads, seconds=seconds, time=given.time, seed=JUDGING_SEED
        )
    if "periodic" in sections:
        # Learned models were trained on Poisson arrivals; the formulas take any variability.
        report["periodic_boards"] = boards_measured(
            AnalyticEvaluator(),
            loads=tuple(given.load or PERIODIC_LOADS),
            seconds=max(given.seconds),
            time=given.time,
            seed=JUDGING_SEED,
            periodic=True,
        )
    if "throughput" in sections:
        report["throughput"] = speeds(surrogate, given.time)
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    parser = BenchmarkParser(__doc__)
    add = parser.add_argument
    parser.add_checkpoint()
    add("--seconds", metavar="B", type=float, nargs="+", action="extend", help="budgets [s]")
    add("--problems", metavar="N", type=int, default=20, help="problems searched")
    add(
        "--searches",
        choices=SEARCHES,
        nargs="+",
        default=list(SEARCHES),
        help=f"what gets the budget, {SEARCHES[0]} among them; all by default",
    )
    add("--time", choices=get_args(TimeKind), default="processor", help="time of the budgets")
    add("--section", choices=SECTIONS, action="append", help="what is measured; all by default")
    add("--load", metavar="L", type=float, action="append", help="load factor of the five boards")
    add("--events", metavar="N", type=float, default=4e6, help="of the judging simulation")
    add("--interval-events", metavar="N", type=float, default=2e7, help="of the longer one")
    given = parser.given(arguments)
    given.seconds = given.seconds or [1.0, 5.0]
    if SEARCHES[0] not in given.searches:
        parser.error(f"--searches must name {SEARCHES[0]}")
    deliver("placement_search", measure(given), given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
