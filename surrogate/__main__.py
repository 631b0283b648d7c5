"""The program ``surrogate``: the table of its commands."""

from __future__ import annotations

import sys

from datagen.commands.program import run_program
from datagen.errors import DatagenError
from surrogate.errors import SurrogateError

__all__ = ["COMMANDS", "main"]

COMMANDS: dict[str, tuple[str, str]] = {
    "fit": ("surrogate.commands.fit", "train a model (Lightning)"),
    "validate": ("surrogate.commands.fit", "validate a model (Lightning)"),
    "test": ("surrogate.commands.fit", "test a model (Lightning)"),
    "predict": ("surrogate.commands.fit", "predict with a model (Lightning)"),
    "evaluate": ("surrogate.commands.evaluate", "errors and speed of a released model"),
    "record-trace": (
        "surrogate.commands.record_trace",
        "record what an early-exit network answers",
    ),
    "optimize": ("surrogate.commands.optimize", "search a deployment and prove it by simulation"),
}
"""Command -> its module, loaded when the command is run, and what it does."""

LIGHTNING = ("fit", "validate", "test", "predict")
"""Commands whose words Lightning reads itself."""


def main(arguments: list[str] | None = None) -> int:
    """Run the program.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status: 0 on success, 2 on bad input.
    """
    errors = (DatagenError, SurrogateError)
    return run_program("surrogate", COMMANDS, arguments, errors=errors, named=LIGHTNING)


if __name__ == "__main__":
    sys.exit(main())
