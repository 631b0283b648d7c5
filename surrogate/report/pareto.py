"""A picture of a Pareto front: what can be had of one objective for how much of another."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

from plotly.subplots import make_subplots

from datagen.report.style import styled
from surrogate.optimizers.objective import shown_as
from surrogate.optimizers.result import FrontPoint, SearchResult, Valued

__all__ = ["FRONT_NOTE", "front_figure"]

FRONT_NOTE = (
    "Placements that no other beats in every objective at once, as the evaluator of the search "
    "predicts them and as simulation verifies them; a line joins the two of one placement. The "
    "chosen one is the best in the first objective; the start is what the search set out from, "
    "with an arrow towards it where it lies outside of what is shown. Better is left and down, for "
    "throughput right and up. Hover over a point to see its placement."
)

ROOM = 0.12
"""Room around the points of a front, in parts of what they span."""

ARROW = 45
"""Length of the arrow towards a start that is not shown [px]."""

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
        x, y = (_span(result, name) for name in pair)
        figure.update_xaxes(title_text=shown_as(pair[0])[0], range=x, row=1, col=column)
        figure.update_yaxes(title_text=shown_as(pair[1])[0], range=y, row=1, col=column)
        for note in _start_note(result, pair, x, y):
            figure.add_annotation(row=1, col=column, **note)
    figure.update_layout(legend={"orientation": "h", "y": 1.15})
    return styled(figure, height=420)


def _span(result: SearchResult, name: str) -> tuple[float, float]:
    """Return what an axis shows: the front and the chosen one, not a start that is far away."""
    valued = [valued for point in result.front for valued in (point.predicted, point.verified)]
    valued.append(result.objectives.get("verified"))
    shown = [shown_as(name)[1] * item.values[name] for item in valued if item is not None]
    shown = [value for value in shown if math.isfinite(value)]
    room = ROOM * (max(shown) - min(shown)) or ROOM * abs(shown[0]) or 1.0
    return min(shown) - room, max(shown) + room


def _start_note(
    result: SearchResult, pair: tuple[str, str], *spans: tuple[float, float]
) -> list[dict[str, Any]]:
    """Point to the start where it lies outside of the axes."""
    if "start" not in result.objectives:
        return []
    place = _place(result.objectives["start"], *pair)
    beyond = [(at > high) - (at < low) for at, (low, high) in zip(place, spans, strict=True)]
    if not any(beyond) or not all(map(math.isfinite, place)):
        return []
    x, y = (min(max(at, low), high) for at, (low, high) in zip(place, spans, strict=True))
    return [
        {
            "x": x,
            "y": y,
            "ax": -ARROW * beyond[0],  # from the text within the axes out to the edge
            "ay": ARROW * beyond[1],
            "text": f"start: {place[0]:.4g}, {place[1]:.4g}",
            "xanchor": ("left", "center", "right")[1 + beyond[0]],
            "arrowhead": 2,
            "arrowcolor": "#8a8f98",
            "font": {"color": "#5a6272", "size": 12},
        }
    ]


def _traces(result: SearchResult, first: str, second: str) -> list[dict[str, Any]]:
    """Return the points of one panel, those that stand out last so that they lie on top."""
    said, proved = [], []
    hosts, proved_hosts = [], []
    joined: list[tuple[float | None, float | None]] = []
    for point in result.front:
        predicted = _place(point.predicted, first, second)
        said.append(predicted)
        hosts.append(_hosts(point))
        if point.verified is not None:
            verified = _place(point.verified, first, second)
            proved.append(verified)
            proved_hosts.append(hosts[-1])
            joined += [predicted, verified, (None, None)]
    traces = [
        _scatter("", joined, "lines", {"line": {"color": "#c9cdd6", "width": 1}}),
        _markers("predicted", said, "circle-open", "#3b528b", 9, hosts),
        _markers("verified by simulation", proved, "circle", "#3b528b", 8, proved_hosts),
    ]
    for name, title, symbol, colour in (
        ("start", "start, simulated", "x", "#8a8f98"),
        ("verified", "chosen, verified", "star", "#c8472f"),
    ):
        if name in result.objectives:
            place = _place(result.objectives[name], first, second)
            traces.append(_markers(title, [place], symbol, colour, 15, [title]))
    return traces


def _place(valued: Valued, first: str, second: str) -> tuple[float, float]:
    x, y = (shown_as(name)[1] * valued.values[name] for name in (first, second))
    return x, y


def _hosts(point: FrontPoint) -> str:
    """Return the devices of each chain, for the hover text."""
    lines = (
        f"{chain}: " + "; ".join(" → ".join(path) for path in paths)
        for chain, paths in point.deployment.placement.items()
    )
    return "<br>".join(lines)


def _markers(
    name: str,
    points: list[tuple[float, float]],
    symbol: str,
    colour: str,
    size: int,
    hover: list[str],
) -> dict[str, Any]:
    look = {
        "marker": {"symbol": symbol, "color": colour, "size": size},
        "text": hover,
        "hovertemplate": "%{x:.4g}, %{y:.4g}<br>%{text}<extra></extra>",
    }
    return _scatter(name, [*points], "markers", look)


def _scatter(
    name: str, points: list[tuple[float | None, float | None]], mode: str, look: dict[str, Any]
) -> dict[str, Any]:
    named = {"name": name, "legendgroup": name} if name else {"hoverinfo": "skip"}
    x, y = [point[0] for point in points], [point[1] for point in points]
    return {"type": "scatter", "x": x, "y": y, "mode": mode, **named, **look}
