"""How well a surrogate reproduces labels: parity plots, errors by load, speed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datagen.report.page import Page, percent
from datagen.report.style import REGIME_NAMES, styled
from surrogate.report.accuracy_figures import (
    MOST_POINTS,
    error_figure,
    parity_figure,
    regime_figure,
)
from surrogate.report.judged import RATIO_NOTE, TARGETS, Judged

__all__ = ["Judged", "add_summary", "error_figure", "evaluation_report", "parity_figure", "styled"]

REGIME_NOTE = (
    "Relative errors by the load of the busiest device that the chain visits. A box holds the "
    "middle half of the chains with a line at the median, its whiskers nine tenths of them."
)


def add_summary(page: Page, judged: Sequence[Judged]) -> None:
    """Add the table of errors and speed.

    Args:
        page: The page.
        judged: Surrogates.
    """
    keys = ("mape", "mape_trimmed", "median", "p95", "p99")
    titles = ["", "mean", "mean without worst 0.1 %", "median", "95 % of chains below"]
    titles += ["99 % below", "chains", "time per deployment", "in known ranges"]
    rows = []
    for item in judged:
        for target, name in TARGETS.items():
            errors = item.result[target]
            label = f"{name}, {item.name}" if len(judged) > 1 else name
            cells = [percent(errors[key]) for key in keys]
            cells += [f"{errors['n']:,}", f"{item.result['ms_per_deployment']:.3f} ms"]
            rows.append([label, *cells, percent(item.result.get("in_distribution"), 1)])
    page.table(titles, rows)


def _add_regimes(page: Page, judged: Judged) -> None:
    header = ["largest load on the chain's devices", "chains"]
    header += [
        f"{name}, {kind}" for name in TARGETS.values() for kind in ("mean", "median", "95 %")
    ]
    header += ["loss ratio, mean absolute error"]
    rows = []
    for key, errors in judged.result["by_load"].items():
        cells = [REGIME_NAMES.get(key, key), f"{errors['throughput_ratio']['n']:,}"]
        for target in TARGETS:
            cells += [percent(errors[target][kind]) for kind in ("mape", "median", "p95")]
        rows.append([*cells, percent(errors["loss_ratio"]["mae"], 3)])
    page.table(header, rows)


def _add_coverage(page: Page, judged: Judged) -> None:
    header = [
        "",
        "largest load on the chain's devices",
        "chains",
        "inside",
        "width, mean",
        "median",
    ]
    rows = []
    for target, name in TARGETS.items():
        covered = judged.result["coverage"].get(target)
        if covered is None:
            continue
        for key, part in {"all": covered, **covered["by_load"]}.items():
            cells = [
                name,
                REGIME_NAMES.get(key, key),
                f"{part['n']:,}",
                percent(part["covered"], 1),
            ]
            rows.append([*cells, percent(part["width"]), percent(part["width_median"])])
    page.table(header, rows)


def evaluation_report(judged: Judged, path: Path) -> None:
    """Write how well a surrogate reproduces labels.

    Args:
        judged: The surrogate and how it did.
        path: The HTML file.

    Raises:
        InvalidInputError: If it cannot be written.
    """
    batch, labels = judged.batch, judged.labels
    page = Page(
        "Surrogate against labels",
        f"Predictions of {judged.name} for {len(batch):,} deployments with "
        f"{len(batch.chain_rate):,} request chains, compared with their labels "
        f"({labels.source}).",
    )
    page.text(RATIO_NOTE)
    page.heading("Errors and speed")
    page.text(
        "Relative errors |predicted - label| / label. One deployment alone takes "
        f"{judged.result['ms_single']:.2f} ms; the time per deployment below is for batches of "
        "1,024."
    )
    add_summary(page, [judged])
    page.heading("Predicted over label")
    page.figure(
        parity_figure(judged),
        f"One point per chain, at most {MOST_POINTS:,}, evenly picked; exact predictions lie on "
        "the diagonal. Colour: offered load of the busiest device that the chain visits; above 1 "
        "it is offered more than it can serve.",
    )
    page.heading("How errors are distributed")
    page.figure(
        error_figure([judged]),
        "Share of the chains whose relative error is at most the value below.",
    )
    page.heading("Errors by load")
    page.figure(regime_figure([judged]), REGIME_NOTE)
    _add_regimes(page, judged)
    page.heading("Intervals")
    page.text("Share of the labels inside the 90 % intervals, and how wide these are.")
    _add_coverage(page, judged)
    page.write(path)
