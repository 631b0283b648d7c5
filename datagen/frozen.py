"""An immutable, hashable, picklable mapping, so that whole deployments are values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

__all__ = ["FrozenMap"]

Value = TypeVar("Value")


class FrozenMap(Mapping[str, Value]):
    """A mapping from names that cannot change once made.

    Args:
        items: The content; the order of its keys is kept.

    Example:
        >>> FrozenMap({"camera": 1})["camera"]
        1
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Value] | None = None) -> None:
        self._items = dict(items or {})

    def __getitem__(self, key: str) -> Value:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"FrozenMap({self._items!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return (FrozenMap, (self._items,))
