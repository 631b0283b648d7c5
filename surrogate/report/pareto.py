"""A picture of a Pareto front: what can be had of one objective for how much of another."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from plotly.subplots import make_subplots

from datagen.report.style import styled
from surrogate.optimizers.result import SearchResult, Valued

__all__ = ["FRONT_NOTE", "front_figure"]

FRONT_NOTE = (
    "Placements that no other beats in every objective at once, as the evaluator of the search "
    "predicts them and as simulation verifies them; a line joins the two of one placement. The "
    "chosen one is the best in the first objective; the start is what the search set out from. "
    "Better is left and down, for throughput right and up."
)

SHOWN: Mapping[str, tuple[str, float]] = {
    "loss_ratio": ("loss ratio [%]", 100.0),
    "throughput": ("throughput of all chains [1/s]", -1.0),
    "latency": ("mean latency [s]", 1.0),
    "missed_deadlines": ("deadlines missed [%]", 100.0),
    "energy": ("energy per completed job [J]", 1.0),
}
"""Objective -> title of its axis and factor; throughput is minimised with its sign changed."""

MOST_PANELS = 3
"""Pairs of objectives that are shown: all of three objectives."""


def front_figure(result: SearchResult) -> Any:
    """Draw the front of a search for several objectives.

    Args:
        result: The search, with a front.

    Returns:
        A plotly figure with one panel per pair of objectives, at most three.
    """
    names = list(result.objectives["predicted"].values)
    panels = list(combinations(names, 2))[:MOST_PANELS]
    figure = make_subplots(cols=len(panels))
    for column, pair in enumerate(panels, start=1):
        for trace in _traces(result, *pair):
            named = column == 1 and "name" in trace
            figure.add_trace(trace | {"showlegend": named}, row=1, col=column)
        figure.update_xaxes(title_text=_title(pair[0]), row=1, col=column)
        figure.update_yaxes(title_text=_title(pair[1]), row=1, col=column)
    figure.update_layout(legend={"orientation": "h", "y": 1.15})
    return styled(figure, height=420)


def _title(name: str) -> str:
    return SHOWN.get(name, (name, 1.0))[0]


def _traces(result: SearchResult, first: str, second: str) -> list[dict[str, Any]]:
    """Return the points of one panel, those that stand out last so that they lie on top."""
    said, proved = [], []
    joined: list[tuple[float | None, float | None]] = []
    for point in result.front:
        predicted = _place(point.predicted, first, second)
        said.append(predicted)
        if point.verified is not None:
            verified = _place(point.verified, first, second)
            proved.append(verified)
            joined += [predicted, verified, (None, None)]
    traces = [
        _scatter("", joined, "lines", {"line": {"color": "#c9cdd6", "width": 1}}),
        _markers("predicted", said, "circle-open", "#3b528b", 9),
        _markers("verified by simulation", proved, "circle", "#3b528b", 8),
    ]
    for name, title, symbol, colour in (
        ("start", "start, simulated", "x", "#8a8f98"),
        ("verified", "chosen, verified", "star", "#c8472f"),
    ):
        if name in result.objectives:
            place = _place(result.objectives[name], first, second)
            traces.append(_markers(title, [place], symbol, colour, 15))
    return traces


def _place(valued: Valued, first: str, second: str) -> tuple[float, float]:
    x, y = (SHOWN.get(name, ("", 1.0))[1] * valued.values[name] for name in (first, second))
    return x, y


def _markers(
    name: str, points: list[tuple[float, float]], symbol: str, colour: str, size: int
) -> dict[str, Any]:
    marker = {"symbol": symbol, "color": colour, "size": size}
    return _scatter(name, [*points], "markers", {"marker": marker})


def _scatter(
    name: str, points: list[tuple[float | None, float | None]], mode: str, look: dict[str, Any]
) -> dict[str, Any]:
    named = {"name": name, "legendgroup": name} if name else {"hoverinfo": "skip"}
    x, y = [point[0] for point in points], [point[1] for point in points]
    return {"type": "scatter", "x": x, "y": y, "mode": mode, **named, **look}
