"""Forms: how one kind of value stands in a document, with its reading and its writing side by side.

Reading a value knows the path to it, so that every error says where in the document the user must
look: ``chains[0].fragments[1].service.mean must be finite and >= 0, got ...``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from numbers import Integral, Real
from typing import Any

from datagen.errors import InvalidInputError, require

__all__ = ["FLAG", "NUMBER", "NUMBERS", "TEXT", "WHOLE", "Form", "keyed", "listed", "record"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How a kind of value stands in a document.

    Args:
        read: From the plain value and the path to it; raises InvalidInputError.
        write: To the plain value.
    """

    read: Callable[[object, str], Any]
    write: Callable[[Any], Any]


def _read_number(value: object, path: str) -> float:
    number = isinstance(value, Real) and not isinstance(value, bool)
    require(number, path, "be a number", value)
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        raise InvalidInputError(path, "be below 1.8e308", value) from None


def _read_whole(value: object, path: str) -> float:
    number = _read_number(value, path)
    if isinstance(value, Integral):
        return int(value)  # all digits, also above 2**53
    return int(number) if number.is_integer() else number


def _read_text(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise InvalidInputError(path, "be a text", value)
    return value


def _read_flag(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInputError(path, "be true or false", value)
    return value


NUMBER = Form(read=_read_number, write=float)
"""A real number. Its sign and range are the business of the object that holds it."""

WHOLE = Form(read=_read_whole, write=int)
"""A whole number, also written as ``512e6``. Fractions are left for the object to refuse."""

TEXT = Form(read=_read_text, write=str)
FLAG = Form(read=_read_flag, write=bool)


def listed(form: Form) -> Form:
    """Return the form of a list.

    Args:
        form: Form of its items.

    Returns:
        The form, read as a tuple.
    """

    def read(value: object, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise InvalidInputError(path, "be a list", value)
        return tuple(form.read(item, f"{path}[{index}]") for index, item in enumerate(value))

    return Form(read=read, write=lambda items: [form.write(item) for item in items])


NUMBERS = listed(NUMBER)


def keyed(form: Form) -> Form:
    """Return the form of a mapping from names.

    Args:
        form: Form of its values.

    Returns:
        The form, read as a dictionary.
    """

    def read(value: object, path: str) -> dict[str, Any]:
        found = require_mapping(value, path)
        return {name: form.read(item, f"{path}.{name}") for name, item in found.items()}

    return Form(
        read=read, write=lambda items: {name: form.write(item) for name, item in items.items()}
    )


def require_mapping(value: object, path: str) -> Mapping[str, object]:
    """Return a value that must be a mapping.

    Args:
        value: The plain value.
        path: Where it stands.

    Returns:
        The value.

    Raises:
        InvalidInputError: If it is no mapping.
    """
    if not isinstance(value, Mapping):
        raise InvalidInputError(path, "be a mapping", value)
    return value


def record(cls: type[Any], forms: Mapping[str, Form]) -> Form:
    """Return the form of a dataclass: a mapping of its fields, those at their default left out.

    Args:
        cls: The dataclass.
        forms: Form of each field a document may hold.

    Returns:
        The form.
    """
    defaults = {item.name: item.default for item in fields(cls) if item.name in forms}

    def read(value: object, path: str) -> Any:
        found = require_mapping(value, path)
        require_keys(found, path, forms)
        content = {}
        for name, default in defaults.items():
            if found.get(name) is not None:
                content[name] = forms[name].read(found[name], f"{path}.{name}")
            elif default is MISSING or (name in found and default is not None):
                raise InvalidInputError(f"{path}.{name}", "be given", None)
        return build(cls, content, path)

    written = [(name, defaults[name], form.write) for name, form in forms.items()]

    def write(item: Any) -> dict[str, Any]:
        document = {}
        for name, default, form in written:
            value = getattr(item, name)
            if default is MISSING or value != default:
                document[name] = form(value)
        return document

    return Form(read=read, write=write)


def require_keys(found: Mapping[str, object], path: str, known: Mapping[str, object]) -> None:
    """Refuse keys that mean nothing.

    Args:
        found: A mapping of a document.
        path: Where it stands; empty for the document itself.
        known: The keys it may have.

    Raises:
        InvalidInputError: If another key is found.
    """
    for key, value in found.items():
        if key not in known:
            field = f"{path}.{key}" if path else key
            raise InvalidInputError(field, f"be one of the keys {', '.join(known)}", value)


def build(cls: type[Any], content: Mapping[str, Any], path: str) -> Any:
    """Make an object, naming the field of an error from further out.

    Args:
        cls: A class whose constructor checks its arguments.
        content: The arguments.
        path: Where the object stands.

    Returns:
        The object.

    Raises:
        InvalidInputError: If an argument breaks a rule.
    """
    try:
        return cls(**content)
    except InvalidInputError as error:
        raise error.within(path) from None
