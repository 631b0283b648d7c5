"""The look of all figures."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

__all__ = ["COLOURS", "REGIME_COLOURS", "REGIME_NAMES", "styled"]

COLOURS = ("#3b528b", "#c8472f", "#21918c", "#8a8f98")
"""Of things that are compared, in order."""

REGIME_NAMES = {
    "0-0.5": "load < 0.5",
    "0.5-0.8": "0.5 to 0.8",
    "0.8-1": "0.8 to 1",
    "1-1.5": "1 to 1.5",
    "1.5-inf": "load ≥ 1.5",
}
"""Regimes of load (:data:`datagen.store.compare.LOAD_REGIMES`) as a reader sees them."""

REGIME_COLOURS = ("#3b528b", "#21918c", "#7ab648", "#e8a33d", "#c8472f")
"""From idle to overloaded; told apart by lightness as well, for readers who see few colours."""


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
