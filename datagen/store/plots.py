"""Plots of a data set, on one page that needs nothing but a browser."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.store.files import write_whole

__all__ = ["write_plots"]

BINS = 60
"""Bars of a histogram."""

HISTOGRAMS: dict[str, tuple[str, bool]] = {
    "device_load": ("Offered load of devices", True),
    "loss_ratio": ("Loss ratio of chains (those that lost something)", True),
    "latency": ("Mean latency of chains [s]", True),
    "latency_ratio": ("Latency ratio of chains", False),
    "events": ("Events simulated per deployment", True),
    "offered": ("Jobs offered per chain", True),
    "relative_throughput_error": ("Relative standard error of throughput", True),
    "relative_latency_error": ("Relative standard error of latency", True),
}
"""Numbers that are shown as histograms: title, and whether the axis is logarithmic."""

STYLE = "body{font-family:sans-serif;max-width:60em;margin:2em auto}"


def write_plots(path: str | Path, title: str, numbers: dict[str, NDArray[Any]]) -> None:
    """Write the plots of a data set.

    Args:
        path: The HTML file.
        title: What the page is called.
        numbers: What :func:`~datagen.store.describe.gather` gave.

    Raises:
        DatagenError: If the file cannot be written.
    """
    figures = [
        figure
        for name, (caption, log) in HISTOGRAMS.items()
        if (figure := _histogram(numbers[name], caption, log)) is not None
    ]
    if len(numbers["exit_number"]):
        figures.append(_exits(numbers["exit_number"], numbers["exit_share"]))
    parts = [
        figure.to_html(full_html=False, include_plotlyjs=number == 0)
        for number, figure in enumerate(figures)
    ]
    name = html.escape(title)
    text = (
        f"<!DOCTYPE html><html><head><meta charset='utf-8'><title>{name}</title>"
        f"<style>{STYLE}</style></head><body><h1>{name}</h1>{''.join(parts)}</body></html>\n"
    )
    write_whole(Path(path), lambda file: file.write_text(text, encoding="utf-8"))


def _bars(x: Any, y: Any, title: str, *, log: bool = False, width: Any = None) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure(go.Bar(x=x, y=y, width=width))
    figure.update_layout(title=title, height=320, bargap=0.02, margin={"t": 50, "b": 40})
    if log:
        figure.update_xaxes(type="log", exponentformat="power")
    return figure


def _histogram(values: NDArray[Any], title: str, log: bool) -> Any:
    shown = np.asarray(values[np.isfinite(values)], dtype=np.float64)
    if log:
        shown = shown[shown > 0]
    if len(shown) == 0:
        return None
    scaled = np.log10(shown) if log else shown
    counts, edges = np.histogram(scaled, bins=BINS)
    if log:
        edges = 10.0**edges
    middles = np.sqrt(edges[1:] * edges[:-1]) if log else 0.5 * (edges[1:] + edges[:-1])
    return _bars(middles.tolist(), counts.tolist(), title, log=log, width=np.diff(edges).tolist())


def _exits(numbers: NDArray[Any], shares: NDArray[Any]) -> Any:
    totals = np.bincount(numbers, weights=shares)[1:] / max(int((numbers == 1).sum()), 1)
    places = [str(n) for n in range(1, len(totals) + 1)]
    return _bars(places, totals.tolist(), "Share of jobs that leave at each exit")
