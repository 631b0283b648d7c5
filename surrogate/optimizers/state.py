"""A search that was broken off, as plain values: enough to go on as if nothing had happened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from datagen.errors import require

__all__ = ["SearchState"]

FORM = 1
"""Version of the form; a state of another one is refused."""


def _plain(value: Any) -> Any:
    """Return arrays as lists, in dictionaries at any depth; floats keep every bit in JSON."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


@dataclass(frozen=True, kw_only=True)
class SearchState:
    """Where a search stood between two batches.

    Args:
        search: Name of its class.
        seed: Its seed.
        start: Placement vector that it started from.
        objectives: Names of what is minimised.
        evaluations: Candidates evaluated.
        seconds: Time spent [s].
        inner: State of the search itself, see :meth:`Search.state`.
        archive: Best placements and their values.
        front: Placements of the front and their values.
        history: The improvements, as plain values.
        form: Version of this form.
    """

    search: str
    seed: int
    start: list[int]
    objectives: list[str]
    evaluations: int
    seconds: float
    inner: dict[str, Any]
    archive: dict[str, Any]
    front: dict[str, Any]
    history: list[dict[str, Any]]
    form: int = FORM

    def to_json(self) -> str:
        """Return one line of strict JSON."""
        return json.dumps(_plain(asdict(self)), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> SearchState:
        """Return a state from what :meth:`to_json` gave.

        Args:
            text: JSON.

        Returns:
            The state.

        Raises:
            InvalidInputError: If it is not such a text.
        """
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        form = content.get("form") if isinstance(content, dict) else None
        require(form == FORM, "state", f"be the saved state of a search, form {FORM}", form)
        names = {item.name for item in fields(cls)}
        require(set(content) == names, "state", f"hold {sorted(names)}", sorted(content))
        return cls(**content)

    def save(self, path: Path) -> None:
        """Write the state.

        Args:
            path: The file, replaced if it exists.
        """
        path.write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> SearchState:
        """Read a state.

        Args:
            path: The file.

        Returns:
            The state.

        Raises:
            InvalidInputError: If the file holds something else.
        """
        return cls.from_json(path.read_text(encoding="utf-8"))

    def require_same(
        self, *, search: str, seed: int, start: list[int], objectives: list[str]
    ) -> None:
        """Raise unless the state is of a certain run.

        Args:
            search: Name of the class of the search.
            seed: Its seed.
            start: Placement vector that it starts from.
            objectives: Names of what is minimised.

        Raises:
            InvalidInputError: If anything differs.
        """
        for name, value in (
            ("search", search),
            ("seed", seed),
            ("start", start),
            ("objectives", objectives),
        ):
            saved = getattr(self, name)
            require(saved == value, f"resume.{name}", f"be that of the run, {value!r}", saved)
