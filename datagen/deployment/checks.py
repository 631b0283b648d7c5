"""What the parts of a problem refuse alike: numbers and names that mean nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real

from datagen.errors import require

__all__ = ["finite", "is_number", "require_distinct", "require_name", "whole"]


def is_number(value: object) -> bool:
    """Return whether a value is a real number, which a truth value is not.

    Args:
        value: Whatever was given.

    Returns:
        True for integers and floats of any kind.
    """
    # Nearly all are these two, and asking whether something is some Real takes ten times as long.
    usual = type(value) is float or type(value) is int
    return usual or (isinstance(value, Real) and not isinstance(value, bool))


def whole(field: str, value: float, least: int) -> int:
    """Accept an integer, or a float that is one (documents write ``512e6``).

    Args:
        field: Name of the field.
        value: What was given.
        least: Smallest value that has a meaning.

    Returns:
        The integer.

    Raises:
        InvalidInputError: If it is not whole, or too small.
    """
    is_whole = is_number(value) and math.isfinite(value) and value == int(value)
    require(is_whole and value >= least, field, f"be a whole number >= {least}", value)
    return int(value)


def finite(field: str, value: float, *, positive: bool = False) -> float:
    """Accept a finite number that is not negative.

    Args:
        field: Name of the field.
        value: What was given.
        positive: Whether 0 is refused, too.

    Returns:
        The float.

    Raises:
        InvalidInputError: If it is infinite, undefined or too small.
    """
    proper = is_number(value) and math.isfinite(value)
    if positive:
        require(proper and value > 0, field, "be finite and > 0", value)
    else:
        require(proper and value >= 0, field, "be finite and >= 0", value)
    return float(value)


def require_name(value: str) -> None:
    """Check the name of a part.

    Args:
        value: What was given.

    Raises:
        InvalidInputError: If it is empty or no text.
    """
    require(isinstance(value, str) and value != "", "name", "be a non-empty text", value)


def require_distinct(field: str, names: Iterable[str]) -> None:
    """Check that parts can be told apart by name.

    Args:
        field: Name of the field that holds them.
        names: Their names.

    Raises:
        InvalidInputError: If two are alike.
    """
    seen: set[str] = set()
    for name in names:
        require(name not in seen, field, "have distinct names", name)
        seen.add(name)
