"""Differences between two sets of measures of the same deployments, chain by chain."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.errors import InvalidInputError
from datagen.evaluation.batch import DeploymentBatch
from datagen.evaluation.loads import chain_load
from datagen.evaluation.measures import Measures
from datagen.store.reader import Dataset

__all__ = ["LOAD_REGIMES", "compare_datasets", "compare_measures"]

Floats = NDArray[np.float64]

RATIOS = ("throughput_ratio", "latency_ratio")

RELATIVE_OFFSET = 1e-5
"""Keeps relative errors finite at 0; ChainNet's own choice, kept so that figures compare."""

TRIMMED_SHARE = 1e-3
"""Share of the worst chains that ``mape_trimmed`` leaves out: they carry half of the mean."""

LEAST_LOSS = 1e-4
"""Losses below are too rare to be known, so no logarithm of theirs is judged."""

LOSS_FLOOR = 1e-6
"""A candidate's loss counts as no less: a prediction of 0 is wrong by finitely many octaves."""

DECADES = (1e-4, 1e-3, 1e-2, 1e-1)

LOAD_REGIMES: dict[str, tuple[float, float]] = {
    "0-0.5": (0.0, 0.5),
    "0.5-0.8": (0.5, 0.8),
    "0.8-1": (0.8, 1.0),
    "1-1.5": (1.0, 1.5),
    "1.5-inf": (1.5, np.inf),
}
"""Half-open ranges of the largest offered load among a chain's devices."""


def compare_measures(
    batch: DeploymentBatch, candidate: Measures, reference: Measures
) -> dict[str, Any]:
    """Compare measures with a reference.

    Args:
        batch: The deployments of both.
        candidate: What is judged.
        reference: What is taken as true.

    Returns:
        Plain values: errors of the throughput, latency and loss ratios over all chains and
        ``by_load``, and the ``coverage`` of the candidate's bounds. Relative errors are
        |a - b| / (b + 1e-5). None stands for what no chain defines.
    """
    load = chain_load(batch)
    everything = np.ones(len(load), dtype=bool)
    report = _errors(candidate, reference, everything)
    report["by_load"] = {
        name: _errors(candidate, reference, (load >= low) & (load < high))
        for name, (low, high) in LOAD_REGIMES.items()
    }
    report["coverage"] = _coverage(candidate, reference)
    return report


def _errors(
    candidate: Measures, reference: Measures, rows: NDArray[np.bool_]
) -> dict[str, dict[str, Any]]:
    report = {
        name: _ratio_errors(_rows(candidate, name, rows), _rows(reference, name, rows))
        for name in RATIOS
    }
    name = "loss_ratio"
    report[name] = _loss_errors(_rows(candidate, name, rows), _rows(reference, name, rows))
    return report


def _rows(measures: Measures, name: str, rows: NDArray[np.bool_]) -> Floats:
    return np.asarray(measures.chain[name][rows], dtype=np.float64)


def _ratio_errors(a: Floats, b: Floats) -> dict[str, Any]:
    defined = np.isfinite(a) & np.isfinite(b)
    count = int(defined.sum())
    absolute = np.abs(a[defined] - b[defined])
    relative = np.sort(absolute / (b[defined] + RELATIVE_OFFSET))
    kept = relative[: count - int(TRIMMED_SHARE * count)]
    median, p95, p99 = np.quantile(relative, [0.5, 0.95, 0.99]) if count else [np.nan] * 3
    return {
        "mape": _mean(relative),
        "mape_trimmed": _mean(kept),
        "median": _plain(median),
        "p95": _plain(p95),
        "p99": _plain(p99),
        "mae": _mean(absolute),
        "n": count,
        "undefined": len(a) - count,
    }


def _loss_errors(a: Floats, b: Floats) -> dict[str, Any]:
    defined = np.isfinite(a) & np.isfinite(b)
    a, b = a[defined], b[defined]
    judged = b >= LEAST_LOSS
    octaves = np.abs(np.log2(np.maximum(a[judged], LOSS_FLOOR) / b[judged]))
    decade = np.searchsorted(DECADES, b[judged], side="right") - 1
    return {
        "mae": _mean(np.abs(a - b)),
        "log2_error": _mean(octaves),
        "log2_error_by_decade": {
            f"{low:.0e}": _mean(octaves[decade == row]) for row, low in enumerate(DECADES)
        },
        "log2_n": int(judged.sum()),
        "n": int(defined.sum()),
        "undefined": int((~defined).sum()),
    }


def _coverage(candidate: Measures, reference: Measures) -> dict[str, Any]:
    report: dict[str, Any] = {"level": candidate.level}
    for name in (*RATIOS, "loss_ratio"):
        if f"{name}_low" not in candidate.chain:
            continue
        low, high = candidate.chain[f"{name}_low"], candidate.chain[f"{name}_high"]
        true = reference.chain[name]
        defined = np.isfinite(low) & np.isfinite(high) & np.isfinite(true)
        inside = (low <= true) & (true <= high)
        report[name] = {
            "covered": _mean(inside[defined].astype(np.float64)),
            "width": _mean(high[defined] - low[defined]),
            "n": int(defined.sum()),
        }
    return report


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def compare_datasets(candidate: Dataset, reference: Dataset) -> dict[str, Any]:
    """Compare the labels of two data sets.

    Args:
        candidate: What is judged.
        reference: What is taken as true.

    Returns:
        What :func:`compare_measures` says, with the number of ``deployments``.

    Raises:
        InvalidInputError: If they do not hold the same deployments in the same order.
        CorruptDataError: If a file does not hold what its manifest says.
    """
    rule = "hold the deployments of the reference"
    if len(candidate) != len(reference):
        raise InvalidInputError("candidate", f"{rule}, {len(reference)}", len(candidate))
    for row, (a, b) in enumerate(zip(candidate.documents(), reference.documents(), strict=True)):
        if a != b:
            raise InvalidInputError("candidate", rule, f"another in row {row}")
    batch = reference.batch(laws=False)
    report = compare_measures(batch, candidate.measures(), reference.measures())
    return {"deployments": len(reference), **report}
