"""``datagen import-chainnet``: ChainNet's public text format as a data set, labels kept."""

from __future__ import annotations

from datagen.commands.options import Parser, progress_bar, write_json, write_line

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: The words after its name.
    """
    parser = Parser("import-chainnet", "Import deployments and labels in ChainNet's text format.")
    parser.add_argument("source", metavar="SRC", help="folder with the text files, or above raw/")
    parser.add_argument("out", metavar="OUT", help="folder of the data set, new or empty")
    parser.add_json()
    given = parser.parse_args(arguments)

    from datagen.store.chainnet import import_chainnet

    with progress_bar(None, quiet=given.json) as progress:
        count = import_chainnet(given.source, given.out, progress)
    if given.json:
        write_json({"path": given.out, "deployments": count})
    else:
        write_line(f"{given.out}: {count} deployments")
