"""Progress: how a search tells whoever watches what it is doing, and how much of that is done."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

__all__ = ["PROOF", "SEARCH", "SELECTION", "Steps", "Watch", "unwatched"]

Watch = Callable[[str, float], object]
"""Called with a stage and the share of it that is done, in [0, 1]: with 0 when it begins, and with
1 when it ends."""

SEARCH, SELECTION, PROOF = "search", "selection", "proof"
"""Stages: candidates are proposed and judged, the best are simulated, the winner is verified."""


def unwatched(stage: str, share: float) -> None:
    """Watch nothing.

    Args:
        stage: The stage.
        share: The share of it that is done.
    """


class Steps:
    """Adds up the steps of a stage; it begins now.

    Args:
        stage: The stage.
        watch: Who is told.
    """

    def __init__(self, stage: str, watch: Watch) -> None:
        self._stage, self._watch, self._done = stage, watch, 0.0
        self._turn = Lock()  # steps may be made side by side
        watch(stage, 0.0)

    def add(self, share: float) -> None:
        """Take note of a step.

        Args:
            share: The part of the whole stage that it was, >= 0.
        """
        with self._turn:
            self._done = min(self._done + share, 1.0)
            self._watch(self._stage, self._done)

    def reach(self, share: float) -> None:
        """Take note that so much is done at least.

        Args:
            share: The part of the whole stage, >= 0.
        """
        self.add(max(share - self._done, 0.0))

    def end(self) -> None:
        """Take note that nothing more is to be done."""
        self._watch(self._stage, 1.0)
