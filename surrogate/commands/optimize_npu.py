"""``surrogate optimize npu`` and ``joint``: how accelerators batch, alone or with all the rest."""

from __future__ import annotations

import argparse
from pathlib import Path

from datagen.commands.options import number, write_json, write_line
from datagen.deployment import Deployment, Problem
from datagen.documents import read_problem
from datagen.errors import require
from surrogate.commands.optimize import evaluator_named, objective_named
from surrogate.commands.search_bar import searching, stage_bars
from surrogate.optimizers import (
    AccuracyFloor,
    AttainmentFloor,
    Budget,
    Constraint,
    LatencyLimit,
    LossLimit,
    SearchResult,
    tune_jointly,
    tune_npu,
)
from surrogate.optimizers.decided import decisions_of
from surrogate.optimizers.decision_space import DECISIONS
from surrogate.optimizers.tuning import NPU_DECISIONS
from surrogate.report import tuning_report
from surrogate.report.target import require_target

__all__ = ["run"]

FOREIGN = ("also", "search", "bands", "lookup", "after", "factor", "bandwidth")
"""Options of other kinds of problems."""

TUNERS = {"npu": (tune_npu, NPU_DECISIONS), "joint": (tune_jointly, DECISIONS)}
"""What searches each kind, and what it decides."""


def run(
    given: argparse.Namespace, seconds: float | None, evaluations: int | None, seed: int
) -> None:
    """Run the command.

    Args:
        given: Parsed options of ``surrogate optimize``.
        seconds: Time of search and selection [s], or None.
        evaluations: Largest number of candidates, or None.
        seed: Seed of everything random.

    Raises:
        InvalidInputError: If an option does not belong to the kind, or nothing can be decided.
    """
    for name in FOREIGN:
        value = getattr(given, name)
        require(value is None, name, f"be absent for {given.kind}", value)
    report = None if given.report is None else Path(given.report)
    if report is not None:
        require_target(report)
    tune, decisions = TUNERS[given.kind]
    budget = Budget(seconds=seconds, evaluations=evaluations)
    problem, start = read_problem(given.problem)
    evaluator = None
    if given.evaluator != "simulator":  # the search's own simulations are laid out for it
        evaluator = evaluator_named(given.evaluator, problem, seed)
    with stage_bars(quiet=given.json) as bars:
        result = tune(
            problem if start is None else start,
            evaluator,
            budget=budget,
            seed=seed,
            decide=_decided(given.keep, decisions),
            objective=objective_named(given.objective or "latency", problem),
            constraints=_limits(given, problem, start),
            callback=searching(bars, budget),
            watch=bars,
        )
    if given.json:
        write_json(result.to_dict())
    else:
        _write_summary(result)
    if report is not None:
        tuning_report(result, report)


def _decided(kept: str | None, decisions: tuple[str, ...]) -> tuple[str, ...]:
    """Return what is searched when some of it is kept."""
    names = [] if kept is None else [name.strip() for name in kept.split(",")]
    rule = f"name some of {', '.join(decisions)}"
    require(set(names) <= set(decisions), "keep", rule, kept)
    return tuple(name for name in decisions if name not in names)


def _limits(
    given: argparse.Namespace, problem: Problem, start: Deployment | None
) -> list[Constraint]:
    """Return the limits that options ask for, of the chains that they can be asked of."""
    limits: list[Constraint] = []
    latency = number("max_latency", given.max_latency)
    if latency is not None:
        limits.append(LatencyLimit(latency))
    attainment = number("min_attainment", given.min_attainment)
    if attainment is not None:
        timed = {c.name: attainment for c in problem.chains if c.deadline is not None}
        require(bool(timed), "min_attainment", "be absent where no chain has a deadline", None)
        limits.append(AttainmentFloor(timed))
    accuracy = number("min_accuracy", given.min_accuracy)
    if accuracy is not None:
        leaving = {name: accuracy for name in ((start.exits or {}) if start is not None else {})}
        require(bool(leaving), "min_accuracy", "be absent where no chain has exits", None)
        limits.append(AccuracyFloor(leaving))
    loss = number("loss_target", given.loss_target)
    if loss is not None:
        limits.append(LossLimit(loss))
    return limits


def _write_summary(result: SearchResult) -> None:
    decided = decisions_of(result.deployment)
    for chain, devices in decided["placement"].items():
        write_line(f"{chain:<16} {' '.join(map(str, devices))}")
    for chain, thresholds in decided.get("thresholds", {}).items():
        shown = " ".join("closed" if tau > 1 else f"{tau:.4f}" for tau in thresholds)
        write_line(f"{chain:<16} thresholds {shown}")
    for chain, shares in decided.get("routing", {}).items():
        write_line(f"{chain:<16} paths {' '.join(f'{share:.3f}' for share in shares)}")
    for device, batching in decided.get("npu", {}).items():
        shown = ", ".join(f"{name} {value}" for name, value in batching.items())
        write_line(f"{device:<16} {shown}")
    for violation in result.violations:
        write_line(f"{violation}: nothing that keeps this was found")
    for name in result.objectives["predicted"].values:
        said = [f"{who} {valued.values[name]:.4g}" for who, valued in result.objectives.items()]
        write_line(f"{name}: {', '.join(said)}")
    write_line(
        f"loss ratio: start {result.start.loss_ratio:.4g}, verified"
        f" {result.verified.loss_ratio:.4g}"
    )
    write_line(
        f"{result.evaluations} candidates in {result.seconds:.2f} s"
        f" ({result.seconds_total:.2f} s with start and proof), {result.status}"
    )
