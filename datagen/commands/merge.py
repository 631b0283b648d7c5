"""``datagen merge``: the parts of a data set put together."""

from __future__ import annotations

from datagen.commands.options import Parser, progress_bar, write_json, write_line

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: The words after its name.
    """
    parser = Parser("merge", "Put the parts of a data set together (datagen generate --part i/n).")
    parser.add_argument("out", metavar="OUT", help="folder of the data set, new or empty")
    parser.add_argument("parts", metavar="PART", nargs="+", help="folder of a part")
    parser.add_json()
    given = parser.parse_args(arguments)

    from datagen.store.merge import merge_datasets

    with progress_bar(len(given.parts), quiet=given.json, unit="part") as progress:
        count = merge_datasets(given.parts, given.out, progress)
    if given.json:
        write_json({"path": given.out, "deployments": count, "parts": len(given.parts)})
    else:
        write_line(f"{given.out}: {count} deployments from {len(given.parts)} parts")
