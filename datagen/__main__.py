"""The program ``datagen``: the table of its commands."""

from __future__ import annotations

import sys

from datagen.commands.program import run_program
from datagen.errors import DatagenError

__all__ = ["COMMANDS", "main"]

COMMANDS: dict[str, tuple[str, str]] = {
    "generate": ("datagen.commands.generate", "draw, simulate and store deployments"),
    "merge": ("datagen.commands.merge", "put the parts of a data set together"),
    "import-chainnet": ("datagen.commands.import_chainnet", "import ChainNet's public data"),
    "import-ceed": ("datagen.commands.import_ceed", "import CEED's measured profile of a network"),
    "import-measured": ("datagen.commands.import_measured", "import measured labels"),
    "simulate": ("datagen.commands.simulate", "label given deployments by simulation"),
    "compare": ("datagen.commands.compare", "compare the labels of two data sets"),
    "validate": ("datagen.commands.validate", "check the integrity of a data set"),
    "describe": ("datagen.commands.describe", "sum a data set up, with plots"),
    "reproduce": ("datagen.commands.reproduce", "make one row again, bit for bit"),
    "warm-up": ("datagen.commands.warm_up", "compile the event loops ahead of use"),
    "theory": ("datagen.commands.theory", "compare the engines with exact results"),
}
"""Command -> its module, loaded when the command is run, and what it does."""


def main(arguments: list[str] | None = None) -> int:
    """Run the program.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status: 0 on success, 2 on bad input.
    """
    return run_program("datagen", COMMANDS, arguments, errors=(DatagenError,))


if __name__ == "__main__":
    sys.exit(main())
