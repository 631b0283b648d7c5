"""Text to plain values and back: the one place where YAML and JSON are parsed.

YAML is read by the core rules of version 1.2 (``512e6`` is a number, ``on`` and ``no`` are words),
and safely: no tags, no aliases, no repeated keys, finite numbers only. What is written here is read
back the same.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, NoReturn

import yaml

from datagen.errors import InvalidInputError, require

__all__ = ["dump_yaml", "load_json", "parse_yaml", "read_yaml"]

_TAG = "tag:yaml.org,2002:"

# YAML 1.2.2, section 10.3.2; the last column holds the characters that a value may begin with.
_CORE_RULES: tuple[tuple[str, str, str], ...] = (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
)


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    table: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for name, pattern, begins in _CORE_RULES:
        for character in begins:
            # An empty scalar is looked up under the empty text.
            key = "" if character == "\0" else character
            table.setdefault(key, []).append((_TAG + name, re.compile(rf"(?:{pattern})\Z")))
    return table


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the rules of this module."""

    yaml_implicit_resolvers = _resolvers()

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        place = _place(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            raise InvalidInputError("document", "not use aliases", f"*{event.anchor} {place}")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise InvalidInputError("document", "not use tags", f"{tag} {place}")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        found: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            place = _place(key_node.start_mark)
            if not isinstance(key, str):
                raise InvalidInputError("document", "have texts as keys", f"{key!r} {place}")
            require(key not in found, key, "appear once in its mapping", f"again {place}")
            found[key] = self.construct_object(value_node, deep=deep)
        return found

    def construct_whole(self, node: Any) -> int:
        text = self.construct_scalar(node)
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        try:
            return int(text, base)
        except ValueError:  # Python converts no more than 4,300 digits
            place = _place(node.start_mark)
            raise InvalidInputError("document", "hold shorter numbers", place) from None

    def construct_real(self, node: Any) -> float:
        return float(self.construct_scalar(node).replace(".inf", "inf").replace(".nan", "nan"))


def _place(mark: Any) -> str:
    return f"in line {mark.line + 1}, column {mark.column + 1}"


_Loader.add_constructor(f"{_TAG}int", _Loader.construct_whole)
_Loader.add_constructor(f"{_TAG}float", _Loader.construct_real)


class _Dumper(yaml.SafeDumper):
    """Writes what :class:`_Loader` reads: texts that look like 1.2 numbers are quoted."""

    yaml_implicit_resolvers = _resolvers()

    def ignore_aliases(self, data: Any) -> bool:
        return True


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file.

    Args:
        path: File whose content is one mapping.

    Returns:
        The mapping, of plain values with finite numbers.

    Raises:
        InvalidInputError: If the file cannot be read or is not such a document.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        rule = f"be a readable file ({(error.strerror or 'unreadable').lower()})"
        raise InvalidInputError("document", rule, str(path)) from None
    require(content.strip() != b"", "document", "not be empty", str(path))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInputError("document", "be UTF-8 text", str(path)) from None
    return parse_yaml(text)


def parse_yaml(text: str) -> dict[str, Any]:
    """Parse a YAML text.

    Args:
        text: One document.

    Returns:
        Its mapping, of plain values with finite numbers.

    Raises:
        InvalidInputError: If it breaks a rule of this module.
    """
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise InvalidInputError("document", "be YAML", _in_one_line(error)) from None
    except RecursionError:
        raise InvalidInputError("document", "be nested less deeply", "...") from None
    return _mapping(value)


def _in_one_line(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
    mark = getattr(error, "problem_mark", None)
    return f"{problem} {_place(mark)}" if mark is not None else str(problem)


def dump_yaml(document: dict[str, Any]) -> str:
    """Write plain values as YAML that :func:`parse_yaml` reads back the same.

    Args:
        document: Mapping of plain values.

    Returns:
        The text.
    """
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=100)
    return str(text)


def load_json(text: str) -> dict[str, Any]:
    """Parse a JSON text by the rules of :func:`parse_yaml`.

    Args:
        text: One JSON object.

    Returns:
        Its mapping, of plain values with finite numbers.

    Raises:
        InvalidInputError: If it is not such a document.
    """
    try:
        value = json.loads(text, object_pairs_hook=_distinct, parse_constant=_refused)
    except json.JSONDecodeError as error:
        place = f"{error.msg} in line {error.lineno}, column {error.colno}"
        raise InvalidInputError("document", "be JSON", place) from None
    except RecursionError:
        raise InvalidInputError("document", "be nested less deeply", "...") from None
    return _mapping(value)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        require(key not in found, key, "appear once in its mapping", value)
        found[key] = value
    return found


def _refused(constant: str) -> NoReturn:
    raise InvalidInputError("document", "hold finite numbers only", constant)


def _mapping(value: object) -> dict[str, Any]:
    require(value is not None, "document", "not be empty", value)
    if not isinstance(value, dict):
        raise InvalidInputError("document", "be a mapping", value)
    _require_finite(value, "")
    return value


def _require_finite(value: object, path: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _require_finite(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _require_finite(item, f"{path}[{index}]")
    elif isinstance(value, float):
        require(math.isfinite(value), path, "be finite", value)
