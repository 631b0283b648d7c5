"""Pictures of the benchmark of batching accelerators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from npu_cases import OURS

from datagen.npu import NETWORKS, VARIANTS, layer_seconds, network, processing_array

__all__ = ["network_utilization", "ratio_figure", "utilization_figure"]

LARGEST = 32
"""Largest batch that is drawn."""

SHOWN = (
    "serial",
    "dynamic",
    "greedy",
    "lazy",
    "greedy on fluid+stackable",
    "lazy on fluid+stackable",
)
"""Systems whose ratios are drawn."""


def network_utilization(name: str, array: str, variant: str, largest: int) -> np.ndarray:
    """Return the share of an array's peak that a whole network reaches by batch size [largest]."""
    placed, chosen = processing_array(array), network(name)
    layers = [layer for segment in chosen.segments(1) for layer in segment]
    seconds = np.sum([layer_seconds(own, placed, variant, largest) for own in layers], axis=0)
    operations = sum(layer.operations for layer in layers)
    return np.asarray(np.arange(1, largest + 1) * operations / (seconds * placed.peak))


def _axes(rows: int, columns: int) -> tuple[Any, Any]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    size = (3.4 * columns, 2.8 * rows)
    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")


def utilization_figure(path: Path, arrays: Sequence[str]) -> None:
    """Draw utilization against batch size: a row of panels per network, a column per array.

    Args:
        path: File to write.
        arrays: Names of arrays.
    """
    figure, axes = _axes(len(NETWORKS), len(arrays))
    sizes = np.arange(1, LARGEST + 1)
    for row, name in zip(axes, NETWORKS, strict=True):
        for panel, array in zip(row, arrays, strict=True):
            for variant in VARIANTS:
                used = network_utilization(name, array, variant, LARGEST)
                panel.plot(sizes, used, label=variant)
            panel.set(title=f"{name}, array {array}", xlabel="batch", ylabel="utilization")
            panel.set_ylim(0, 1)
    axes[0, 0].legend()
    figure.savefig(path, dpi=110)


def ratio_figure(path: Path, by_load: Sequence[Mapping[str, Any]]) -> None:
    """Draw ratios to exit-aware preemption on fluid, stackable arrays against load.

    Args:
        path: File to write.
        by_load: Ratios per system and load.
    """
    figure, axes = _axes(1, 2)
    titles = {"mean_latency_ratio": "mean latency", "slo_violation_ratio": "SLO violations"}
    for panel, (name, title) in zip(axes[0], titles.items(), strict=True):
        for system in SHOWN:
            rows = [row for row in by_load if row["system"] == system]
            known = [row for row in rows if row[name]["geometric_mean"] is not None]
            panel.plot(
                [row["load"] for row in known],
                [row[name]["geometric_mean"] for row in known],
                marker="o",
                label=system,
            )
        panel.axhline(1.0, color="grey", linewidth=0.8)
        panel.set(title=title, xlabel="load", yscale="log")
    axes[0, 0].legend(fontsize=6)
    figure.suptitle(f"other systems over {OURS}", fontsize="medium")
    figure.savefig(path, dpi=110)
