"""A picture of a deployment: devices coloured by utilization and loss, chains as paths."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from plotly.subplots import make_subplots

from datagen.deployment import Deployment
from datagen.report.page import percent
from datagen.report.style import CHAIN_COLOURS, styled
from surrogate.optimizers.result import Outcome

__all__ = ["View", "deployment_figure"]

DASHES = ("solid", "dash", "dot")
"""Once the colours are used up, the next round of chains is dashed."""

CROWDED = 10
"""From so many devices on, their circles are small and named beside them."""

LEGEND = 6
"""Up to so many chains fit in a legend; more are told by the labels where they come in."""

BEND = 0.1
"""How far a path bends off the straight line, per chain, so that paths do not hide each other."""

LABEL_RADIUS, LABEL_STEP = 1.38, 0.14
"""Where the labels of chains lie, and the distance between two at one device."""

REACH_X, REACH_Y = 2.45, 1.65
"""What a panel shows around the circle of devices: room for labels."""

SIDEWAYS = 0.3
"""Devices further from the middle than this have labels beside them, others above or below."""


USED_COLOURS = ("#eef3e2", "#f3c766", "#d1495b")
LOST_COLOURS = ("#ffffff", "#b9a3d6", "#4b1d8f")
"""Colour scales of utilization and of losses: from pale to strong, in hues that differ."""

LEAST_SCALE = 1.0
"""Losses [%] that the scale of rings spans at least: hardly any shall not look like many."""


@dataclass(frozen=True, kw_only=True)
class View:
    """A deployment and how it performs.

    Args:
        title: What it is.
        deployment: The deployment.
        outcome: Its simulated measures.
    """

    title: str
    deployment: Deployment
    outcome: Outcome


def deployment_figure(views: Sequence[View]) -> Any:
    """Draw deployments of one problem side by side.

    Args:
        views: The deployments; devices stand in the same places in all of them.

    Returns:
        A plotly figure with one panel each.
    """
    titles = [f"{view.title}: {percent(view.outcome.loss_ratio)} lost" for view in views]
    figure = make_subplots(cols=len(views), subplot_titles=titles, horizontal_spacing=0.04)
    for column, view in enumerate(views, start=1):
        places = _places([device.name for device in view.deployment.problem.devices])
        for number, chain in enumerate(view.deployment.placement):
            figure.add_trace(_chain_trace(view, places, chain, number), row=1, col=column)
            figure.data[-1].showlegend = column == 1
        figure.add_trace(_loss_trace(view, places), row=1, col=column)
        figure.add_trace(_device_trace(view, places), row=1, col=column)
        anchor = "" if column == 1 else str(column)
        refs = {"axref": f"x{anchor}", "ayref": f"y{anchor}"}
        for note in _chain_notes(view, places):
            figure.add_annotation(row=1, col=column, **refs, **note)
        hidden = {"visible": False, "constrain": "domain", "row": 1, "col": column}
        figure.update_xaxes(range=[-REACH_X, REACH_X], **hidden)
        figure.update_yaxes(range=[-REACH_Y, REACH_Y], scaleanchor=f"x{anchor}", **hidden)
    styled(figure, height=620)
    figure.update_layout(
        coloraxis=_colour_axis("utilization (circle) [%]", USED_COLOURS, 100.0, 0.25),
        coloraxis2=_colour_axis("lost there (ring) [%]", LOST_COLOURS, _most_lost(views), 0.75),
        showlegend=len(views[0].deployment.placement) <= LEGEND,
        legend={
            "orientation": "h",
            "x": 0.5,
            "xanchor": "center",
            "y": -0.02,
            "title": {"text": "chain "},
        },
        margin={"l": 10, "r": 10, "t": 60, "b": 120},
    )
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(showgrid=False)
    return figure


def _colour_axis(title: str, colours: Sequence[str], most: float, x: float) -> dict[str, Any]:
    bar = {
        "title": {"text": title, "side": "top"},
        "orientation": "h",
        "thickness": 12,
        "len": 0.28,
        "x": x,
        "xanchor": "center",
        "y": -0.24,
    }
    scale = [[share, colour] for share, colour in zip((0, 0.5, 1), colours, strict=True)]
    return {"cmin": 0, "cmax": most, "colorscale": scale, "colorbar": bar}


def _shares(view: View, measure: str) -> list[float]:
    """Return a measure of every device; NaN where nobody knows."""
    outcome = view.outcome.devices
    names = (device.name for device in view.deployment.problem.devices)
    return [outcome.get(name, {}).get(measure, math.nan) for name in names]


def _most_lost(views: Sequence[View]) -> float:
    lost = [100 * share for view in views for share in _shares(view, "loss_ratio")]
    return max([LEAST_SCALE, *filter(math.isfinite, lost)])


def _places(devices: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Put the devices on a circle, the first at the top."""
    turn = 2 * math.pi / max(len(devices), 2)
    return {name: (math.sin(k * turn), math.cos(k * turn)) for k, name in enumerate(devices)}


def _style(number: int) -> tuple[str, str]:
    rounds, colour = divmod(number, len(CHAIN_COLOURS))
    return CHAIN_COLOURS[colour], DASHES[rounds % len(DASHES)]


