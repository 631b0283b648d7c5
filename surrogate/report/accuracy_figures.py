"""Figures of how well surrogates reproduce labels: parity, errors by load, their distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from plotly.subplots import make_subplots

from datagen.report.style import COLOURS, REGIME_COLOURS, REGIME_NAMES, styled
from datagen.store.compare import LOAD_REGIMES, RELATIVE_OFFSET
from surrogate.report.judged import TARGETS, Judged, pairs, regime_of

__all__ = ["MOST_POINTS", "error_figure", "parity_figure", "regime_figure"]

MOST_POINTS = 3000
"""Points of a parity plot: more make a page slow and a cloud no clearer. Figures count all."""

QUANTILES = 200
"""Points of an error curve."""

LEAST_ERROR = 1e-5
"""Where the logarithmic axis of errors begins."""

BOX_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles that a box shows: its whiskers, its ends and its middle."""


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
        true, said, load, owner = pairs(judged, target)
        shown = np.unique(np.linspace(0, len(true) - 1, min(MOST_POINTS, len(true))).astype(int))
        regimes = regime_of(load[shown])
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
        figure.update_xaxes(title_text="label", row=1, col=column, **reach)
        anchor = "x" if column == 1 else f"x{column}"
        figure.update_yaxes(title_text="predicted", row=1, col=column, scaleanchor=anchor, **reach)
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
        for item, colour in zip(judged, COLOURS, strict=False):
            true, said, _, _ = pairs(item, target)
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


def regime_figure(judged: Sequence[Judged]) -> Any:
    """Plot relative errors by the load of the busiest device.

    Args:
        judged: Surrogates, told apart by colour.

    Returns:
        A plotly figure with one panel per target; boxes hold the middle half of the chains, their
        whiskers nine tenths.
    """
    figure = make_subplots(
        cols=len(TARGETS), subplot_titles=[name.capitalize() for name in TARGETS.values()]
    )
    for column, target in enumerate(TARGETS, start=1):
        for item, colour in zip(judged, COLOURS, strict=False):
            figure.add_box(
                **_boxes(item, target), name=item.name, legendgroup=item.name,
                showlegend=column == 1, marker={"color": colour}, row=1, col=column,
            )  # fmt: skip
        figure.update_xaxes(title_text="largest load on the chain's devices", row=1, col=column)
        figure.update_yaxes(
            title_text="relative error [%]", type="log", dtick=1, row=1, col=column,
            range=[np.log10(100 * LEAST_ERROR), 2.3],
        )  # fmt: skip
    figure.update_layout(boxmode="group")
    return styled(figure, height=380)


def _boxes(judged: Judged, target: str) -> dict[str, list[Any]]:
    """Return the quantiles of each regime that has chains, as plotly's boxes want them."""
    true, said, load, _ = pairs(judged, target)
    error, regime = np.abs(said - true) / (true + RELATIVE_OFFSET), regime_of(load)
    boxes = [
        [REGIME_NAMES[key], *np.quantile(error[regime == place], BOX_LEVELS).tolist()]
        for place, key in enumerate(LOAD_REGIMES)
        if np.any(regime == place)
    ]
    names = ("lowerfence", "q1", "median", "q3", "upperfence")
    return {"x": [box[0] for box in boxes]} | {
        name: [100 * max(box[place], LEAST_ERROR) for box in boxes]
        for place, name in enumerate(names, start=1)
    }
