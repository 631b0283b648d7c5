"""A picture of how a search got to its answer, beside what simulation says of start and answer."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from datagen.report.style import styled
from surrogate.optimizers.goal import EXCEEDED
from surrogate.optimizers.objective import shown_as
from surrogate.optimizers.result import SearchResult

__all__ = ["PROGRESS_NOTE", "progress_figure"]

PROGRESS_NOTE = (
    "The best value that the search knew at each moment, as its evaluator predicted it, of "
    "candidates that keep the rules; beside what simulation says of the start and of the answer."
)

TICKS = [lead * 10.0**power for power in range(-4, 3) for lead in (1, 2, 5)]
"""Where the axis of a loss ratio [%] may be marked: losses fall by powers of ten."""


def progress_figure(result: SearchResult) -> Any:
    """Plot how what is minimised fell.

    Args:
        result: The search; of several objectives, the first is shown.

    Returns:
        A plotly figure.
    """
    objective = next(iter(result.objectives["predicted"].values))
    title, factor = shown_as(objective)
    known = [item for item in result.history if item.value < EXCEEDED]
    end = max(result.seconds, known[-1].seconds if known else 0.0)
    values = [factor * item.value for item in known]
    values += values[-1:]
    figure = go.Figure()
    figure.add_scatter(
        x=[item.seconds for item in known] + [end] * bool(known), y=values,
        customdata=[item.evaluations for item in known] + [result.evaluations] * bool(known),
        mode="lines+markers", name="best so far, predicted",
        line={"shape": "hv", "color": "#3b528b", "width": 2}, marker={"size": 5},
        hovertemplate="after %{x:.2f} s, %{customdata:,} candidates: %{y:.4g}<extra></extra>",
    )  # fmt: skip
    levels = _add_levels(figure, result, end)
    figure.update_xaxes(title_text="time of the search [s]", rangemode="tozero")
    figure.update_yaxes(title_text=title, rangemode="tozero")
    drawn = values + levels
    if drawn and min(drawn) > 0 and objective == "loss_ratio":
        texts = [f"{tick:g}" for tick in TICKS]
        figure.update_yaxes(type="log", tickvals=TICKS, ticktext=texts)
    return styled(figure, height=360)


def _add_levels(figure: Any, result: SearchResult, end: float) -> list[float]:
    """Draw what simulation says, and return it: of start and answer, where it is defined."""
    objective = next(iter(result.objectives["predicted"].values))
    levels = []
    for name, who, colour in (
        ("start, simulated", "start", "#8a8f98"),
        ("chosen, verified by simulation", "verified", "#c8472f"),
    ):
        valued = result.objectives.get(who)
        if valued is None or not math.isfinite(valued.values[objective]):
            continue
        levels.append(shown_as(objective)[1] * valued.values[objective])
        figure.add_scatter(
            x=[0, end], y=levels[-1:] * 2, mode="lines", name=name,
            line={"color": colour, "width": 2, "dash": "dash"},
            hovertemplate=f"{name}: %{{y:.4g}}<extra></extra>",
        )  # fmt: skip
    return levels
