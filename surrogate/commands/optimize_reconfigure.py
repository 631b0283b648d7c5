"""``surrogate optimize reconfigure``: the cheapest moves that restore a loss target."""

from __future__ import annotations

import argparse

from datagen.commands.options import number, write_json, write_line
from datagen.deployment import Deployment, Problem
from datagen.documents import read_problem
from datagen.errors import require
from surrogate.commands.optimize import evaluator_named
from surrogate.commands.search_bar import stage_bars
from surrogate.optimizers import Budget, Reconfiguration, reconfigure
from surrogate.optimizers.lookup import scaled

__all__ = ["run"]

LOSS_TARGET = 0.01


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
        InvalidInputError: If an option does not belong here or is missing, or the problem places
            nothing.
    """
    for name in (
        "also",
        "max_latency",
        "report",
        "search",
        "bands",
        "lookup",
        "min_attainment",
        "min_accuracy",
        "keep",
    ):
        value = getattr(given, name)
        require(value is None, name, "be absent for reconfigure", value)
    budget = Budget(seconds=seconds, evaluations=evaluations)
    target = number("loss_target", given.loss_target)
    bandwidth = number("bandwidth", given.bandwidth)
    require(bandwidth is not None, "bandwidth", "be given for reconfigure", None)
    assert bandwidth is not None
    _, running = read_problem(given.problem)
    require(running is not None, "placement", "be given: it is what runs", None)
    assert running is not None
    after = _after(running, given.after, number("factor", given.factor))
    with stage_bars(quiet=given.json) as bars:
        result = reconfigure(
            running,
            after,
            evaluator_named(given.evaluator, after, seed),
            loss_target=LOSS_TARGET if target is None else target,
            bandwidth=bandwidth,
            budget=budget,
            seed=seed,
            watch=bars,
        )
    if given.json:
        write_json(result.to_dict())
    else:
        _write_summary(result)


def _after(running: Deployment, file: str | None, factor: float | None) -> Problem:
    """Return the problem from the change on."""
    one = (file is None) != (factor is None)
    require(one, "after", "be given, or else factor", file)
    if factor is not None:
        return scaled(running, factor).problem
    assert file is not None
    return read_problem(file)[0]


def _write_summary(result: Reconfiguration) -> None:
    for move in result.moves:
        write_line(
            f"{move.chain:<16} {move.fragment}: {move.source} -> {move.target},"
            f" {move.bytes:.4g} bytes in {move.seconds:.3g} s"
        )
    write_line(
        f"{result.bytes:.4g} bytes in {len(result.moves)} moves, {result.refused:.3g} requests"
        f" refused meanwhile{', nothing cheaper' if result.cheapest else ''}"
    )
    low, high = result.verified.ci95 or (float("nan"), float("nan"))
    kept = "kept" if result.feasible else "not kept by anything found"
    write_line(
        f"loss ratio: as placed {result.start.loss_ratio:.4g}, predicted"
        f" {result.predicted.loss_ratio:.4g}, verified {result.verified.loss_ratio:.4g}"
        f" (95 %: {low:.4g} to {high:.4g}); target {result.loss_target:g} {kept}"
    )
    for name, change in (result.changes or {}).items():
        since = change.since
        write_line(
            f"{name}: of {since.offered:.0f} requests in {since.seconds:.4g} s since the change,"
            f" {since.lost + since.refused:.0f} are lost"
        )
    write_line(f"{result.evaluations} placements in {result.seconds:.2f} s, {result.status}")
