"""Exit traces: what an early-exit network answered, and how sure it was, sample by sample.

A trace is the ground truth of every decision by thresholds: a job draws one of its samples, leaves
at the first exit that is sure enough, and is right if that sample was answered rightly there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.errors import InvalidInputError, require
from datagen.exits.files import read_arrays, write_arrays

__all__ = ["ExitTrace"]

_ARRAYS = ("confidences", "correct", "context", "group", "cost")

LARGEST_GROUP = 2.0**53
"""Above it, whole numbers written as decimals are no longer told apart."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ExitTrace:
    """What an early-exit network answered on N recorded samples at its E exits.

    The last exit is the final classifier. A *context* is a condition the samples were recorded
    under (noise, blur, night); contexts are numbered from 0, and each has at least one sample.

    Args:
        name: Name that chains refer to.
        confidences: Largest softmax value per sample and exit [N, E], in [0, 1].
        correct: Whether the answer at that exit was right [N, E].
        context: Context of each sample [N], 0, 1, ..., K - 1; or None.
        group: Number of what each sample was made from [N], >= 0, for example of the image that is
            seen in all contexts; or None. Samples of one group are not independent, which standard
            errors must know (:func:`datagen.exits.clustered_error`).
        cost: Recorded cost of an answer at each exit, the way to it included [E], >= 0, in whatever
            unit it was recorded; or None. Policies may weigh it; simulated times are those of the
            chain's fragments.

    Example:
        >>> trace = ExitTrace(name="t", confidences=[[0.9, 1.0], [0.4, 0.7]],
        ...                   correct=[[1, 1], [0, 1]], context=[0, 1])
        >>> trace.samples, trace.exits, trace.contexts
        (2, 2, 2)
    """

    name: str
    confidences: NDArray[np.float64] = field(repr=False)
    correct: NDArray[np.bool_] = field(repr=False)
    context: NDArray[np.int64] | None = field(default=None, repr=False)
    group: NDArray[np.int64] | None = field(default=None, repr=False)
    cost: NDArray[np.float64] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        require(isinstance(self.name, str) and self.name != "", "name", "be a text", self.name)
        confidences = _numbers("confidences", self.confidences)
        two = confidences.ndim == 2 and confidences.size > 0
        require(two, "confidences", "have shape [N, E], N and E >= 1", confidences.shape)
        inside = (confidences >= 0) & (confidences <= 1)  # not so for NaN
        _require_all("confidences", "lie in [0, 1]", inside, confidences)
        correct = _numbers("correct", self.correct)
        same = correct.shape == confidences.shape
        require(same, "correct", f"have shape {confidences.shape}", correct.shape)
        _require_all("correct", "be true or false", (correct == 0) | (correct == 1), correct)
        content: dict[str, NDArray[Any]] = {
            "confidences": confidences,
            "correct": correct.astype(bool),
        }
        if self.context is not None:
            content["context"] = _checked_context(self.context, len(confidences))
        if self.group is not None:
            content["group"] = _checked_group(self.group, len(confidences))
        if self.cost is not None:
            content["cost"] = _checked_cost(self.cost, confidences.shape[1])
        for name, values in content.items():
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    @property
    def samples(self) -> int:
        """Number of samples, N."""
        return len(self.confidences)

    @property
    def exits(self) -> int:
        """Number of exits, E."""
        return int(self.confidences.shape[1])

    @property
    def contexts(self) -> int:
        """Number of contexts, K; 0 where none were recorded."""
        return 0 if self.context is None else int(self.context.max()) + 1

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that are present, by name."""
        named = {name: getattr(self, name) for name in _ARRAYS}
        return {name: values for name, values in named.items() if values is not None}

    def save(self, path: str | Path) -> None:
        """Write the trace to a file, see :mod:`datagen.exits.files`.

        Args:
            path: File that ends in ``.npz``, ``.parquet`` or ``.csv``.
        """
        write_arrays(path, self.arrays())

    @classmethod
    def load(cls, path: str | Path, *, name: str | None = None) -> ExitTrace:
        """Read a trace from a file, see :mod:`datagen.exits.files`.

        Args:
            path: File that ends in ``.npz``, ``.parquet`` or ``.csv``.
            name: Name of the trace; by default that of the file without its ending.

        Returns:
            The trace.

        Raises:
            InvalidInputError: If the file is no such trace; pickled objects are never loaded.
        """
        return cls(name=name or Path(path).stem, **read_arrays(path))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExitTrace):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[object, ...]:
        content = {name: values.tobytes() for name, values in self.arrays().items()}
        return (self.name, self.confidences.shape, *content.items())


def _numbers(name: str, values: object) -> NDArray[np.float64]:
    """Return a fresh array of numbers.

    Raises:
        InvalidInputError: If the values are not numbers in rows of one length.
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise InvalidInputError(name, "have rows of one length", values) from None
    require(array.dtype.kind in "biuf", name, "hold numbers", values)
    return np.array(array, dtype=np.float64)


def _require_all(
    name: str, rule: str, proper: NDArray[np.bool_], values: NDArray[np.float64]
) -> None:
    """Name the place of the first value that breaks a rule.

    Raises:
        InvalidInputError: If there is one.
    """
    if not proper.all():
        place = tuple(np.argwhere(~proper)[0].tolist())
        where = "".join(f"[{index}]" for index in place)
        raise InvalidInputError(f"{name}{where}", rule, float(values[place]))


def _checked_context(given: object, samples: int) -> NDArray[np.int64]:
    context = _numbers("context", given)
    require(context.shape == (samples,), "context", f"have shape ({samples},)", context.shape)
    whole = (context >= 0) & (context < samples) & (context == np.floor(context))
    # Every context has a sample, so that there are no more of them than samples.
    _require_all("context", f"be a whole number in [0, {samples})", whole, context)
    counts = np.bincount(context.astype(np.int64))
    empty = int(np.argmin(counts))
    require(counts[empty] > 0, "context", "have a sample of every context from 0 on", empty)
    return context.astype(np.int64)


def _checked_group(given: object, samples: int) -> NDArray[np.int64]:
    group = _numbers("group", given)
    require(group.shape == (samples,), "group", f"have shape ({samples},)", group.shape)
    whole = (group >= 0) & (group < LARGEST_GROUP) & (group == np.floor(group))
    _require_all("group", f"be a whole number in [0, {LARGEST_GROUP:g})", whole, group)
    return group.astype(np.int64)


def _checked_cost(given: object, exits: int) -> NDArray[np.float64]:
    cost = _numbers("cost", given)
    require(cost.shape == (exits,), "cost", f"have shape ({exits},)", cost.shape)
    _require_all("cost", "be finite and >= 0", np.isfinite(cost) & (cost >= 0), cost)
    return cost
