"""Every message of an error says what is wrong where: field, rule and value.

``python -m tests.test_messages`` lists them all, to be read.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

VERBS = (
    "appear|ascend|be|begin|carry|change|decide|decrease|differ|end|fall|give|go|have|hold|include|"
    "increase|keep|lead|leave|lie|limit|list|make|match|mean|name|number|place|read|resume|return|say|"
    "start|sum|use"
)
"""What a rule begins with, behind "must" and perhaps "not"."""

RULE = re.compile(rf"(?:not )?(?:both )?(?:{VERBS})\b")

LOOK_UPS = ("AttributeError", "KeyError", "IndexError", "SystemExit")
"""What the language asks for when a name, an index or a program is at its end."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """A text of the sources.

    Args:
        place: File and line.
        error: Class of the error.
        field: What it is about, where that is said apart.
        text: Rule or whole sentence; what is filled in stands in braces.
    """

    place: str
    error: str
    field: str | None
    text: str

    def __str__(self) -> str:
        about = "" if self.field is None else f"{self.field} must "
        return f"{self.place} {self.error}: {about}{self.text}"


def shown(node: ast.expr) -> str | None:
    """The text of an expression, or None where it is none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            "{" + ast.unparse(part.value) + "}"
            if isinstance(part, ast.FormattedValue)
            else str(ast.literal_eval(part))
            for part in node.values
        )
    return None


def texts(node: ast.expr, scope: ast.AST) -> list[str]:
    """The texts that an expression may stand for: its own, or those given to the name it is."""
    own = shown(node)
    if own is not None:
        return [own]
    if isinstance(node, ast.IfExp):
        return texts(node.body, scope) + texts(node.orelse, scope)
    if isinstance(node, ast.BinOp):
        return texts(node.left, scope)
    if isinstance(node, ast.Name):
        return [
            text
            for item in ast.walk(scope)
            if isinstance(item, ast.Assign)
            and any(ast.unparse(target) == node.id for target in item.targets)
            for text in texts(item.value, ast.Module([], []))
        ]
    return []


def scopes(tree: ast.Module) -> Iterator[ast.AST]:
    """Every function of a module, and what stands outside of any."""
    yield from (item for item in ast.walk(tree) if isinstance(item, ast.FunctionDef))
    yield from (item for item in tree.body if not isinstance(item, ast.FunctionDef | ast.ClassDef))


def of_module(name: str, source: str) -> list[Message]:
    """The messages of a module, once each."""
    found: dict[tuple[int, int, str], Message] = {}
    for scope in scopes(ast.parse(source)):
        for node in ast.walk(scope):
            for error, field, rule in said(node):
                for text in texts(rule, scope):
                    key = (node.lineno, node.col_offset, text)  # type: ignore[attr-defined]
                    place = f"{name}:{key[0]}"
                    message = Message(place=place, error=error, field=field, text=text)
                    found.setdefault(key, message)
    return list(found.values())


def about(node: ast.expr) -> str:
    """The field that an error names, in braces where it is worked out."""
    own = shown(node)
    return "{" + ast.unparse(node) + "}" if own is None else own


def said(node: ast.AST) -> Iterator[tuple[str, str | None, ast.expr]]:
    """Class of the error, field and rule of a call that refuses something or makes an error."""
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        if called == "require" and len(node.args) > 2:
            yield "InvalidInputError", about(node.args[1]), node.args[2]
        elif called == "InvalidInputError" and len(node.args) > 1:
            yield called, about(node.args[0]), node.args[1]
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
        called = ast.unparse(node.exc.func)
        if called.endswith(".within"):
            return  # an error that is said already, from further out
        if called not in ("InvalidInputError", "NotSupportedError"):
            yield called, None, node.exc.args[0]


@cache
def messages() -> list[Message]:
    """All messages of both packages."""
    return [
        message
        for package in ("datagen", "surrogate")
        for file in sorted((REPOSITORY / package).rglob("*.py"))
        for message in of_module(str(file.relative_to(REPOSITORY)), file.read_text())
    ]


def fault(message: Message) -> str | None:
    """What is wrong with a message, or None."""
    text = message.text
    if message.error in LOOK_UPS:
        return None
    if message.field is not None:  # the sentence is made of it by InvalidInputError
        if message.field == "" or message.field[0] == " ":
            return "names no field"
        if text.endswith(".") and not text.endswith("..."):
            return "has a full stop before the value"
        return None if RULE.match(text) or text[0] == "{" else "begins with no verb"
    if message.error == "ValueError" and RULE.match(text):
        return None  # a rule that the caller names the field of
    if message.error.endswith(("CorruptDataError", "DatagenError")):
        place = text.startswith(("{", "worker", "the scheduler", "a worker"))
        return None if place and not text[-1].isalnum() else "does not say where in a sentence"
    has_rule = " must " in text
    has_value = " got " in text or text.rstrip(".").endswith("}")
    return None if has_rule and has_value else "does not say the rule and the value"


def test_all_messages_are_collected() -> None:
    found = messages()
    assert len(found) > 550
    assert {"InvalidInputError", "CorruptDataError", "CheckpointError"} <= {m.error for m in found}


def test_every_message_names_field_rule_and_value() -> None:
    wrong = [f"{message} ({fault(message)})" for message in messages() if fault(message)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "source",
    [
        'require(x > 0, "speed", "positive", x)',
        'require(x > 0, "speed", "must be > 0", x)',
        'require(x > 0, "speed", "be > 0.", x)',
        'require(x > 0, "", "be > 0", x)',
        'def f(x):\n    rule = "wrong"\n    require(x > 0, "speed", rule, x)',
        'raise ValueError("bad speed")',
        'raise ValueError("speed must be > 0")',
        'raise CorruptDataError("something is damaged.")',
        'raise CheckpointError(f"{path} is broken")',
    ],
)
def test_a_poor_message_is_found(source: str) -> None:
    (message,) = of_module("module.py", source)
    assert fault(message)


if __name__ == "__main__":
    sys.stdout.write("\n".join(map(str, messages())) + "\n")
