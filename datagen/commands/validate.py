"""``datagen validate``: the integrity of a data set."""

from __future__ import annotations

from datagen.commands.options import Parser, progress_bar, write_json, write_line

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: The words after its name.
    """
    parser = Parser("validate", "Check files, schema and the laws that labels obey.")
    parser.add_argument("path", metavar="PATH", help="data set")
    parser.add_json()
    given = parser.parse_args(arguments)

    from datagen.store import read_dataset
    from datagen.store.validate import validate_dataset

    with progress_bar(len(read_dataset(given.path)), quiet=given.json) as progress:
        report = validate_dataset(given.path, progress)
    if given.json:
        write_json(report)
    else:
        counts = f"{report['deployments']} deployments in {report['shards']} shards"
        write_line(f"{given.path}: {counts}, valid ({', '.join(report['checks'])})")
