"""Errors of the data-generation package: one root, leaves that also are the built-in they refine.

A message names the field, the rule and the value, because that is what the user has to change:
``capacity must be >= 1, got capacity=0.``
"""

from __future__ import annotations

__all__ = [
    "CorruptDataError",
    "DatagenError",
    "DeadlockError",
    "InvalidInputError",
    "NotSupportedError",
    "require",
]


class DatagenError(Exception):
    """Root of every error this package raises on purpose; command lines turn it into status 2."""


class InvalidInputError(DatagenError, ValueError):
    """A value the user gave breaks a rule.

    Args:
        field: Name of the field as the user wrote it, for example ``capacity``.
        rule: What must hold, without the word "must", for example ``be >= 1``.
        value: The offending value.
    """

    def __init__(self, field: str, rule: str, value: object) -> None:
        self.field = field
        self.rule = rule
        self.value = value
        super().__init__(f"{field} must {rule}, got {field}={_shown(value)}.")

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions rebuild themselves from their message alone; this one crosses processes.
        return (type(self), (self.field, self.rule, self.value))

    def within(self, path: str) -> InvalidInputError:
        """Return the same error with the field named from further out, as in a document.

        Args:
            path: Where the field lies, for example ``devices[0]``.

        Returns:
            The error whose field reads ``devices[0].capacity``.
        """
        return InvalidInputError(f"{path}.{self.field}", self.rule, self.value)


class NotSupportedError(DatagenError, NotImplementedError):
    """A part of the model that an engine, an evaluator or a checkpoint does not cover.

    Args:
        who: Who refuses.
        field: The field and its value, for example ``discipline=ps``.
    """

    def __init__(self, who: str, field: str) -> None:
        self.who = who
        self.field = field
        super().__init__(f"not yet supported by {who}: {field}")


class DeadlockError(DatagenError, RuntimeError):
    """Jobs of a simulated deployment wait for each other in a circle, and will for ever.

    Args:
        time: When the circle was closed [s].
    """

    def __init__(self, time: float) -> None:
        self.time = time
        super().__init__(
            f"deadlock at {time:g} s: with overflow=block, jobs wait for room that only they "
            "themselves could make; give their devices more capacity, or place chains so that they "
            "visit devices in one order"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.time,))


class CorruptDataError(DatagenError, ValueError):
    """Stored data that do not hold what their manifest or checksum promises."""


_LONGEST_SHOWN = 240
"""Characters of a value that a message shows before it is cut: most paths fit, arrays do not."""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def require(condition: bool, field: str, rule: str, value: object) -> None:
    """Raise unless a rule holds.

    Args:
        condition: Whether the rule holds.
        field: Name of the field as the user wrote it.
        rule: What must hold, without the word "must".
        value: The value shown in the message.

    Raises:
        InvalidInputError: If ``condition`` is false.

    Example:
        >>> require(2 >= 1, "capacity", "be >= 1", 2)
    """
    if not condition:
        raise InvalidInputError(field, rule, value)
