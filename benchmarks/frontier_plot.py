"""The frontier of error against time as a small picture beside its result file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from frontier_report import COLOURS, PANELS

__all__ = ["frontier_svg"]

PANEL_WIDTH, PANEL_HEIGHT = 300, 260
LEFT, TOP, BOTTOM, GAP = 60, 50, 70, 70
"""Room for titles, ticks and names of points [px]."""

MARGIN = 0.15
"""Decades that axes reach beyond the outermost points."""

TICKS = (1, 2, 5)
"""Where a decade is marked."""

Point = tuple[float, float]


class _Axis:
    """A logarithmic axis.

    Args:
        values: What it has to show, > 0.
        first: Pixel of its lower end.
        last: Pixel of its upper end.
    """

    def __init__(self, values: Sequence[float], first: float, last: float) -> None:
        self.low = math.log10(min(values)) - MARGIN
        self.high = math.log10(max(values)) + MARGIN
        self.first, self.last = first, last

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.first + share * (self.last - self.first)

    def ticks(self) -> list[float]:
        """Return round values on the axis; only powers of ten where it spans many."""
        steps = TICKS if self.high - self.low < 3 else TICKS[:1]
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        marks = [step * 10.0**decade for decade in decades for step in steps]
        return [mark for mark in marks if self.low <= math.log10(mark) <= self.high]


def _text(place: Point, words: str, anchor: str = "middle", **more: str) -> str:
    styles = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
    x, y = place
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{styles}>{escape(words)}</text>'


def _line(first: Point, last: Point, colour: str = "#ddd") -> str:
    (x1, y1), (x2, y2) = first, last
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}"/>'


def _axes(left: float, across: _Axis, up: _Axis, title: str) -> list[str]:
    right, bottom = left + PANEL_WIDTH, TOP + PANEL_HEIGHT
    parts = []
    for mark in across.ticks():
        parts.append(_line((across(mark), TOP), (across(mark), bottom)))
        parts.append(_text((across(mark), bottom + 14), f"{mark:g}"))
    for mark in up.ticks():
        parts.append(_line((left, up(mark)), (right, up(mark))))
        parts.append(_text((left - 5, up(mark) + 4), f"{mark:g} %", "end"))
    parts.append(_text(((left + right) / 2, bottom + 32), "ms per deployment"))
    for number, words in enumerate(title.split("<br>")):
        parts.append(_text(((left + right) / 2, 20.0 + 14 * number), words, font_weight="bold"))
    return parts


def _points(
    rows: Sequence[Mapping[str, Any]], kind: str, target: str, key: str, across: _Axis, up: _Axis
) -> list[str]:
    own = [row for row in rows if row["kind"] == kind]
    places = [(across(row["ms_per_deployment"]), up(100 * row[target][key])) for row in own]
    colour = COLOURS[kind]
    parts = []
    if kind == "simulation":  # runs of growing length
        parts += [_line(*pair, colour) for pair in zip(places, places[1:], strict=False)]
    for row, (x, y) in zip(own, places, strict=True):
        name = f"{row['horizon']:g} s" if kind == "simulation" else row["name"]
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
        parts.append(_text((x + 7, y + 4), name, "start"))
    return parts


def frontier_svg(rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw errors over milliseconds per deployment, both on logarithmic axes.

    Args:
        rows: What ``surrogate_frontier.measure`` gave under that name.

    Returns:
        An SVG document with a panel per error; left and below is better.
    """
    width = LEFT + len(PANELS) * (PANEL_WIDTH + GAP)
    height = TOP + PANEL_HEIGHT + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11" fill="none">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        '<g fill="#222">',
    ]
    for number, (target, key, title) in enumerate(PANELS):
        # A logarithm has no place for an error of nothing, nor for one that no chain defines.
        shown = [row for row in rows if row[target][key]]
        if not shown:
            continue
        left = LEFT + number * (PANEL_WIDTH + GAP)
        times = [row["ms_per_deployment"] for row in shown]
        across = _Axis(times, left, left + PANEL_WIDTH)
        errors = [100 * row[target][key] for row in shown]
        up = _Axis(errors, TOP + PANEL_HEIGHT, TOP)
        parts += _axes(left, across, up, title)
        for kind in COLOURS:
            parts += _points(shown, kind, target, key, across, up)
    for number, (kind, colour) in enumerate(COLOURS.items()):
        x, y = LEFT + 110 * number, height - 12
        parts.append(f'<circle cx="{x}" cy="{y - 4}" r="4" fill="{colour}"/>')
        parts.append(_text((x + 9, y), kind, "start"))
    return "\n".join([*parts, "</g>", "</svg>", ""])
