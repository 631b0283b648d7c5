"""The frontier of error against time: tables, a dated result file, a page with a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plotly.subplots import make_subplots
from result_file import head

from surrogate.report.accuracy import styled
from surrogate.report.page import Page

__all__ = ["FIGURES", "frontier_figure", "page", "result_text", "tables"]

FIGURES = (
    ("throughput_ratio", "mape"),
    ("throughput_ratio", "mape_trimmed"),
    ("throughput_ratio", "median"),
    ("throughput_ratio", "p95"),
    ("throughput_ratio", "mae"),
    ("latency_ratio", "mape"),
    ("latency_ratio", "p95"),
    ("loss_ratio", "log2_error"),
)
"""What competitors are judged by: target and error."""

SHORT = {"throughput_ratio": "thr.", "latency_ratio": "lat.", "loss_ratio": "loss"}

ABSOLUTE = ("mae", "log2_error")
"""Errors that are no shares."""

PANELS = (
    ("throughput_ratio", "mape_trimmed", "Throughput ratio,<br>mean without worst 0.1 %"),
    ("throughput_ratio", "p95", "Throughput ratio,<br>95 % of chains below"),
    ("latency_ratio", "mape", "Latency ratio,<br>mean"),
)

COLOURS = {
    "surrogate": "#c8472f",
    "baseline": "#7ab648",
    "formula": "#21918c",
    "simulation": "#3b528b",
}

NOTE = (
    "Relative errors |a - b| / (b + 1e-5) over chains against the labels, which may carry noise of "
    "their own; mape_trimmed leaves out the worst 0.1 %, mae is absolute, log2_error is the mean "
    "|log2(a / b)| of loss ratios of at least 1e-4. Simulations tell no latency of chains with too "
    "few completions (the share under no lat.): they are judged on the easier ones that are left."
)

BEATS_NOTE = (
    "A simulation counts as beaten where its error is no smaller and its time no less; time is "
    "that of all threads together, so that two threads have to be twice as fast as one."
)

TIME_NOTE = (
    "Times are warm and interleaved. Where other work shares the machine only their ratios mean "
    "something, and threads that wait for each other lose most."
)


PLOT_NOTE = "The SVG file of the same name shows the frontier."


def shown(row: Mapping[str, Any], target: str, key: str) -> str:
    """Return an error as a table shows it; a dash where no chain defines it."""
    value = row[target][key]
    if value is None:
        return "-"
    if key in ABSOLUTE:
        return f"{value:.4f}"
    return f"{100 * value:.2f} %"


def cells(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return errors and times, a line per row."""
    return [
        [
            row["name"],
            f"{row['ms_per_deployment']:.4f}",
            str(row["threads"]),
            *(shown(row, target, key) for target, key in FIGURES),
            no_latency(row),
        ]
        for row in rows
    ]


def no_latency(row: Mapping[str, Any]) -> str:
    """Return the share of chains whose latency it does not tell, or the labels do not."""
    judged, undefined = (row["latency_ratio"][key] for key in ("n", "undefined"))
    return f"{100 * undefined / (judged + undefined):.1f} %"


def header() -> list[str]:
    """Return the titles of :func:`cells`."""
    return ["", "ms", "threads", *figure_titles(), "no lat."]


def figure_titles() -> list[str]:
    """Return what the figures are called in tables."""
    return [f"{SHORT[target]} {key}" for target, key in FIGURES]


