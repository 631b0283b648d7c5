"""A network's layers, as measured one by one in a CSV file, and their runs as fragments.

The file has one row per layer, in the order the layers run; lines that begin with ``#`` are
comments::

    layer,time,deviation,weights,output
    stem,0.012,0.001,4e4,4e5

``time`` is the mean time of the layer on the device that counts as speed 1. May be left out, and
are 0 then: ``deviation``, the standard deviation of that time [s]; ``weights``, the memory it needs
[bytes]; ``output``, what it hands to the next layer [bytes].

A run of layers takes the sum of their times; variances add up as if layers were independent of each
other, which is too little where a whole inference is slow at once (:mod:`datagen.profiles.ceed` has
figures).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from datagen.deployment import Fragment
from datagen.distributions import Deterministic, Law, LogNormal
from datagen.errors import InvalidInputError, require

__all__ = ["MeasuredLayer", "NetworkProfile", "read_network_profile"]

NUMBERS = ("time", "deviation", "weights", "output")
"""Columns that hold numbers; all but the first may be left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredLayer:
    """What was measured of a layer.

    Args:
        name: Its name.
        time: Mean time at speed 1 [s], >= 0.
        deviation: Standard deviation of that time [s], >= 0.
        weights: Memory it needs [bytes], >= 0.
        output: What it hands to the next layer [bytes], >= 0.

    Raises:
        InvalidInputError: If the name is empty, or a number negative or not finite.
    """

    name: str
    time: float
    deviation: float = 0.0
    weights: float = 0.0
    output: float = 0.0

    def __post_init__(self) -> None:
        require(bool(self.name), "layer", "have a name", self.name)
        for field in NUMBERS:
            value = getattr(self, field)
            require(math.isfinite(value) and value >= 0, field, "be a number >= 0", value)


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkProfile:
    """The layers of a network, in the order they run.

    Args:
        layers: The layers, at least one, their names unique.

    Raises:
        InvalidInputError: If there is none, two share a name, or none takes time.
    """

    layers: tuple[MeasuredLayer, ...]

    def __post_init__(self) -> None:
        names = [layer.name for layer in self.layers]
        require(len(names) > 0, "layers", "hold at least one", names)
        repeated = sorted({name for name in names if names.count(name) > 1})
        require(not repeated, "layer", "have a name of its own", repeated)
        require(self.seconds > 0, "time", "be > 0 for some layer", self.seconds)

    @property
    def seconds(self) -> float:
        """Mean time of all layers at speed 1 [s]."""
        return math.fsum(layer.time for layer in self.layers)

    def cut_after(self, names: Sequence[str]) -> tuple[Fragment, ...]:
        """Cut the network behind layers of your choice.

        Args:
            names: Layers that end a piece, in order; the last layer ends one anyway.

        Returns:
            The pieces in order, each named by its first and last layer.

        Raises:
            InvalidInputError: If one is unknown, or they are not in order.
        """
        known = [layer.name for layer in self.layers]
        for name in names:
            require(name in known, "names", f"be of {', '.join(known)}", name)
        ends = [known.index(name) + 1 for name in names]
        rising = all(a < b for a, b in zip(ends[:-1], ends[1:], strict=True))
        require(rising, "names", "be in the order the layers run, each once", list(names))
        return self._pieces([*ends, len(known)] if ends[-1:] != [len(known)] else ends)

    def cut(self, pieces: int) -> tuple[Fragment, ...]:
        """Cut the network into pieces of about equal time: the longest is as short as can be.

        Args:
            pieces: Number of pieces, from 1 to the number of layers.

        Returns:
            The pieces in order, each named by its first and last layer.

        Raises:
            InvalidInputError: If there are fewer layers than pieces, or no piece is wanted.
        """
        count = len(self.layers)
        proper = 1 <= pieces <= count
        require(proper, "pieces", f"lie between 1 and {count}, the layers", pieces)
        until = [0.0, *accumulate(layer.time for layer in self.layers)]
        # longest[k]: the longest piece of the best cut of the first k layers, and where it ends.
        longest = [(seconds, [end]) for end, seconds in enumerate(until)]
        for made in range(2, pieces + 1):
            longest = [
                min(
                    (max(longest[cut][0], until[end] - until[cut]), [*longest[cut][1], end])
                    for cut in range(made - 1, end)
                )
                if end >= made
                else (math.inf, [])
                for end in range(count + 1)
            ]
        return self._pieces(longest[count][1])

    def _pieces(self, ends: Sequence[int]) -> tuple[Fragment, ...]:
        starts = [0, *ends[:-1]]
        runs = [self.layers[start:end] for start, end in zip(starts, ends, strict=True)]
        return tuple(_fragment(run) for run in runs)


def _fragment(run: Sequence[MeasuredLayer]) -> Fragment:
    first, last = run[0].name, run[-1].name
    mean = math.fsum(layer.time for layer in run)
    variance = math.fsum(layer.deviation**2 for layer in run)
    return Fragment(
        name=first if len(run) == 1 else f"{first}..{last}",
        service=_law(mean, variance),
        weights=math.fsum(layer.weights for layer in run),
        output=run[-1].output,
    )


def _law(mean: float, variance: float) -> Law:
    if variance == 0 or mean == 0:
        return Deterministic(mean=mean)
    return LogNormal(mean=mean, scv=variance / mean**2)


def read_network_profile(path: str | Path) -> NetworkProfile:
    """Read a CSV file of layer times.

    Args:
        path: The file, as the head of this module describes it.

    Returns:
        The layers.

    Raises:
        InvalidInputError: If the file cannot be read, lacks a column, or holds an improper value;
            the message says in which line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")  # spreadsheets begin with such a mark
    except (OSError, UnicodeDecodeError):
        raise InvalidInputError("path", "be a readable CSV file", str(path)) from None
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.startswith("#")
    ]
    header = _cells(lines[0][1]) if lines else []
    required = {"layer", "time"} <= set(header) <= {"layer", *NUMBERS}
    rule = "name layer and time, perhaps deviation, weights, output, and nothing else"
    require(required and len(set(header)) == len(header), "header", rule, header)
    layers = []
    for number, line in lines[1:]:
        try:
            layers.append(_layer(header, _cells(line)))
        except InvalidInputError as error:
            raise error.within(f"line {number}") from None
    return NetworkProfile(layers=tuple(layers))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True))]


def _layer(header: Sequence[str], cells: Sequence[str]) -> MeasuredLayer:
    require(len(cells) == len(header), "row", f"hold {len(header)} cells", cells)
    row = dict(zip(header, cells, strict=True))
    return MeasuredLayer(
        name=row["layer"],
        **{name: _number(name, row[name]) for name in NUMBERS if name in row},
    )


def _number(field: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInputError(field, "be a number", text) from None
