"""``datagen compare``: differences between the labels of two data sets."""

from __future__ import annotations

from typing import Any

from datagen.commands.options import Parser, progress_bar, write_json, write_line

__all__ = ["main"]

COLUMNS = ("mape", "mape_trimmed", "median", "p95", "p99", "mae")


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: The words after its name.
    """
    parser = Parser("compare", "Compare the labels of two data sets of the same deployments.")
    parser.add_argument("candidate", metavar="A", help="data set that is judged")
    parser.add_argument("reference", metavar="B", help="data set that is taken as true")
    parser.add_json()
    given = parser.parse_args(arguments)

    from datagen.store import read_dataset
    from datagen.store.compare import compare_datasets

    candidate, reference = read_dataset(given.candidate), read_dataset(given.reference)
    with progress_bar(len(reference), quiet=given.json) as progress:
        report = compare_datasets(candidate, reference, progress)
    if given.json:
        write_json(report)
    else:
        _write_table(report)


def _write_table(report: dict[str, Any]) -> None:
    write_line(f"{'':<18}" + "".join(f"{name:>14}" for name in COLUMNS))
    for name in ("throughput_ratio", "latency_ratio", "loss_ratio"):
        values = (report[name].get(column) for column in COLUMNS)
        cells = ("-" if value is None else f"{value:.5f}" for value in values)
        write_line(f"{name:<18}" + "".join(f"{cell:>14}" for cell in cells))
