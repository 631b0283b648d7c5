"""``surrogate optimize thresholds``: the most accurate early exits that keep a loss target."""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np

from datagen.commands.options import number, progress_bar, whole, write_json, write_line
from datagen.deployment import Deployment
from datagen.documents import read_problem
from datagen.errors import require
from surrogate.commands.optimize import evaluator_named
from surrogate.commands.search_bar import stage_bars
from surrogate.optimizers import Budget, ThresholdResult, tune_thresholds
from surrogate.optimizers.lookup import lookup_table

__all__ = ["run"]

LOSS_TARGET = 0.01

FACTORS = tuple(np.round(np.geomspace(0.25, 4.0, 17), 4).tolist())
"""Factors on the arrival rates that a lookup table has entries for."""


def run(given: argparse.Namespace, seconds: float | None, seed: int) -> None:
    """Run the command.

    Args:
        given: Parsed options of ``surrogate optimize``.
        seconds: Time of the search [s], or None to let it converge.
        seed: Seed of everything random.

    Raises:
        InvalidInputError: If an option does not belong to thresholds, or the problem places nothing
            or has no thresholds.
    """
    for name in (
        "also",
        "max_latency",
        "report",
        "evaluations",
        "after",
        "factor",
        "bandwidth",
        "min_attainment",
        "min_accuracy",
        "keep",
    ):
        value = getattr(given, name)
        require(value is None, name, "be absent for thresholds", value)
    target = number("loss_target", given.loss_target)
    target = LOSS_TARGET if target is None else target
    bands = whole("bands", given.bands, 1, 1)
    problem, start = read_problem(given.problem)
    require(start is not None, "placement", "be given where thresholds are searched", None)
    assert start is not None
    tune = partial(
        tune_thresholds,
        evaluator=evaluator_named(given.evaluator, problem, seed),
        loss_target=target,
        budget=None if seconds is None else Budget(seconds=seconds),
        seed=seed,
        bands=bands,
    )
    with stage_bars(quiet=given.json) as bars:
        result = tune(start, watch=bars)
    if given.json:
        write_json(result.to_dict())
    else:
        _write_summary(result)
    if given.lookup is not None:
        with progress_bar(len(FACTORS), quiet=given.json, unit="load") as progress:

            def tuned(deployment: Deployment) -> ThresholdResult:
                found = tune(deployment, verify=False)
                progress(1)
                return found

            lookup_table(start, FACTORS, tuned).save(given.lookup)


def _write_summary(result: ThresholdResult) -> None:
    for chain, thresholds in result.thresholds.items():
        shares = " ".join(f"{share:.3f}" for share in result.routing[chain])
        shown = " ".join("closed" if tau > 1 else f"{tau:.4f}" for tau in thresholds)
        write_line(f"{chain:<16} thresholds {shown}; paths {shares}")
    for jobs, band in result.bands:
        shown = " ".join("closed" if tau > 1 else f"{tau:.4f}" for tau in band)
        write_line(f"up to {jobs} jobs present: {shown}")
    for name, judged in (
        ("start", result.start),
        ("predicted", result.predicted),
        ("verified", result.verified),
    ):
        if judged is not None:
            write_line(
                f"{name}: loss ratio {judged.loss_ratio:.4g}, accuracy over offered"
                f" {judged.accuracy_offered:.4f}"
            )
    kept = "kept" if result.feasible else "not kept by anything found"
    write_line(f"loss target {result.loss_target:g} {kept}; {result.seconds:.2f} s")
