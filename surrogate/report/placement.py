"""What a placement search found: before and after, how it got there, and the proof."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from datagen.report.page import Page, percent, seconds
from datagen.report.style import styled
from surrogate.optimizers.decided import placement_of
from surrogate.optimizers.goal import EXCEEDED
from surrogate.optimizers.objective import shown_as
from surrogate.optimizers.result import Outcome, SearchResult
from surrogate.report.deployment_graph import View, deployment_figure
from surrogate.report.pareto import FRONT_NOTE, front_figure
from surrogate.report.utilization import UTILIZATION_NOTE, utilization_figure

__all__ = ["add_placement", "history_figure", "placement_report"]

STATUS = {
    "completed": "the search was completed",
    "time_limit": "the time was used up",
    "evaluation_limit": "the evaluations were used up",
    "interrupted": "it was interrupted",
}

PURPOSES = {
    "loss_ratio": "as few requests as possible are lost",
    "throughput": "as many requests as possible are completed",
    "latency": "requests take as little time as possible",
    "missed_deadlines": "as few deadlines as possible are missed",
    "energy": "requests take as little energy as possible",
}
"""Objective -> what it is good for; others are named."""

GRAPH_NOTE = (
    "Circles are devices, coloured by the share of time they are busy in simulation; the number in "
    "a circle is that share. The ring around it is coloured by the share of the requests arriving "
    "there that find the queue full. Each chain of requests enters at the arrow beside its name "
    "(with the share of its requests that is lost) and follows the path of its colour. "
    "Pieces that follow each other on one device draw no path; hover over a device to see them."
)

HISTORY_NOTE = (
    "The best value that the search knew at each moment, as its evaluator predicted it, beside "
    "what simulation says of the start and of the placement chosen in the end."
)


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


def history_figure(result: SearchResult) -> Any:
    """Plot the progress of a search.

    Args:
        result: The search.

    Returns:
        A plotly figure.
    """
    objective = _objectives(result)[0]
    title, factor = shown_as(objective)
    known = [item for item in result.history if item.value < EXCEEDED]
    end = max(result.seconds, known[-1].seconds if known else 0.0)
    times = [item.seconds for item in known] + [end] * bool(known)
    values = [factor * item.value for item in known]
    values += values[-1:]
    counts = [item.evaluations for item in known] + [result.evaluations] * bool(known)
    figure = go.Figure()
    figure.add_scatter(
        x=times, y=values, customdata=counts, mode="lines+markers", name="best so far, predicted",
        line={"shape": "hv", "color": "#3b528b", "width": 2}, marker={"size": 5},
        hovertemplate="after %{x:.2f} s, %{customdata:,} placements: %{y:.4g}<extra></extra>",
    )  # fmt: skip
    drawn = list(values)
    for name, who, colour in (
        ("start, simulated", "start", "#8a8f98"),
        ("chosen, verified by simulation", "verified", "#c8472f"),
    ):
        level = factor * _value(result, who, objective)
        if not math.isfinite(level):
            continue
        drawn.append(level)
        figure.add_scatter(
            x=[0, end], y=[level, level], mode="lines", name=name,
            line={"color": colour, "width": 2, "dash": "dash"},
            hovertemplate=f"{name}: %{{y:.4g}}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="time of the search [s]", rangemode="tozero")
    figure.update_yaxes(title_text=title, rangemode="tozero")
    if drawn and min(drawn) > 0 and objective == "loss_ratio":  # losses fall by powers of ten
        ticks = [lead * 10.0**power for power in range(-4, 3) for lead in (1, 2, 5)]
        texts = [f"{tick:g}" for tick in ticks]
        figure.update_yaxes(type="log", tickvals=ticks, ticktext=texts)
    return styled(figure, height=360)


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
    page.text(
        f"{result.evaluations:,} placements were evaluated in {result.seconds:.1f} s; "
        f"{STATUS[result.status]}. Start and chosen placement were then simulated on random "
        "numbers that no choice depended on."
    )
    for violation in result.violations:
        page.text(f"The chosen placement breaks a rule: {violation}.")


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
    page.heading("Where everything runs")
    views = [
        View(title="Before", deployment=result.start_deployment, outcome=result.start),
        View(title="After", deployment=result.deployment, outcome=result.verified),
    ]
    page.figure(deployment_figure(views), GRAPH_NOTE)
    page.heading("How busy the devices are")
    page.figure(utilization_figure(result), UTILIZATION_NOTE)
    if result.front:
        page.heading("What is traded for what")
        page.figure(front_figure(result), FRONT_NOTE)
    page.heading("Chain by chain")
    _add_chains(page, result)
    page.heading("Progress of the search")
    page.figure(history_figure(result), HISTORY_NOTE)


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
