"""What a placement search found: before and after, how it got there, and the proof."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from datagen.report.page import Page, percent, seconds
from surrogate.optimizers.decided import placement_of
from surrogate.optimizers.objective import shown_as
from surrogate.optimizers.result import Outcome, SearchResult
from surrogate.report.findings import add_devices, add_effort, add_map
from surrogate.report.progress import PROGRESS_NOTE, progress_figure

__all__ = ["add_placement", "placement_report"]

PURPOSES = {
    "loss_ratio": "as few requests as possible are lost",
    "throughput": "as many requests as possible are completed",
    "latency": "requests take as little time as possible",
    "missed_deadlines": "as few deadlines as possible are missed",
    "energy": "requests take as little energy as possible",
}
"""Objective -> what it is good for; others are named."""


def interval(outcome: Outcome) -> str:
    """Return the 95 % interval of a loss ratio.

    Args:
        outcome: The outcome.

    Returns:
        For example ``[1.20 %, 1.31 %]``, or a dash.
    """
    if outcome.ci95 is None:
        return "-"
    low, high = outcome.ci95
    return f"[{percent(low, 3)}, {percent(high, 3)}]"


def _objectives(result: SearchResult) -> list[str]:
    """Return the names of what was minimised, the first decided."""
    return list(result.objectives["predicted"].values)


def _value(result: SearchResult, who: str, objective: str) -> float:
    """Return the value of an objective of the start, the prediction or the verified placement."""
    valued = result.objectives.get(who)
    return math.nan if valued is None else valued.values[objective]


def _add_outcomes(page: Page, result: SearchResult) -> None:
    said = {"simulation": "simulation", "surrogate": "surrogate", "analytic": "analytic model"}
    others = [name for name in _objectives(result) if name != "loss_ratio"]
    rows = []
    for title, who in (
        ("start", "start"),
        ("chosen, predicted", "predicted"),
        ("chosen, verified", "verified"),
    ):
        outcome: Outcome = getattr(result, who)
        values = [shown_as(name)[1] * _value(result, who, name) for name in others]
        row = [title, said.get(outcome.source, outcome.source), percent(outcome.loss_ratio, 3)]
        row += [interval(outcome), *(f"{x:.4g}" if math.isfinite(x) else "-" for x in values)]
        rows.append(row)
    header = ["placement", "according to", "loss ratio", "95 % interval"]
    page.table([*header, *(shown_as(name)[0] for name in others)], rows)
    add_effort(page, result, tried="placements", answer="chosen placement")


def _add_chains(page: Page, result: SearchResult) -> None:
    before, after = result.start.chains, result.verified.chains
    rows = []
    for chain in placement_of(result.deployment):
        old, new = before.get(chain, {}), after.get(chain, {})
        rows.append([
            chain,
            percent(old.get("loss_ratio"), 3),
            percent(new.get("loss_ratio"), 3),
            seconds(old.get("latency")),
            seconds(new.get("latency")),
            _devices(placement_of(result.start_deployment)[chain]),
            _devices(placement_of(result.deployment)[chain]),
        ])
    header = ["chain", "lost before", "lost after", "latency before", "latency after"]
    page.table([*header, "devices before", "devices after"], rows, words=True)


def _devices(paths: list[Any]) -> str:
    if paths and isinstance(paths[0], list):
        return "; ".join(_devices(path) for path in paths)
    return " → ".join(paths)


def add_placement(page: Page, result: SearchResult) -> None:
    """Add the sections of a placement search.

    Args:
        page: The page.
        result: The search.
    """
    page.heading("Before and after")
    _add_outcomes(page, result)
    add_map(page, result)
    add_devices(page, result)
    page.heading("Chain by chain")
    _add_chains(page, result)
    page.heading("Progress of the search")
    page.figure(progress_figure(result), PROGRESS_NOTE)


def _purpose(result: SearchResult) -> str:
    """Say what was searched for."""
    names = _objectives(result)
    return " and ".join(PURPOSES.get(name, f"{name} is least") for name in names)


def placement_report(result: SearchResult, path: Path) -> None:
    """Write what a placement search found.

    Args:
        result: The search.
        path: The HTML file.

    Raises:
        InvalidInputError: If it cannot be written.
    """
    problem = result.deployment.problem
    page = Page(
        "Placement search",
        f"{len(problem.chains)} request chains on {len(problem.devices)} devices: which device "
        f"should run which piece of each network, so that {_purpose(result)}?",
    )
    start, verified = result.start, result.verified
    if math.isfinite(start.loss_ratio) and math.isfinite(verified.loss_ratio):
        page.text(
            f"In simulation, {percent(start.loss_ratio)} of the requests are lost at the start, "
            f"and {percent(verified.loss_ratio)} with the placement that was found."
        )
    add_placement(page, result)
    page.write(path)
