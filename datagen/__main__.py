"""The program ``datagen``: one table from commands to modules, and one place for errors."""

from __future__ import annotations

import sys
from importlib import import_module

from datagen.errors import DatagenError

__all__ = ["COMMANDS", "main"]

COMMANDS: dict[str, tuple[str, str]] = {
    "generate": ("datagen.commands.generate", "draw, simulate and store deployments"),
    "merge": ("datagen.commands.merge", "put the parts of a data set together"),
    "import-chainnet": ("datagen.commands.import_chainnet", "import ChainNet's public data"),
    "import-measured": ("datagen.commands.import_measured", "import measured labels"),
    "simulate": ("datagen.commands.simulate", "label given deployments by simulation"),
    "compare": ("datagen.commands.compare", "compare the labels of two data sets"),
    "validate": ("datagen.commands.validate", "check the integrity of a data set"),
    "describe": ("datagen.commands.describe", "sum a data set up, with plots"),
    "reproduce": ("datagen.commands.reproduce", "make one row again, bit for bit"),
    "theory": ("datagen.commands.theory", "compare the engines with exact results"),
}
"""Command -> its module, loaded when the command is run, and what it does."""

INTERRUPTED = 130
"""Status of a program that Ctrl-C ended, by the shells' convention."""


def _usage() -> str:
    lines = ["usage: datagen COMMAND ...", "", "commands:"]
    lines += [f"  {name:<16} {summary}" for name, (_, summary) in COMMANDS.items()]
    lines += ["", "datagen COMMAND --help says more."]
    return "\n".join(lines) + "\n"


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
        sys.stderr.write(f"datagen: error: COMMAND must {rule}, got COMMAND={given}.\n")
        return 2
    name = words[0]
    try:
        import_module(COMMANDS[name][0]).main(words[1:])
    except DatagenError as error:
        text = " ".join(str(error).split())
        sys.stderr.write(f"datagen {name}: error: {text}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"datagen {name}: interrupted\n")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