def _chain_trace(
    view: View, places: dict[str, tuple[float, float]], chain: str, number: int
) -> dict[str, Any]:
    """Draw the hops of a chain, each with an arrow in its middle."""
    x: list[float | None] = []
    y: list[float | None] = []
    sizes: list[int] = []
    share = np.linspace(0.0, 1.0, 21)
    bend = BEND * (1 + number % 5)
    for path in view.deployment.placement[chain]:
        for source, target in zip(path[:-1], path[1:], strict=True):
            if source == target:
                continue
            (ax, ay), (bx, by) = places[source], places[target]
            bow = 4 * bend * share * (1 - share)
            x += [*(ax + share * (bx - ax) - bow * (by - ay)).tolist(), None]
            y += [*(ay + share * (by - ay) + bow * (bx - ax)).tolist(), None]
            sizes += [12 if step == 11 else 0 for step in range(len(share))] + [0]
    colour, dash = _style(number)
    return {
        "type": "scatter",
        "x": x or [None],
        "y": y or [None],
        "mode": "lines+markers",
        "name": chain,
        "legendgroup": chain,
        "line": {"color": colour, "width": 2.5, "dash": dash},
        "marker": {
            "symbol": "arrow",
            "angleref": "previous",
            "size": sizes or [0],
            "color": colour,
            "opacity": 1,
            "line": {"width": 0},
        },
        "hoverinfo": "name",
    }


def _loss_trace(view: View, places: dict[str, tuple[float, float]]) -> dict[str, Any]:
    """Draw a ring around each device, coloured by the share of the jobs it loses."""
    lost = _shares(view, "loss_ratio")
    known = any(map(math.isfinite, lost))
    return {
        "type": "scatter",
        "x": [place[0] for place in places.values()],
        "y": [place[1] for place in places.values()],
        "mode": "markers",
        "marker": {
            "size": 32 if len(places) >= CROWDED else 84,
            # What nothing arrives at loses nothing.
            "color": [100 * share if math.isfinite(share) else 0.0 for share in lost],
            "coloraxis": "coloraxis2",
            "opacity": 1.0 if known else 0.0,
            "line": {"color": "#8a8f98", "width": 1},
        },
        "cliponaxis": False,
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _device_trace(view: View, places: dict[str, tuple[float, float]]) -> dict[str, Any]:
    crowded = len(places) >= CROWDED
    hosted = {
        name: [
            f"{chain}: {fragment.name}"
            for chain, paths in view.deployment.placement.items()
            for path in paths
            for fragment, device in zip(_fragments(view, chain), path, strict=True)
            if device == name
        ]
        for name in places
    }
    used, lost = _shares(view, "utilization"), _shares(view, "loss_ratio")
    known = all(map(math.isfinite, used))
    text = [
        name if crowded else f"<b>{name}</b><br>{percent(value, 0)}"
        for name, value in zip(places, used, strict=True)
    ]
    hover = [
        f"<b>{name}</b>: {percent(value, 1)} busy, {percent(share)} of what arrives is lost<br>"
        + ("<br>".join(dict.fromkeys(hosted[name])) or "nothing placed here")
        for name, value, share in zip(places, used, lost, strict=True)
    ]
    return {
        "type": "scatter",
        "x": [place[0] for place in places.values()],
        "y": [place[1] for place in places.values()],
        "mode": "markers+text",
        "text": text,
        "textposition": [_inwards(*place) for place in places.values()] if crowded else None,
        "textfont": {"size": 11},
        "marker": {
            "size": 20 if crowded else 66,
            "color": [100 * value for value in used] if known else "#d9dde5",
            "coloraxis": "coloraxis",
            "line": {"color": "#1f2430", "width": 1.5},
        },
        "cliponaxis": False,
        "hovertext": hover,
        "hoverinfo": "text",
        "showlegend": False,
    }


def _inwards(x: float, y: float) -> str:
    """Say which side of a device on the circle is free for its name."""
    if abs(x) > SIDEWAYS:
        return "middle left" if x > 0 else "middle right"
    return "bottom center" if y > 0 else "top center"


def _fragments(view: View, chain: str) -> Any:
    return next(item.fragments for item in view.deployment.problem.chains if item.name == chain)


def _chain_notes(view: View, places: dict[str, tuple[float, float]]) -> list[dict[str, Any]]:
    """Say beside its first device where a chain comes in and how much of it is lost."""
    notes = []
    seen: Counter[str] = Counter()
    for number, (chain, paths) in enumerate(view.deployment.placement.items()):
        first = paths[0][0]
        x, y = places[first]
        lost = view.outcome.chains.get(chain, {}).get("loss_ratio")
        beside = abs(x) > SIDEWAYS
        stack = LABEL_STEP * seen[first] * (1 if y >= 0 else -1)
        seen[first] += 1
        colour, _ = _style(number)
        notes.append({
            "x": x,
            "y": y,
            "ax": LABEL_RADIUS * x,
            "ay": LABEL_RADIUS * y + stack,
            "text": f"{chain}: {percent(lost)} lost",
            "xanchor": ("left" if x > 0 else "right") if beside else "center",
            "font": {"color": colour, "size": 11},
            "arrowcolor": colour,
            "arrowwidth": 1.2,
            "arrowhead": 2,
            "standoff": 43 if len(places) < CROWDED else 17,
            "bgcolor": "rgba(255,255,255,0.85)",
        })
    return notes