def beaten_cells(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return per figure the longest simulation that is beaten, a line per rival of simulations."""
    keys = ["all", *(f"{target}.{key}" for target, key in FIGURES)]
    length = {row["name"]: row["horizon"] for row in rows if row["kind"] == "simulation"}
    lines = []
    for row in rows:
        if row["beats"] is None:
            continue
        horizons = ([length[name] for name in row["beats"].get(key, [])] for key in keys)
        lines.append([row["name"], *(f"{max(own):g} s" if own else "-" for own in horizons)])
    return lines


def beaten_header() -> list[str]:
    """Return the titles of :func:`beaten_cells`."""
    return ["beats up to", "in all", *figure_titles()]


def markdown(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    rows = [titles, ["---"] * len(titles), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def fitted(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each model that was fitted for the comparison."""
    return [
        f"{row['name']}, on pooled features: fitted on {row['fitted_on']:,} deployments in "
        f"{row['fit_s']:.0f} s."
        for row in rows
        if row["fit_s"] is not None
    ]


def _whole(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return rows with their errors on the whole data set, of what was judged on it."""
    return [row | row["whole"] for row in report["rows"] if row["whole"] is not None]


def tables(report: Mapping[str, Any]) -> str:
    """Return the figures as Markdown tables.

    Args:
        report: What ``surrogate_frontier.measure`` gave.

    Returns:
        Errors on the same deployments for all, on the whole data set, and what beats what.
    """
    rows = report["rows"]
    parts = [
        f"The same {report['compared']:,} deployments for all:\n",
        markdown(header(), cells(rows)),
        f"All {report['deployments']:,} deployments:\n",
        markdown(header(), cells(_whole(report))),
        "The longest simulation that is beaten at equal or less time:\n",
        markdown(beaten_header(), beaten_cells(rows)),
        *(f"{sentence}\n" for sentence in fitted(rows)),
    ]
    return "\n".join(parts)


def result_text(report: Mapping[str, Any], command: str, hardware: str | None) -> str:
    """Return the content of a result file.

    Args:
        report: What ``surrogate_frontier.measure`` gave.
        command: The command that was run.
        hardware: Class of the machine; None for this one's.

    Returns:
        Markdown.
    """
    configuration = (
        f"data set {report['dataset']} ({report['deployments']:,} deployments, labels by "
        f"{report['labels']}, sha256 {report['dataset_sha256'][:12]}); "
        f"{report['compared']:,} deployments simulated, one run each; "
        f"medians of {report['repeats']} interleaved passes"
    )
    lines = head(
        "Error against time per deployment: surrogates, formulas and simulations",
        report["machine"],
        configuration=configuration,
        command=command,
        hardware=hardware,
    )
    return "\n".join([*lines, tables(report), NOTE, BEATS_NOTE, TIME_NOTE, PLOT_NOTE, ""])


def frontier_figure(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Plot errors over milliseconds per deployment, both on logarithmic axes.

    Args:
        rows: What ``surrogate_frontier.measure`` gave under that name.

    Returns:
        A plotly figure with one panel per error.
    """
    figure = make_subplots(
        cols=len(PANELS),
        subplot_titles=[title for _, _, title in PANELS],
        horizontal_spacing=0.1,  # names of points reach beyond the axes
    )
    for column, (target, key, _) in enumerate(PANELS, start=1):
        for kind, colour in COLOURS.items():
            own = [row for row in rows if row["kind"] == kind and row[target][key] is not None]
            line = kind == "simulation"
            figure.add_scatter(
                x=[row["ms_per_deployment"] for row in own],
                y=[100 * row[target][key] for row in own],
                text=[f"{row['horizon']:g} s" if line else row["name"] for row in own],
                mode="lines+markers+text" if line else "markers+text",
                name=kind, legendgroup=kind, showlegend=column == 1 and bool(own),
                textposition="middle right", textfont={"size": 10}, cliponaxis=False,
                marker={"size": 9, "color": colour}, line={"color": colour, "width": 1},
                hovertemplate="%{text}<br>%{x:.4g} ms<br>%{y:.3g} %<extra></extra>",
                row=1, col=column,
            )  # fmt: skip
    figure.update_xaxes(title_text="ms per deployment", type="log", dtick=1)
    figure.update_yaxes(type="log", dtick="D2")
    figure.update_yaxes(title_text="relative error [%]", col=1)
    styled(figure, height=520)
    return figure.update_layout(legend={"orientation": "h", "y": -0.2}, margin={"t": 80, "r": 60})


def page(report: Mapping[str, Any]) -> Page:
    """Return the page.

    Args:
        report: What ``surrogate_frontier.measure`` gave.

    Returns:
        A page that fetches nothing.
    """
    rows = report["rows"]
    made = Page(
        "Error against time per deployment",
        f"Surrogates, formulas and compiled simulations of {report['compared']:,} deployments of "
        f"{report['dataset']}, compared with their labels ({report['labels']}).",
    )
    made.text(NOTE)
    made.heading("The frontier")
    made.figure(
        frontier_figure(rows),
        "Left and below is better. The line joins simulations of growing length, one thread each; "
        f"times are medians of {report['repeats']} passes.",
    )
    made.heading("Errors and times")
    made.text(TIME_NOTE)
    made.table(header(), cells(rows))
    for sentence in fitted(rows):
        made.text(sentence)
    made.heading(f"On all {report['deployments']:,} deployments")
    made.table(header(), cells(_whole(report)))
    made.heading("The longest simulation that is beaten at equal or less time")
    made.text(BEATS_NOTE)
    made.table(beaten_header(), beaten_cells(rows))
    return made
