"""The look of all figures."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

__all__ = ["CHAIN_COLOURS", "COLOURS", "REGIME_COLOURS", "REGIME_NAMES", "styled"]

COLOURS = ("#3b528b", "#c8472f", "#e8b23c", "#8a8f98")
"""Of things that are compared, in order."""

REGIME_NAMES = {
    "0-0.5": "load < 0.5",
    "0.5-0.8": "0.5 to 0.8",
    "0.8-1": "0.8 to 1",
    "1-1.5": "1 to 1.5",
    "1.5-inf": "load ≥ 1.5",
}
"""Regimes of load (:data:`datagen.store.compare.LOAD_REGIMES`) as a reader sees them."""

REGIME_COLOURS = ("#2b3a7a", "#2f86b8", "#5cb98c", "#e8b23c", "#a3201c")
"""From idle to overloaded."""

CHAIN_COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#2b2b2b", "#7f3b08",
)  # fmt: skip
"""Of chains of requests, in order. Two colours of any of these palettes are told apart also by
readers who see two of the three primary colours."""


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
