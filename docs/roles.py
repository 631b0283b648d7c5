"""Turns the cross-references of docstrings, ``:func:`name```, into links of the documentation site.

A name is looked up from where it is written, as Python would. One that has no page of its own stays
plain code: docstrings may speak of private and third-party things. Brackets behind brackets, a
shape and its unit, are kept from looking like a link.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`(?P<short>~?)(?P<name>[\w.]+)`")

SHAPE_AND_UNIT = re.compile(r"\] \[")

PACKAGES = ("datagen", "surrogate")


class Roles(griffe.Extension):
    """Rewrites the docstring of every object that is loaded."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Rewrite a package when all of it is known, so that names can be looked up."""
        del kwargs
        self._visit(pkg)

    def _visit(self, item: griffe.Object) -> None:
        if item.docstring is not None:
            text = SHAPE_AND_UNIT.sub(r"] \[", item.docstring.value)
            item.docstring.value = ROLE.sub(lambda found: _link(item, found), text)
        for member in item.members.values():
            if isinstance(member, griffe.Object):  # an alias is visited where it is defined
                self._visit(member)


def _link(item: griffe.Object, found: re.Match[str]) -> str:
    """Return a reference that becomes a link if the site documents its target."""
    name = found["name"]
    shown = name.rsplit(".", 1)[-1] if found["short"] else name
    target = name if name.split(".")[0] in PACKAGES else _resolved(item, name)
    if target is None:
        return f"`{shown}`"
    return f'<autoref optional identifier="{target}"><code>{shown}</code></autoref>'


def _resolved(item: griffe.Object, name: str) -> str | None:
    head, dot, rest = name.partition(".")
    try:
        return f"{item.resolve(head)}{dot}{rest}"
    except griffe.NameResolutionError:
        return None
