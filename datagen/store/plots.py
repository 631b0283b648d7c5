"""Plots of a data set, on one page that needs nothing but a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from datagen.report.page import Page, percent
from datagen.report.style import COLOURS, REGIME_COLOURS, REGIME_NAMES, styled
from datagen.store.compare import LOAD_REGIMES

__all__ = ["write_plots"]

BINS = 60
"""Bars of a histogram."""

HEIGHT = 320
"""Height of a histogram [px]."""

MOST_POINTS = 3000
"""Points of the plot of losses over loads: more make a page slow and a cloud no clearer."""

LEAST_LOSS = 1e-6
"""Where the axis of losses begins: fewer are not told from none."""

SIZES = {
    "chains": "chains per deployment",
    "devices": "devices per deployment",
    "steps": "steps per deployment",
    "path_length": "steps per path",
    "capacity": "units of a device's buffer",
}
"""Numbers of the table of sizes."""

QUANTILES = {"least": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "largest": 1.0}
"""Columns of that table."""

LOADS = {"device_load": ("Offered load of devices", "load", True)}
PERFORMANCE = {
    "loss_ratio": ("Losses of the chains that lost something", "loss ratio", True),
    "latency": ("Mean latency of chains", "latency [s]", True),
    "latency_ratio": ("Latency ratio of chains", "unloaded latency / mean latency", False),
}
PRECISION = {
    "events": ("Length of simulations", "events per deployment", True),
    "offered": ("Jobs that labels stand on", "jobs offered per chain", True),
    "relative_throughput_error": ("Throughput", "relative standard error", True),
    "relative_latency_error": ("Mean latency", "relative standard error", True),
}
"""Histograms by section: title, what the axis shows, and whether it is logarithmic."""


def write_plots(path: str | Path, title: str, numbers: dict[str, NDArray[Any]]) -> None:
    """Write the plots of a data set.

    Args:
        path: The HTML file.
        title: What the page is called.
        numbers: What :func:`~datagen.store.describe.gather` gave.

    Raises:
        InvalidInputError: If the file cannot be written.
    """
    deployments, chains = len(numbers["chains"]), len(numbers["chain_load"])
    page = Page(title, f"{deployments:,} deployments with {chains:,} request chains.")
    page.heading("Sizes")
    _add_sizes(page, numbers)
    page.heading("Loads")
    page.figure(
        _regimes(numbers["chain_load"]),
        "Share of the chains by the largest offered load among the devices that they visit: at 1 "
        "a device is offered just what it can serve.",
    )
    _add_histograms(page, LOADS, numbers)
    page.heading("Losses and latencies")
    page.figure(
        _losses(numbers["chain_load"], numbers["loss_ratio"]),
        f"One point per chain, at most {MOST_POINTS:,}, evenly picked; losses below "
        f"{LEAST_LOSS:g} are drawn there.",
    )
    _add_histograms(page, PERFORMANCE, numbers)
    if len(numbers["exit_number"]):
        page.heading("Early exits")
        page.figure(
            _exits(numbers["exit_number"], numbers["exit_share"]),
            "Share of the jobs that leave at each exit of their chain, counted from 1; mean over "
            "the chains that have exits.",
        )
    page.heading("How well the labels are known")
    _add_histograms(page, PRECISION, numbers)
    page.write(Path(path))


def _add_sizes(page: Page, numbers: dict[str, NDArray[Any]]) -> None:
    rows = []
    for name, title in SIZES.items():
        known = numbers[name][np.isfinite(numbers[name])]
        if len(known):
            found = np.quantile(known, list(QUANTILES.values()))
            rows.append([title, *(f"{value:g}" for value in found)])
    page.table(["", *QUANTILES], rows)


def _add_histograms(
    page: Page, shown: dict[str, tuple[str, str, bool]], numbers: dict[str, NDArray[Any]]
) -> None:
    for name, (title, axis, log) in shown.items():
        values = np.asarray(numbers[name], dtype=np.float64)
        values = values[np.isfinite(values) & ((values > 0) | (not log))]
        if len(values) == 0:
            page.text(f"{title}: there is nothing to show.")
            continue
        low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
        page.figure(
            _histogram(values, title, axis, log),
            f"{len(values):,} values, median {middle:.3g}; nine tenths of them lie between "
            f"{low:.3g} and {high:.3g}.",
        )


def _histogram(values: NDArray[np.float64], title: str, axis: str, log: bool) -> Any:
    counts, edges = np.histogram(np.log10(values) if log else values, bins=BINS)
    if log:
        edges = 10.0**edges
    middles = np.sqrt(edges[1:] * edges[:-1]) if log else 0.5 * (edges[1:] + edges[:-1])
    figure = go.Figure()
    figure.add_bar(
        x=middles.tolist(), y=counts.tolist(), width=np.diff(edges).tolist(),
        marker={"color": COLOURS[0]}, hovertemplate="%{x:.4g}: %{y:,}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(title={"text": title, "font": {"size": 14}}, bargap=0.0)
    figure.update_xaxes(title_text=axis)
    if log:
        figure.update_xaxes(type="log", exponentformat="power")
    figure.update_yaxes(title_text="number")
    return styled(figure, HEIGHT)


def _regimes(load: NDArray[Any]) -> Any:
    shares = [float(np.mean((load >= low) & (load < high))) for low, high in LOAD_REGIMES.values()]
    figure = go.Figure()
    figure.add_bar(
        x=[REGIME_NAMES[key] for key in LOAD_REGIMES], y=[100 * share for share in shares],
        text=[percent(share, 1) for share in shares], marker={"color": REGIME_COLOURS},
        hoverinfo="skip",
    )  # fmt: skip
    figure.update_xaxes(title_text="largest load on the chain's devices")
    figure.update_yaxes(title_text="chains [%]")
    return styled(figure, HEIGHT)


def _losses(load: NDArray[Any], loss: NDArray[Any]) -> Any:
    rows = np.flatnonzero(np.isfinite(load) & np.isfinite(loss))
    rows = rows[np.linspace(0, len(rows) - 1, min(MOST_POINTS, len(rows))).astype(int)]
    figure = go.Figure()
    figure.add_scatter(
        x=load[rows].tolist(), y=np.maximum(loss[rows], LEAST_LOSS).tolist(), mode="markers",
        marker={"size": 4, "color": COLOURS[0], "opacity": 0.5},
        hovertemplate="load %{x:.3g}, loss ratio %{y:.3g}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title_text="largest load on the chain's devices", type="log")
    figure.update_yaxes(title_text="loss ratio", type="log", exponentformat="power")
    return styled(figure, 420)


def _exits(numbers: NDArray[Any], shares: NDArray[Any]) -> Any:
    totals = np.bincount(numbers, weights=shares)[1:] / max(int((numbers == 1).sum()), 1)
    places = [str(n) for n in range(1, len(totals) + 1)]
    figure = go.Figure()
    figure.add_bar(x=places, y=(100 * totals).tolist(), marker={"color": COLOURS[0]})
    figure.update_xaxes(title_text="exit", type="category")
    figure.update_yaxes(title_text="jobs that leave there [%]")
    return styled(figure, HEIGHT)
