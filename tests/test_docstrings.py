"""Every public object says what it is, what it takes, gives and refuses.

Ruff checks the form of docstrings, and that what is raised is said; here is what it leaves out.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

from datagen.errors import require
from datagen.evaluation.fields import PARENTS

REPOSITORY = Path(__file__).resolve().parent.parent

SECTION = re.compile(r"^(Args|Returns|Yields|Raises|Example|References?):$", re.MULTILINE)

SHAPES = re.compile(r"\[[^]]*\] -> \[[^]]*\]\.")
"""A line like "[S, ...] -> [D, ...]." says what goes in and what comes out."""

OFFSETS = {f"{level}_start" for level in PARENTS}
"""Fields of packed deployments that their class describes all at once."""


def modules() -> list[str]:
    """Dotted names of the modules that the reference of the documentation shows."""
    pages = sorted((REPOSITORY / "docs" / "reference").glob("*.md"))
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    return re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)


def public_objects(name: str) -> Iterator[tuple[str, Any]]:
    """Dotted name and object of what a module defines and offers; constants have no docstring."""
    module = import_module(name)
    for public in getattr(module, "__all__", ()):
        value = getattr(module, public)
        value = getattr(value, "py_func", value)  # a kernel's own function
        if getattr(value, "__module__", None) == name and inspect.isroutine(value):
            yield f"{name}.{public}", value
        elif getattr(value, "__module__", None) == name and inspect.isclass(value):
            yield f"{name}.{public}", value
            for member, function in vars(value).items():
                own = getattr(function, "__func__", function)
                inherited = any(hasattr(base, member) for base in value.__bases__)
                if inspect.isfunction(own) and not member.startswith("_") and not inherited:
                    yield f"{name}.{public}.{member}", own


def sections(text: str) -> dict[str, str]:
    """The sections of a docstring by name; what stands before them is under the empty name."""
    parts = SECTION.split(inspect.cleandoc(text))
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def fields_described(cls: type) -> set[str]:
    """Fields of a class that are described where they stand: below them, or by their metadata."""
    body = ast.parse(inspect.cleandoc("\n" + inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    below = {
        ast.unparse(first.target)
        for first, second in pairwise(body.body)
        if isinstance(first, ast.AnnAssign)
        and isinstance(second, ast.Expr)
        and isinstance(second.value, ast.Constant)
    }
    known = fields(cls) if is_dataclass(cls) else ()
    return below | {item.name for item in known if item.metadata}


def refuses(function: Any) -> bool:
    """Whether a function refuses something itself, by ``require`` or by an error."""
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function)))
    return any(
        (isinstance(node, ast.Call) and ast.unparse(node.func) == "require")
        or (isinstance(node, ast.Raise) and "InvalidInputError(" in ast.unparse(node))
        for node in ast.walk(tree)
    )


def takes(value: Any) -> list[str]:
    """Names of the arguments of a function, or of those that make an object of a class."""
    if inspect.isclass(value) and "__init__" not in vars(value):
        return []  # those of a class further up, which says them
    if getattr(value, "_is_protocol", False):
        return []  # nobody makes one
    names = inspect.signature(value).parameters
    return [name for name in names if name not in ("self", "cls") and not name.startswith("_")]


def faults(value: Any) -> Iterator[str]:
    """What a docstring lacks."""
    text = value.__doc__
    if not text:
        yield "has no docstring"
        return
    if inspect.isclass(value):  # what makes an object is described in the class or in __init__
        text += "\n\n" + inspect.cleandoc(vars(value).get("__init__", object).__doc__ or "")
    elif SHAPES.search(text):
        return
    found = sections(text)
    arguments = takes(value)
    if inspect.isclass(value) and issubclass(value, Enum):
        return
    described = set(re.findall(r"^\s+\*{0,2}(\w+)(?: \([^)]*\))?:", found.get("Args", ""), re.M))
    if inspect.isclass(value):
        described |= fields_described(value) | {name for name in arguments if name in OFFSETS}
    missing = [name for name in arguments if name not in described]
    if missing:
        yield f"does not say what it takes: {', '.join(missing)}"
    if inspect.isclass(value):
        return
    given = inspect.signature(value).return_annotation
    says = {"Returns", "Yields"} & found.keys() or re.match(r"(Return|Yield|Tell|Whether)\b", text)
    if given not in (None, "None", inspect.Signature.empty) and not says:
        yield "does not say what it returns"
    if refuses(value) and "Raises" not in found:
        yield "does not say what it refuses"


def test_every_public_object_says_what_it_takes_gives_and_refuses() -> None:
    found = [item for name in modules() for item in public_objects(name)]
    assert len(found) > 500
    wrong = [f"{name} {fault}" for name, value in found for fault in faults(value)]
    assert not wrong, "\n".join(wrong)


def poor(count: int, /, unsaid: int) -> int:
    """Do something.

    Args:
        count: How often.
    """
    require(count > 0, "count", "be > 0", count)
    return count + unsaid


def test_what_a_docstring_lacks_is_found() -> None:
    assert [fault.split()[3] for fault in faults(poor)] == ["what"] * 3
    (undocumented,) = faults(lambda: None)
    assert undocumented == "has no docstring"
