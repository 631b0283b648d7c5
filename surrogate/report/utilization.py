"""A picture of how busy each device is, before a placement search and after it."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from datagen.report.style import styled
from surrogate.optimizers.result import Outcome, SearchResult

__all__ = ["UTILIZATION_NOTE", "utilization_figure"]

UTILIZATION_NOTE = (
    "The share of time that each device is busy, in simulation. A device that is always busy loses "
    "what its queue cannot hold; one that idles could take work from it."
)

COLOURS = ("#8a8f98", "#3b528b")
"""Before and after."""

NAMED = 40
"""Up to so many devices are named under their bars; more would cover each other."""


def utilization_figure(result: SearchResult) -> Any:
    """Draw the utilization of every device, start and chosen placement side by side.

    Args:
        result: The search.

    Returns:
        A plotly figure; a device that nobody simulated has no bar.
    """
    devices = [device.name for device in result.deployment.problem.devices]
    figure = go.Figure()
    for name, outcome, colour in zip(
        ("before", "after"), (result.start, result.verified), COLOURS, strict=True
    ):
        figure.add_bar(
            x=devices,
            y=[_percent(outcome, device) for device in devices],
            name=name,
            marker={"color": colour},
            hovertemplate="%{x}, " + name + ": busy %{y:.3g} % of the time<extra></extra>",
        )
    figure.update_layout(barmode="group", legend={"orientation": "h", "y": 1.15})
    figure.update_xaxes(title_text="device", type="category", showticklabels=len(devices) <= NAMED)
    figure.update_yaxes(title_text="utilization [%]", range=[0, 100])
    return styled(figure, height=340)


def _percent(outcome: Outcome, device: str) -> float | None:
    share = outcome.devices.get(device, {}).get("utilization", math.nan)
    return 100 * share if math.isfinite(share) else None
