"""``datagen warm-up``: compile the event loops ahead of use, as when an image is built."""

from __future__ import annotations

import time

from datagen.commands.options import Parser, write_json, write_line

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Run the command.

    Args:
        arguments: The words after its name.
    """
    parser = Parser("warm-up", "Compile every event loop and keep it on disk: minutes, once.")
    parser.add_json()
    given = parser.parse_args(arguments)

    from datagen.compiled import cache_folder
    from datagen.simulator import warm_up

    began = time.perf_counter()
    warm_up(every=True)
    seconds, folder = time.perf_counter() - began, cache_folder()
    if given.json:
        write_json({"seconds": seconds, "folder": str(folder)})
    else:
        write_line(f"event loops ready after {seconds:.1f} s, kept in {folder}")
