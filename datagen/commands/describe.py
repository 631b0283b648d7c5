"""``datagen describe``: what a data set holds, and how well its labels are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datagen.commands.options import Parser, progress_bar, write_json, write_line

__all__ = ["main"]

SHOWN = ("n", "mean", "q0", "q5", "q25", "q50", "q75", "q95", "q100")
"""Columns of the tables."""

MOST_FAILURES = 20
"""Failed deployments that are listed; --json lists all."""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: The words after its name.
    """
    parser = Parser("describe", "Sum a data set up: sizes, loads, losses, latencies, precision.")
    parser.add_argument("path", metavar="PATH", help="data set, or a part of one")
    parser.add_argument("--report", metavar="OUT.html", help="write plots to a page")
    parser.add_argument("--card", metavar="OUT.md", help="write a data card in Markdown")
    parser.add_json()
    given = parser.parse_args(arguments)
    for field in ("report", "card"):
        if getattr(given, field) is not None:
            from datagen.report import require_target

            require_target(Path(getattr(given, field)), field)

    from datagen.store import read_dataset
    from datagen.store.describe import describe_dataset, gather

    dataset = read_dataset(given.path)
    with progress_bar(len(dataset), quiet=given.json) as progress:
        numbers = gather(dataset, progress)
    report = describe_dataset(dataset, numbers)
    if given.json:
        write_json({"path": given.path, **report})
    else:
        _write_tables(given.path, report)
    if given.card is not None:
        from datagen.store.card import write_card

        write_card(dataset, report, given.card)
    if given.report is not None:  # last: the figures are out by now, whatever happens to the page
        from datagen.store.plots import write_plots

        write_plots(given.report, f"Data set {given.path}", numbers)


def _write_tables(path: str, report: dict[str, Any]) -> None:
    labels = report["labels"]
    write_line(
        f"{path}: {report['deployments']} deployments by {report['program']}, labels by "
        f"{labels['source']}"
    )
    write_line(f"\n{'':<27}" + "".join(f"{name:>10}" for name in SHOWN))
    tables = {name: report["sizes"][name] for name in report["sizes"]}
    tables |= {f"load of a {name}": report["loads"][name] for name in ("device", "chain")}
    tables |= {f"loss of a {name}": report["losses"][name] for name in ("chain", "system")}
    tables |= report["latencies"]
    tables |= {k: v for k, v in report["precision"].items() if isinstance(v, dict)}
    for name, table in tables.items():
        cells = ("-" if name not in table else f"{table[name]:.4g}" for name in SHOWN)
        write_line(f"{name:<27}" + "".join(f"{cell:>10}" for cell in cells))
    _write_shares("effects", report["effects"])
    _write_shares("load of a chain", report["loads"]["regimes"])
    _write_shares("loss of a chain", report["losses"]["chain"]["classes"])
    if report["exits"]["chains"]:
        _write_shares("exits", report["exits"]["histogram"])
    flags = {k: v for k, v in report["precision"].items() if not isinstance(v, dict)}
    _write_shares("labels", flags)
    failed = report["failed"]
    if failed:
        write_line(f"\n{len(failed)} failed:")
        for row in failed[:MOST_FAILURES]:
            write_line(f"  {row['index']}: {row['error']}")


def _write_shares(title: str, shares: dict[str, float | None]) -> None:
    known = {name: share for name, share in shares.items() if share is not None}
    text = ", ".join(f"{name}: {100 * share:.1f} %" for name, share in known.items())
    write_line(f"\n{title}: {text or 'none'}")
