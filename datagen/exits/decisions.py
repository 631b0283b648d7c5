"""Decisions about early exits: by a given mix, or by thresholds on the confidences of a trace."""

from __future__ import annotations

import math
from dataclasses import dataclass

from datagen.errors import require

__all__ = ["ExitMix", "Thresholds"]

SUM_TOLERANCE = 1e-9
"""Slack for probabilities written as decimal fractions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExitMix:
    """Jobs leave at exit e with probability ``p[e]``, whatever they hold.

    Args:
        p: Probabilities of the exits, the last being the final classifier; they sum to 1.
        accuracy: Share of correct answers per exit, in [0, 1], or None.
    """

    p: tuple[float, ...]
    accuracy: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", tuple(float(x) for x in self.p))
        proper = all(math.isfinite(x) and x >= 0 for x in self.p)
        right = proper and abs(sum(self.p) - 1) <= SUM_TOLERANCE
        require(right, "mix", "be >= 0 and sum to 1", self.p)
        if self.accuracy is not None:
            object.__setattr__(self, "accuracy", tuple(float(x) for x in self.accuracy))
            proper = len(self.accuracy) == len(self.p) and all(0 <= x <= 1 for x in self.accuracy)
            require(proper, "accuracy", "hold one value in [0, 1] per exit", self.accuracy)

    def check(self, chain: str, classifiers: int) -> None:
        """Check the mix against a chain.

        Args:
            chain: Name of the chain.
            classifiers: Number of its intermediate classifiers.

        Raises:
            InvalidInputError: If the mix does not have one entry more than that.
        """
        matching = len(self.p) == classifiers + 1
        require(matching, f"exits.{chain}.mix", f"hold {classifiers + 1} values", self.p)


@dataclass(frozen=True, kw_only=True, slots=True)
class Thresholds:
    """A job leaves at the first exit whose confidence reaches its threshold.

    Args:
        tau: One threshold per intermediate classifier, >= 0; above 1 closes the exit.
        trace: File of the trace, where a document names one, or None.
    """

    tau: tuple[float, ...]
    trace: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tau", tuple(float(x) for x in self.tau))
        proper = all(math.isfinite(x) and x >= 0 for x in self.tau)
        require(proper, "thresholds", "be finite and >= 0", self.tau)

    def check(self, chain: str, classifiers: int) -> None:
        """Check the thresholds against a chain.

        Args:
            chain: Name of the chain.
            classifiers: Number of its intermediate classifiers.

        Raises:
            InvalidInputError: If there is not one threshold per intermediate classifier.
        """
        matching = len(self.tau) == classifiers
        require(matching, f"exits.{chain}.thresholds", f"hold {classifiers} values", self.tau)
