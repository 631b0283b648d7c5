"""What a program does: find the command that a word names, run it, and turn errors into a line."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from importlib import import_module

__all__ = ["run_program"]

INTERRUPTED = 130
"""Status of a program that Ctrl-C ended, by the shells' convention."""


def _usage(program: str, commands: Mapping[str, tuple[str, str]]) -> str:
    width = max(len(name) for name in commands) + 1
    lines = [f"usage: {program} COMMAND ...", "", "commands:"]
    lines += [f"  {name:<{width}} {summary}" for name, (_, summary) in commands.items()]
    lines += ["", f"{program} COMMAND --help says more."]
    return "\n".join(lines) + "\n"


def run_program(
    program: str,
    commands: Mapping[str, tuple[str, str]],
    words: list[str] | None,
    *,
    errors: tuple[type[Exception], ...],
    named: Collection[str] = (),
) -> int:
    """Run a program.

    Args:
        program: Its name.
        commands: Command -> its module, loaded when the command is run, and what it does. The
            module's ``main`` takes the words after the command.
        words: The words of the command line; None for the process's own.
        errors: What bad input raises: one line on standard error and status 2.
        named: Commands whose ``main`` takes the word of the command too.

    Returns:
        Exit status: 0 on success, 2 on bad input.
    """
    words = sys.argv[1:] if words is None else words
    if words in (["--help"], ["-h"]):
        sys.stdout.write(_usage(program, commands))
        return 0
    if not words or words[0] not in commands:
        given = repr(words[0]) if words else None
        rule = f"be one of {', '.join(commands)}"
        sys.stderr.write(f"{program}: error: COMMAND must {rule}, got COMMAND={given}.\n")
        return 2
    name = words[0]
    try:
        import_module(commands[name][0]).main(words if name in named else words[1:])
    except errors as error:
        text = " ".join(str(error).split())
        sys.stderr.write(f"{program} {name}: error: {text}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"{program} {name}: interrupted\n")
        return INTERRUPTED
    return 0
