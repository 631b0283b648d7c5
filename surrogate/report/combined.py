"""The page of the quickstart: two models judged, one placement searched and proved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datagen.report.page import Page
from surrogate.optimizers.result import SearchResult
from surrogate.report.accuracy import add_summary
from surrogate.report.accuracy_figures import error_figure, parity_figure
from surrogate.report.judged import RATIO_NOTE, Judged
from surrogate.report.placement import add_placement

__all__ = ["quickstart_report"]


def quickstart_report(judged: Sequence[Judged], result: SearchResult, path: Path) -> None:
    """Write the errors of several surrogates and a placement search on one page.

    Args:
        judged: Surrogates on the same deployments.
        result: The search.
        path: The HTML file.

    Raises:
        InvalidInputError: If it cannot be written.
    """
    page = Page(
        "Quickstart: from simulated data to a verified placement",
        "Deployments were simulated, a small model was trained on them and judged beside the "
        "released one; the released model then searched a placement, which simulation verified.",
    )
    page.heading("How well the models predict")
    page.text(
        f"{len(judged[0].batch):,} held-out simulated deployments with "
        f"{len(judged[0].batch.chain_rate):,} chains, none of them seen in training. {RATIO_NOTE} "
        "Errors are |predicted - label| / label."
    )
    add_summary(page, judged)
    page.figure(
        error_figure(judged), "Share of the chains whose relative error is at most the value below."
    )
    for item in judged:
        page.heading(f"Predicted over label: {item.name}")
        page.figure(
            parity_figure(item),
            "One point per chain; exact predictions lie on the diagonal. Colour: offered load of "
            "the busiest device that the chain visits.",
        )
    add_placement(page, result)
    page.write(path)
