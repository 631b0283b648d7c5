"""What a search of batching, or of everything at once, found: settings, latencies, the proof."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from datagen.report.page import Page, percent, seconds
from datagen.report.style import styled
from surrogate.optimizers.decided import decisions_of
from surrogate.optimizers.result import Outcome, SearchResult
from surrogate.report.findings import add_devices, add_effort, add_map
from surrogate.report.progress import PROGRESS_NOTE, progress_figure

__all__ = ["latency_figure", "tuning_report"]

LATENCY_NOTE = (
    "Mean and 95 % quantile of the latency of every chain, in simulation, before and after. The "
    "line across the bars of a chain is its deadline."
)

BEFORE, AFTER, LIMIT = "#8a8f98", "#3b528b", "#c8472f"


def latency_figure(result: SearchResult) -> Any:
    """Draw mean and tail of the latency of every chain, before and after.

    Args:
        result: The search.

    Returns:
        A plotly figure.
    """
    chains = [chain.name for chain in result.deployment.problem.chains]
    figure = go.Figure()
    for who, outcome, colour in (
        ("before", result.start, BEFORE),
        ("after", result.verified, AFTER),
    ):
        for measure, text, opacity in (("latency", "mean", 1.0), ("p95", "95 %", 0.45)):
            figure.add_bar(
                x=chains,
                y=[_milliseconds(outcome, chain, measure) for chain in chains],
                name=f"{text}, {who}",
                marker={"color": colour, "opacity": opacity},
                hovertemplate=f"%{{x}}, {text} {who}: %{{y:.4g}} ms<extra></extra>",
            )
    for number, chain in enumerate(result.deployment.problem.chains):
        if chain.deadline is not None:
            figure.add_shape(
                type="line", x0=number - 0.45, x1=number + 0.45, y0=1e3 * chain.deadline,
                y1=1e3 * chain.deadline, line={"color": LIMIT, "width": 2},
            )  # fmt: skip
    figure.update_layout(barmode="group", legend={"orientation": "h", "y": 1.15})
    figure.update_xaxes(title_text="chain", type="category")
    figure.update_yaxes(title_text="latency [ms]", rangemode="tozero")
    return styled(figure, height=360)


def _milliseconds(outcome: Outcome, chain: str, measure: str) -> float | None:
    value = outcome.chains.get(chain, {}).get(measure, math.nan)
    return 1e3 * value if math.isfinite(value) else None


def _add_settings(page: Page, result: SearchResult) -> None:
    """Add what was decided, before and after."""
    before, after = decisions_of(result.start_deployment), decisions_of(result.deployment)
    rows = []
    for device, settings in after.get("npu", {}).items():
        for name, value in settings.items():
            rows.append([device, name, _shown(before["npu"][device].get(name)), _shown(value)])
    for kind in ("thresholds", "routing"):
        for chain, values in after.get(kind, {}).items():
            rows.append([chain, kind, _shown(before[kind][chain]), _shown(values)])
    for chain, devices in after["placement"].items():
        if devices != before["placement"][chain]:
            old = before["placement"][chain]
            rows.append([chain, "placement", _shown(old), _shown(devices)])
    page.table(["of", "decision", "before", "after"], rows, words=True)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(
            f"({_shown(item)})" if isinstance(item, list) else _shown(item) for item in value
        )
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _add_outcomes(page: Page, result: SearchResult) -> None:
    """Add the measures of every chain, before and after."""
    header = ["chain", "", "mean latency", "95 %", "in time", "right answers", "lost", "energy [J]"]
    rows = []
    for chain in result.deployment.problem.chains:
        for who, outcome in (("before", result.start), ("after", result.verified)):
            values = outcome.chains.get(chain.name, {})
            energy = values.get("energy", math.nan)
            rows.append([
                chain.name,
                who,
                seconds(values.get("latency")),
                seconds(values.get("p95")),
                percent(values.get("attainment")),
                percent(values.get("accuracy_offered")),
                percent(values.get("loss_ratio"), 3),
                f"{energy:.3g}" if math.isfinite(energy) else "-",
            ])
    page.table(header, rows, words=True)
    add_effort(page, result, tried="candidates", answer="answer")


def tuning_report(result: SearchResult, path: Path) -> None:
    """Write what a search of batching, or of all decisions at once, found.

    Args:
        result: The search.
        path: The HTML file.

    Raises:
        InvalidInputError: If it cannot be written.
    """
    problem = result.deployment.problem
    page = Page(
        "Search of batching",
        f"{len(problem.chains)} request chains on {len(problem.devices)} devices: how should the "
        "accelerators batch, and what follows for everything else?",
    )
    page.heading("What was decided")
    _add_settings(page, result)
    page.heading("What it brings")
    _add_outcomes(page, result)
    page.figure(latency_figure(result), LATENCY_NOTE)
    if len(problem.devices) > 1:
        add_map(page, result)
    add_devices(page, result)
    page.heading("Progress of the search")
    page.figure(progress_figure(result), PROGRESS_NOTE)
    page.write(path)
