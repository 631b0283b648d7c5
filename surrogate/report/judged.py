"""A surrogate and how it did on labelled deployments, and the chains that figures show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation import DeploymentBatch, Measures
from datagen.evaluation.loads import chain_load
from datagen.store.compare import LOAD_REGIMES

__all__ = ["RATIO_NOTE", "TARGETS", "Judged", "pairs", "regime_of"]

TARGETS = {"throughput_ratio": "throughput ratio", "latency_ratio": "latency ratio"}

RATIO_NOTE = (
    "Throughput ratio: requests completed / offered. Latency ratio: time a request would take on "
    "idle devices / its mean latency. Both lie between 0 and 1 and are compared chain by chain."
)


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


def pairs(judged: Judged, target: str) -> tuple[NDArray[np.float64], ...]:
    """Return what is compared, of the chains where label and prediction are defined.

    Args:
        judged: The surrogate.
        target: A measure of chains.

    Returns:
        Labels, predictions, largest loads, and deployments, each [N].
    """
    true, said = (
        np.asarray(measures.chain[target], dtype=np.float64)
        for measures in (judged.labels, judged.measures)
    )
    known = np.isfinite(true) & np.isfinite(said)
    owner = judged.batch.owner("chain").astype(np.float64)
    return true[known], said[known], chain_load(judged.batch)[known], owner[known]


def regime_of(load: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the regime of each load.

    Args:
        load: Loads [N], >= 0.

    Returns:
        0-based places in :data:`datagen.store.compare.LOAD_REGIMES` [N].
    """
    edges = [low for low, _ in LOAD_REGIMES.values()]
    return np.searchsorted(edges, load, side="right") - 1
