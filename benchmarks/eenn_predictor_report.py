"""The figures of exit predictors: tables, a dated result file, a page with curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from result_file import head

from surrogate.report.page import Page

__all__ = ["curve_figure", "page", "result_text"]

COLOURS = ("#3b528b", "#21918c", "#7ab648", "#e09f3e", "#c8472f", "#6a4c93", "#555b6e")

ERRORS = (
    ("exit_mix_mae", "exit mix"),
    ("exit_mix_mae_empirical_table", "table"),
    ("exit_mix_mae_independence", "independent exits"),
    ("exit_mix_noise_floor", "noise floor"),
    ("accuracy_mae", "accuracy"),
    ("accuracy_mae_empirical_table", "table"),
    ("accuracy_noise_floor", "noise floor"),
)

SHOWN = (4, 8, 16, 24)
"""Places of the curves that the tables show."""

NOTE = (
    "Mean absolute errors of shares against the counts of the test images: exit mix over vectors "
    "of thresholds and exits, accuracy (of all samples) over vectors. The table is that of the "
    "calibration samples; the noise floor is the mean difference of the tables of two random "
    "disjoint sets of images of the two sizes, all contexts of an image together."
)

SPEED_NOTE = (
    "Times of batches of 4,096 vectors (512 of eenn-general, which is given 100 samples) for 9 "
    "exits. Vectors per second are by the clock, with two "
    "threads of the predictors and one of the count; those per second of processor time are with "
    "one thread, and tell the work where other programs share the machine."
)


def _table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [titles, ["---"] * len(titles), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _contexts(report: Mapping[str, Any]) -> str:
    lines = []
    for row in [*report["by_context"], {"context": "mean", "trained_on": True, **report}]:
        name = str(row["context"]) + ("" if row["trained_on"] else " (not trained in)")
        lines.append([name, *(f"{row[key]:.5f}" for key, _ in ERRORS)])
    return _table(["context", *(title for _, title in ERRORS)], lines)


def _few_shot(rows: Sequence[Mapping[str, Any]]) -> str:
    keys = ("exit_mix_mae", "exit_mix_mae_empirical_table")
    keys += ("accuracy_mae", "accuracy_mae_empirical_table")
    lines = [
        [
            str(row["samples"]),
            *(f"{row[key]:.5f}" for key in keys),
            f"{row[keys[0]] / row[keys[1]]:.3f}",
        ]
        for row in rows
    ]
    return _table(["samples", "exit mix", "table", "accuracy", "table", "exit mix / table"], lines)


def _speeds(report: Mapping[str, Any]) -> str:
    names = {"": "eenn-digits", "general_": "eenn-general", "direct_count_": "compiled count"}
    lines = [
        [name, *(f"{report[key + unit]:,.0f}" for unit in ("vectors_per_s", "vectors_per_cpu_s"))]
        for key, name in names.items()
    ]
    return _table(["", "vectors / s", "vectors / s of processor time"], lines)


def _curves(curves: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for curve in curves:
        for place in SHOWN:
            shares = [
                f"{curve[f'{kind}_{what}'][place]:.4f}"
                for what in ("cost", "accuracy")
                for kind in ("predicted", "measured")
            ]
            lines.append([str(curve["context"]), f"{curve['threshold'][place]:.4f}", *shares])
    titles = ["context", "threshold", "cost", "measured", "accuracy", "measured"]
    return _table(titles, lines)


def result_text(report: Mapping[str, Any], command: str, hardware: str | None) -> str:
    """Return the content of a result file.

    Args:
        report: What ``eenn_predictor.measure`` gave.
        command: The command that was run.
        hardware: Class of the machine; None for this one's.

    Returns:
        Markdown.
    """
    samples = report["samples"]
    configuration = (
        f"{samples['calibration']:,} calibration and {samples['test']:,} test samples; "
        f"{report['vectors']:,} vectors of thresholds per context, seed {report['seed']}"
    )
    exits = ", ".join(f"{value:.3f}" for value in report["test_accuracy_by_exit"])
    lines = head(
        "Exit predictors against tables, independence and counting",
        report["machine"],
        configuration=configuration,
        command=command,
        hardware=hardware,
    )
    parts = [
        f"eenn-digits on held-out images; accuracy of the network by exit: {exits}.\n",
        _contexts(report),
        "eenn-general on the same network, given a few calibration samples of a context:\n",
        _few_shot(report["general"]["digits"]),
        "eenn-general on made-up networks that it was not trained on:\n",
        _few_shot(report["general"]["made_up_networks"]),
        _speeds(report),
        "One threshold for all exits: mean cost relative to the whole network, and accuracy:\n",
        _curves(report["cost_curves"]),
        NOTE,
        SPEED_NOTE,
        "",
    ]
    return "\n".join([*lines, *parts])


def curve_figure(curves: Sequence[Mapping[str, Any]]) -> Any:
    """Plot accuracy over mean cost, predicted as lines and measured as points.

    Args:
        curves: What ``eenn_predictor.cost_curves`` gave.

    Returns:
        A plotly figure.
    """
    figure = go.Figure()
    for index, curve in enumerate(curves):
        name = "all samples" if curve["context"] is None else f"context {curve['context']}"
        colour = COLOURS[index % len(COLOURS)]
        for kind, mode in (("predicted", "lines"), ("measured", "markers")):
            figure.add_trace(
                go.Scatter(
                    x=curve[f"{kind}_cost"],
                    y=curve[f"{kind}_accuracy"],
                    mode=mode,
                    name=f"{name}, {kind}",
                    legendgroup=name,
                    line={"color": colour},
                    marker={"color": colour, "size": 6},
                )
            )
    figure.update_layout(
        xaxis_title="mean cost, relative to the whole network",
        yaxis_title="accuracy",
        template="plotly_white",
        height=520,
    )
    return figure


def page(report: Mapping[str, Any]) -> Page:
    """Return the page with the curves.

    Args:
        report: What ``eenn_predictor.measure`` gave.

    Returns:
        The page.
    """
    made = Page(
        "Accuracy against cost of an early-exit network",
        "One threshold for all exits, from low to high; predicted before the test images were "
        "seen, and measured on them.",
    )
    made.figure(
        curve_figure(report["cost_curves"]),
        "Lines are predicted by eenn-digits, points are counted over the test images.",
    )
    return made
