"""What commands share: a parser with one-line errors, numbers from words, progress, output."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from datagen.errors import InvalidInputError, require

__all__ = [
    "Parser",
    "available_cores",
    "hidden",
    "number",
    "progress_bar",
    "whole",
    "write_json",
    "write_line",
]


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose options cannot be cut short.

    Args:
        command: Name of the command.
        description: What it does.
        epilog: What is said below the options.
        program: Name of the program that it belongs to.
    """

    def __init__(
        self,
        command: str,
        description: str,
        epilog: str | None = None,
        *,
        program: str = "datagen",
    ) -> None:
        """Make the parser of a command."""
        super().__init__(
            prog=f"{program} {command}", description=description, epilog=epilog, allow_abbrev=False
        )

    def error(self, message: str) -> NoReturn:
        """Leave with status 2 and one line."""
        self.exit(2, f"{self.prog}: error: {message}\n")

    def add_workers(self) -> None:
        """Add ``--workers``."""
        self.add_argument("--workers", metavar="W", help="worker processes (default: all cores)")

    def add_json(self) -> None:
        """Add ``--json``."""
        self.add_argument("--json", action="store_true", help="print one JSON object")


def number(field: str, text: str | None) -> float | None:
    """Return the number that a word stands for.

    Args:
        field: Name of the option.
        text: The word; None where the option was not given.

    Returns:
        The number, or None.

    Raises:
        InvalidInputError: If the word is no number.
    """
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        raise InvalidInputError(field, "be a number", text) from None


def whole(field: str, text: str | None, default: int, least: int) -> int:
    """Return the whole number that a word stands for.

    Args:
        field: Name of the option.
        text: The word, perhaps ``1e5``; None where the option was not given.
        default: What to return then.
        least: Lowest value allowed.

    Returns:
        The number.

    Raises:
        InvalidInputError: If the word is no whole number or too low.
    """
    if text is None:
        return default
    rule = f"be a whole number >= {least}"
    try:
        value = int(text)
    except ValueError:
        real = number(field, text)
        require(real is not None and real.is_integer(), field, rule, text)
        value = int(real or 0)
    require(value >= least, field, rule, value)
    return value


def available_cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


SLOW = 2.0
"""Seconds after which a bar appears: what ends sooner needs none."""


def hidden(quiet: bool) -> bool:
    """Tell whether progress is to be kept to oneself.

    Args:
        quiet: Whether nothing is wanted.

    Returns:
        Whether it is not, or nobody is there to see it.
    """
    return quiet or not sys.stderr.isatty()


@contextmanager
def progress_bar(
    total: int | None, *, quiet: bool, unit: str = "deployment"
) -> Iterator[Callable[..., object]]:
    """Show the progress of a command on standard error, if a person is there to see it.

    Args:
        total: Number of units of work, or None where it is not known yet.
        quiet: Whether to show nothing.
        unit: What is counted.

    Yields:
        A function to call with the number of units just done, and perhaps with the total, once it
        is known.
    """
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, disable=hidden(quiet), file=sys.stderr, delay=SLOW) as bar:

        def advance(done: int, of: int | None = None) -> None:
            bar.total = bar.total if of is None else of
            bar.update(done)

        yield advance


def write_json(report: dict[str, Any]) -> None:
    """Print one strict JSON object.

    Args:
        report: Plain values without NaN.
    """
    sys.stdout.write(json.dumps(report, indent=2, allow_nan=False) + "\n")


def write_line(text: str) -> None:
    """Print a line.

    Args:
        text: The line.
    """
    sys.stdout.write(text + "\n")
