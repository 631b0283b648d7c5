"""The program ``surrogate``: one table from commands to modules, and one place for errors."""

from __future__ import annotations

import sys
from importlib import import_module

from datagen.errors import DatagenError
from surrogate.errors import SurrogateError

__all__ = ["COMMANDS", "main"]

COMMANDS: dict[str, tuple[str, str]] = {
    "fit": ("surrogate.commands.fit", "train a model (Lightning)"),
    "validate": ("surrogate.commands.fit", "validate a model (Lightning)"),
    "test": ("surrogate.commands.fit", "test a model (Lightning)"),
    "predict": ("surrogate.commands.fit", "predict with a model (Lightning)"),
    "evaluate": ("surrogate.commands.evaluate", "errors and speed of a released model"),
    "optimize": ("surrogate.commands.optimize", "search a deployment and prove it by simulation"),
}
"""Command -> its module, loaded when the command is run, and what it does."""

INTERRUPTED = 130
"""Status of a program that Ctrl-C ended, by the shells' convention."""


def _usage() -> str:
    lines = ["usage: surrogate COMMAND ...", "", "commands:"]
    lines += [f"  {name:<10} {summary}" for name, (_, summary) in COMMANDS.items()]
    lines += ["", "surrogate COMMAND --help says more."]
    return "\n".join(lines) + "\n"


def _run(name: str, words: list[str]) -> int:
    """Run a command; one with arguments of its own reads all words, Lightning's its name too."""
    module, summary = COMMANDS[name]
    command = import_module(module)
    if not hasattr(command, "add_arguments"):
        return int(command.run([name, *words]))
    from datagen.commands.options import Parser

    parser = Parser(name, summary)
    parser.prog = f"surrogate {name}"
    command.add_arguments(parser)
    return int(command.run(parser.parse_args(words)))


def main(arguments: list[str] | None = None) -> int:
    """Run the program.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status: 0 on success, 2 on bad input.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if words in (["--help"], ["-h"]):
        sys.stdout.write(_usage())
        return 0
    if not words or words[0] not in COMMANDS:
        given = repr(words[0]) if words else None
        rule = f"be one of {', '.join(COMMANDS)}"
        sys.stderr.write(f"surrogate: error: COMMAND must {rule}, got COMMAND={given}.\n")
        return 2
    name = words[0]
    try:
        return _run(name, words[1:])
    except (DatagenError, SurrogateError) as error:
        text = " ".join(str(error).split())
        sys.stderr.write(f"surrogate {name}: error: {text}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"surrogate {name}: interrupted\n")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
