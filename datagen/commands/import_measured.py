"""``datagen import-measured``: labels observed on real systems as a data set."""

from __future__ import annotations

from datagen.commands.options import Parser, progress_bar, write_json, write_line

__all__ = ["main"]

MORE = """\
The CSV file has a column deployment (a YAML file with a placement), a column chain (a name in it),
and any measures of chains: offered, completed, lost, throughput, loss_ratio, latency, p95, ...,
with _se, _low or _high behind a name for its uncertainty. A line may name a device instead of a
chain, or neither. Empty cells are labels that are not known. Units are SI.
"""


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: The words after its name.
    """
    parser = Parser("import-measured", "Import measured labels from a CSV file.", epilog=MORE)
    parser.add_argument("source", metavar="CSV", help="the file")
    parser.add_argument("out", metavar="OUT", help="folder of the data set, new or empty")
    parser.add_json()
    given = parser.parse_args(arguments)

    from datagen.store.measured import import_measured

    with progress_bar(None, quiet=given.json) as progress:
        count = import_measured(given.source, given.out, progress)
    if given.json:
        write_json({"path": given.out, "deployments": count})
    else:
        write_line(f"{given.out}: {count} deployments")
