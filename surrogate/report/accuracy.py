"""How well a surrogate reproduces labels: parity plots, errors by load, speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from datagen.evaluation import DeploymentBatch, Measures
from datagen.evaluation.loads import chain_load
from datagen.store.compare import LOAD_REGIMES, RELATIVE_OFFSET
from surrogate.report.page import Page, percent

__all__ = ["Judged", "error_figure", "evaluation_report", "parity_figure"]

TARGETS = {"throughput_ratio": "throughput ratio", "latency_ratio": "latency ratio"}

RATIO_NOTE = (
    "Throughput ratio: requests completed / offered. Latency ratio: time a request would take on "
    "idle devices / its mean latency. Both lie between 0 and 1 and are compared chain by chain."
)

REGIME_NAMES = {
    "0-0.5": "load < 0.5",
    "0.5-0.8": "0.5 to 0.8",
    "0.8-1": "0.8 to 1",
    "1-1.5": "1 to 1.5",
    "1.5-inf": "load ≥ 1.5",
}

REGIME_COLOURS = ("#3b528b", "#21918c", "#7ab648", "#e8a33d", "#c8472f")
"""From idle to overloaded; told apart by lightness as well, for readers who see few colours."""

LINE_COLOURS = ("#8a8f98", "#c8472f", "#3b528b", "#21918c")

MOST_POINTS = 3000
"""Points of a parity plot: more make a page slow and a cloud no clearer. Figures count all."""

QUANTILES = 200
"""Points of an error curve."""

LEAST_ERROR = 1e-5
"""Where the logarithmic axis of errors begins."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A surrogate and how it did on labelled deployments.

    Args:
        name: What to call it.
        batch: The deployments.
        measures: What the surrogate says.
        labels: What is taken as true.
        result: Plain figures, as ``surrogate evaluate --json`` prints them.
    """

    name: str
    batch: DeploymentBatch
    measures: Measures
    labels: Measures
    result: Mapping[str, Any]


def _pairs(judged: Judged, target: str) -> tuple[NDArray[np.float64], ...]:
    """Labels, predictions, loads and deployments of the chains where both sides are defined."""
    true, said = (
        np.asarray(measures.chain[target], dtype=np.float64)
        for measures in (judged.labels, judged.measures)
    )
    known = np.isfinite(true) & np.isfinite(said)
    owner = judged.batch.owner("chain").astype(np.float64)
    return true[known], said[known], chain_load(judged.batch)[known], owner[known]


def _regime(load: NDArray[np.float64]) -> NDArray[np.int64]:
    edges = [low for low, _ in LOAD_REGIMES.values()]
    return np.searchsorted(edges, load, side="right") - 1


def parity_figure(judged: Judged) -> Any:
    """Plot predictions over labels, coloured by load.

    Args:
        judged: The surrogate.

    Returns:
        A plotly figure with one panel per target.
    """
    figure = make_subplots(
        cols=len(TARGETS), subplot_titles=[name.capitalize() for name in TARGETS.values()]
    )
    for column, target in enumerate(TARGETS, start=1):
        true, said, load, owner = _pairs(judged, target)
        shown = np.unique(np.linspace(0, len(true) - 1, min(MOST_POINTS, len(true))).astype(int))
        regimes = _regime(load[shown])
        diagonal = {"color": "#8a8f98", "width": 1}
        figure.add_scatter(
            x=[0, 1], y=[0, 1], mode="lines", line=diagonal, name="exact", legendgroup="exact",
            showlegend=column == 1, hoverinfo="skip", row=1, col=column,
        )  # fmt: skip
        for regime, key in enumerate(LOAD_REGIMES):
            rows = shown[regimes == regime]
            figure.add_scatter(
                x=true[rows], y=said[rows], mode="markers", name=REGIME_NAMES[key],
                legendgroup=key, showlegend=column == 1, customdata=owner[rows],
                marker={"size": 5, "color": REGIME_COLOURS[regime], "opacity": 0.65},
                hovertemplate="deployment %{customdata:.0f}<br>label %{x:.4f}"
                "<br>predicted %{y:.4f}<extra></extra>",
                row=1, col=column,
            )  # fmt: skip
        reach = {"range": [-0.02, 1.02], "constrain": "domain"}
        figure.update_xaxes(title_text="label [1]", row=1, col=column, **reach)
        anchor = "x" if column == 1 else f"x{column}"
        figure.update_yaxes(
            title_text="predicted [1]", row=1, col=column, scaleanchor=anchor, **reach
        )
    styled(figure, height=480)
    figure.update_layout(legend={"title": {"text": "largest load<br>on the chain's devices"}})
    return figure


def error_figure(judged: Sequence[Judged]) -> Any:
    """Plot the distribution of relative errors.

    Args:
        judged: Surrogates, told apart by colour.

    Returns:
        A plotly figure with one panel per target.
    """
    figure = make_subplots(
        cols=len(TARGETS), subplot_titles=[name.capitalize() for name in TARGETS.values()]
    )
    share = np.linspace(0.0, 1.0, QUANTILES + 1)
    for column, target in enumerate(TARGETS, start=1):
        for item, colour in zip(judged, LINE_COLOURS[-len(judged) :], strict=False):
            true, said, _, _ = _pairs(item, target)
            error = np.abs(said - true) / (true + RELATIVE_OFFSET)
            curve = np.quantile(error, share) if len(error) else np.full(len(share), np.nan)
            figure.add_scatter(
                x=100 * np.maximum(curve, LEAST_ERROR), y=100 * share, mode="lines",
                name=item.name, legendgroup=item.name, showlegend=column == 1,
                line={"color": colour, "width": 2},
                hovertemplate="%{y:.1f} % of chains within %{x:.3g} %<extra></extra>",
                row=1, col=column,
            )  # fmt: skip
        figure.update_xaxes(
            title_text="relative error [%]", type="log", dtick=1, row=1, col=column,
            range=[np.log10(100 * LEAST_ERROR), 2.3],
        )  # fmt: skip
        figure.update_yaxes(
            title_text="chains within that error [%]", range=[0, 101], row=1, col=column
        )
    return styled(figure, height=360)


def styled(figure: Any, height: int) -> Any:
    """Give a figure the look of all figures.

    Args:
        figure: A plotly figure; it is changed.
        height: Height [px].

    Returns:
        The same figure.
    """
    figure.update_layout(
        template="simple_white",
        height=height,
        margin={"l": 60, "r": 20, "t": 60, "b": 55},
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#1f2430"},
    )
    figure.update_xaxes(showgrid=True, gridcolor="#eceef2")
    figure.update_yaxes(showgrid=True, gridcolor="#eceef2")
    return go.Figure(figure)


def add_summary(page: Page, judged: Sequence[Judged]) -> None:
    """Add the table of errors and speed.

    Args:
        page: The page.
        judged: Surrogates.
    """
    keys = ("mape", "mape_trimmed", "median", "p95", "p99")
    titles = ["", "mean", "mean without worst 0.1 %", "median", "95 % of chains below"]
    titles += ["99 % below", "chains", "time per deployment", "in known ranges"]
    rows = []
    for item in judged:
        for target, name in TARGETS.items():
            errors = item.result[target]
            label = f"{name}, {item.name}" if len(judged) > 1 else name
            cells = [percent(errors[key]) for key in keys]
            cells += [f"{errors['n']:,}", f"{item.result['ms_per_deployment']:.3f} ms"]
            rows.append([label, *cells, percent(item.result.get("in_distribution"), 1)])
    page.table(titles, rows)


def _add_regimes(page: Page, judged: Judged) -> None:
    header = ["largest load on the chain's devices", "chains"]
    header += [
        f"{name}, {kind}" for name in TARGETS.values() for kind in ("mean", "median", "95 %")
    ]
    header += ["loss ratio, mean absolute error"]
    rows = []
    for key, errors in judged.result["by_load"].items():
        cells = [REGIME_NAMES.get(key, key), f"{errors['throughput_ratio']['n']:,}"]
        for target in TARGETS:
            cells += [percent(errors[target][kind]) for kind in ("mape", "median", "p95")]
        rows.append([*cells, percent(errors["loss_ratio"]["mae"], 3)])
    page.table(header, rows)


def _add_coverage(page: Page, judged: Judged) -> None:
    header = [
        "",
        "largest load on the chain's devices",
        "chains",
        "inside",
        "width, mean",
        "median",
    ]
    rows = []
    for target, name in TARGETS.items():
        covered = judged.result["coverage"].get(target)
        if covered is None:
            continue
        for key, part in {"all": covered, **covered["by_load"]}.items():
            cells = [
                name,
                REGIME_NAMES.get(key, key),
                f"{part['n']:,}",
                percent(part["covered"], 1),
            ]
            rows.append([*cells, percent(part["width"]), percent(part["width_median"])])
    page.table(header, rows)


def evaluation_report(judged: Judged, path: Path) -> None:
    """Write how well a surrogate reproduces labels.

    Args:
        judged: The surrogate and how it did.
        path: The HTML file.

    Raises:
        InvalidInputError: If it cannot be written.
    """
    batch, measures, labels = judged.batch, judged.measures, judged.labels
    page = Page(
        "Surrogate against labels",
        f"Predictions of {measures.source} for {len(batch):,} deployments with "
        f"{len(batch.chain_rate):,} request chains, compared with their labels "
        f"({labels.source}).",
    )
    page.text(RATIO_NOTE)
    page.heading("Errors and speed")
    page.text(
        "Relative errors |predicted - label| / label. One deployment alone takes "
        f"{judged.result['ms_single']:.2f} ms; the time per deployment below is for batches of "
        "1,024."
    )
    add_summary(page, [judged])
    page.heading("Predicted over label")
    page.figure(
        parity_figure(judged),
        f"One point per chain, at most {MOST_POINTS:,}, evenly picked; exact predictions lie on "
        "the diagonal. Colour: offered load of the busiest device that the chain visits; above 1 "
        "it is offered more than it can serve.",
    )
    page.heading("How errors are distributed")
    page.figure(
        error_figure([judged]),
        "Share of the chains whose relative error is at most the value below.",
    )
    page.heading("Errors by load")
    _add_regimes(page, judged)
    page.heading("Intervals")
    page.text("Share of the labels inside the 90 % intervals, and how wide these are.")
    _add_coverage(page, judged)
    page.write(path)
