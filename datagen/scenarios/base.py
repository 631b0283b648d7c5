"""The contract of scenarios, and the checks of their ranges."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from datagen.deployment import Deployment
from datagen.errors import require

__all__ = ["KIND", "Range", "Scenario", "WholeRange", "log_uniform", "require_range"]

Range = tuple[float, float]
WholeRange = tuple[int, int]

KIND = 0
"""Code of scenarios among the kinds of random streams."""


class Scenario(ABC):
    """A distribution over deployments; row i of a data set is a function of (seed, i) alone."""

    __slots__ = ()
    name: ClassVar[str]

    def sample(self, index: int, seed: int) -> Deployment:
        """Draw a deployment.

        Args:
            index: Row of the data set, >= 0.
            seed: Master seed, >= 0.

        Returns:
            The deployment, the same for the same arguments.
        """
        sequence = np.random.SeedSequence(seed, spawn_key=(index, KIND))
        return self.draw(np.random.Generator(np.random.PCG64DXSM(sequence)))

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Deployment:
        """Draw a deployment from a stream of its own.

        Args:
            rng: The stream.

        Returns:
            The deployment.
        """


def require_range(field: str, value: Range, least: float, *, whole: bool = False) -> None:
    """Check a closed range that a quantity is drawn from.

    Args:
        field: Name of the field.
        value: Its lowest and highest value.
        least: What the lowest may not be below.
        whole: Whether both must be whole numbers.

    Raises:
        InvalidInputError: If they are not ordered, finite, whole where asked for, or too low.
    """
    require(len(value) == 2, field, "hold a lowest and a highest value", value)
    low, high = value
    proper = bool(np.isfinite(low) and np.isfinite(high) and least <= low <= high)
    require(proper, field, f"be finite, ordered and >= {least}", value)
    if whole:
        require(low == int(low) and high == int(high), field, "hold whole numbers", value)


def log_uniform(rng: np.random.Generator, bounds: Range, size: int | None = None) -> np.ndarray:
    """Draw numbers whose logarithm is uniform.

    Args:
        rng: The stream.
        bounds: Lowest and highest value, > 0.
        size: How many; None for one.

    Returns:
        The numbers [size], or one as an array of no dimension.
    """
    low, high = np.log(bounds)
    return np.asarray(np.exp(rng.uniform(low, high, size)))
