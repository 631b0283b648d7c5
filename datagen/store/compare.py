"""Differences between two sets of measures of the same deployments, chain by chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.errors import InvalidInputError
from datagen.evaluation.batch import DeploymentBatch
from datagen.evaluation.loads import chain_load
from datagen.evaluation.measures import Measures
from datagen.store.reader import Dataset

__all__ = ["LENGTH_REGIMES", "LOAD_REGIMES", "compare_datasets", "compare_measures"]

Floats = NDArray[np.float64]

RATIOS = ("throughput_ratio", "latency_ratio")

COVERED = (*RATIOS, "loss_ratio", "p95")
"""Measures whose bounds are judged, where a candidate gives any."""

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

LENGTH_REGIMES: dict[str, tuple[int, int]] = {
    "1-2": (1, 3),
    "3": (3, 4),
    "4": (4, 5),
    "5-6": (5, 7),
    "7-": (7, 2**31),
}
"""Half-open ranges of the steps of a chain's longest path."""


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
        ``by_load``, and the ``coverage`` of the candidate's bounds: of all chains, by load, by
        length and by both. Relative errors are |a - b| / (b + 1e-5). None stands for what no chain
        defines.
    """
    load = chain_load(batch)
    everything = np.ones(len(load), dtype=bool)
    report = _errors(candidate, reference, everything)
    loads = {name: (load >= low) & (load < high) for name, (low, high) in LOAD_REGIMES.items()}
    report["by_load"] = {name: _errors(candidate, reference, rows) for name, rows in loads.items()}
    report["coverage"] = _coverage(candidate, reference, loads, _lengths(batch))
    return report


def _lengths(batch: DeploymentBatch) -> dict[str, NDArray[np.bool_]]:
    """Return which chains belong to each regime of length [C]."""
    longest = np.maximum.reduceat(batch.counts("step"), batch.path_start[:-1])
    return {
        name: (longest >= low) & (longest < high) for name, (low, high) in LENGTH_REGIMES.items()
    }


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


def _coverage(
    candidate: Measures,
    reference: Measures,
    loads: dict[str, NDArray[np.bool_]],
    lengths: dict[str, NDArray[np.bool_]],
) -> dict[str, Any]:
    report: dict[str, Any] = {"level": candidate.level}
    for name in COVERED:
        if f"{name}_low" not in candidate.chain:
            continue
        low, high, true = (
            np.asarray(values, dtype=np.float64)
            for values in (
                candidate.chain[f"{name}_low"],
                candidate.chain[f"{name}_high"],
                reference.chain[name],
            )
        )
        bounds = low, high
        report[name] = _covered(bounds, true) | {
            "by_load": {key: _covered(bounds, true, rows) for key, rows in loads.items()},
            "by_length": {key: _covered(bounds, true, rows) for key, rows in lengths.items()},
            "by_load_and_length": {
                load: {key: _covered(bounds, true, rows & also) for key, also in lengths.items()}
                for load, rows in loads.items()
            },
        }
    return report


def _covered(
    bounds: tuple[Floats, Floats], true: Floats, rows: NDArray[np.bool_] | slice = slice(None)
) -> dict[str, Any]:
    """Share of the true values between the bounds, and how far apart these are."""
    low, high, value = bounds[0][rows], bounds[1][rows], true[rows]
    defined = np.isfinite(low) & np.isfinite(high) & np.isfinite(value)
    low, high, value = low[defined], high[defined], value[defined]
    width = high - low
    return {
        "covered": _mean(((low <= value) & (value <= high)).astype(np.float64)),
        "width": _mean(width),
        "width_median": float(np.median(width)) if len(width) else None,
        "n": len(width),
    }


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def compare_datasets(
    candidate: Dataset,
    reference: Dataset,
    progress: Callable[[int], object] = lambda rows: None,
) -> dict[str, Any]:
    """Compare the labels of two data sets.

    Args:
        candidate: What is judged.
        reference: What is taken as true.
        progress: Called with the number of rows whose deployments were just compared.

    Returns:
        What :func:`compare_measures` says, with the number of ``deployments``.

    Raises:
        InvalidInputError: If they do not hold the same deployments in the same order.
        CorruptDataError: If a file does not hold what its manifest says.
    """
    rule = "hold the deployments of the reference"
    if len(candidate) != len(reference):
        raise InvalidInputError("candidate", f"{rule}, {len(reference)}", len(candidate))
    for rows in reference.row_groups():
        pairs = zip(candidate.documents(rows), reference.documents(rows), strict=True)
        for row, (a, b) in zip(rows, pairs, strict=True):
            if a != b:
                raise InvalidInputError("candidate", rule, f"another in row {row}")
        progress(len(rows))
    batch = reference.batch(laws=False)
    report = compare_measures(batch, candidate.measures(), reference.measures())
    return {"deployments": len(reference), **report}
