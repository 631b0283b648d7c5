"""Times of layers on a device, predicted from their sizes: a regression per kind of layer.

Profiling every network on every device takes long; Neurosurgeon profiles kinds of layers instead.
The time of a layer is a sum of its features, such as operations, weights and bytes read or written,
each with a coefficient that is not negative, and a constant. Errors count relative to the time, for
a network's layers take from microseconds to seconds.

A profile is a CSV file with a line per measurement. Its columns are ``kind``, ``time`` [s] and any
features; a feature whose cell is empty is none of that kind.

References:
    Kang et al., Neurosurgeon: collaborative intelligence between the cloud and mobile edge,
    ASPLOS 2017, section 5.1.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from datagen.errors import InvalidInputError, require
from datagen.frozen import FrozenMap

__all__ = ["LayerTimes", "Measured", "read_layer_profile"]

KIND, TIME = "kind", "time"
"""Columns that are no features."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A measured layer.

    Args:
        kind: Kind of layer, for example ``convolution``.
        features: Sizes by name, finite and >= 0.
        time: Measured time [s], > 0.
    """

    kind: str
    features: Mapping[str, float]
    time: float

    def __post_init__(self) -> None:
        require(self.kind != "", KIND, "be a non-empty text", self.kind)
        for name, value in self.features.items():
            require(math.isfinite(value) and value >= 0, name, "be finite and >= 0", value)
        require(math.isfinite(self.time) and self.time > 0, TIME, "be finite and > 0", self.time)
        object.__setattr__(self, "features", FrozenMap(self.features))


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerTimes:
    """Predicts the times of layers on one device.

    Args:
        coefficients: Kind -> feature -> seconds per unit, >= 0; the constant [s] has the empty
            name.
    """

    coefficients: Mapping[str, Mapping[str, float]]

    @classmethod
    def fit(cls, profile: Iterable[Measured]) -> LayerTimes:
        """Fit a profile.

        Args:
            profile: Measured layers; those of one kind with the same features.

        Returns:
            The regression of least relative squares, kind by kind.

        Raises:
            InvalidInputError: If there is no layer, or layers of one kind differ in their features.
        """
        kinds: dict[str, list[Measured]] = {}
        for layer in profile:
            kinds.setdefault(layer.kind, []).append(layer)
        require(len(kinds) > 0, "profile", "hold at least one layer", [])
        return cls(coefficients={kind: _fitted(layers) for kind, layers in kinds.items()})

    def predict(self, kind: str, features: Mapping[str, float]) -> float:
        """Return the time of a layer.

        Args:
            kind: A kind of the profile.
            features: Its sizes, those of the profile.

        Returns:
            Time [s], >= 0.

        Raises:
            InvalidInputError: If the kind was not measured, or features are missing or unknown.
        """
        known = ", ".join(self.coefficients)
        require(kind in self.coefficients, KIND, f"be one of {known}", kind)
        each = self.coefficients[kind]
        names = {name for name in each if name}
        require(set(features) == names, "features", f"be {sorted(names)}", sorted(features))
        return each[""] + sum(each[name] * features[name] for name in sorted(names))

    def relative_errors(self, profile: Sequence[Measured]) -> np.ndarray:
        """Return how far predictions are off.

        Args:
            profile: Measured layers of known kinds [N].

        Returns:
            (predicted - measured) / measured [N].
        """
        predicted = [self.predict(layer.kind, layer.features) for layer in profile]
        time = np.array([layer.time for layer in profile])
        return np.asarray((np.array(predicted) - time) / time)


def _fitted(layers: Sequence[Measured]) -> FrozenMap[float]:
    """Return the coefficients of one kind; features are scaled, for they differ by magnitudes."""
    names = sorted(layers[0].features)
    for layer in layers:
        same = sorted(layer.features) == names
        require(same, f"features of {layer.kind}", f"be {names}", sorted(layer.features))
    sizes = np.array([[1.0, *(layer.features[name] for name in names)] for layer in layers])
    scale = np.maximum(sizes.max(axis=0), np.finfo(float).tiny)
    time = np.array([layer.time for layer in layers])
    found, _ = nnls(sizes / scale / time[:, None], np.ones(len(layers)))
    return FrozenMap(dict(zip(["", *names], (found / scale).tolist(), strict=True)))


def read_layer_profile(path: str | Path) -> list[Measured]:
    """Read a CSV file of measured layers.

    Args:
        path: The file, in UTF-8, its first line the names of the columns.

    Returns:
        The layers in order.

    Raises:
        InvalidInputError: If the file cannot be read, a column is missing or given twice, or a cell
            is no number in range; it names the line.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise InvalidInputError("profile", "be a readable CSV file", str(path)) from None
    require(len(lines) > 0, "profile", "not be empty", str(path))
    names = [name.strip() for name in lines[0]]
    proper = len(set(names)) == len(names) and "" not in names
    require(proper, "profile", "name each column once", names)
    for name in (KIND, TIME):
        require(name in names, "profile", f"have a column {name}", names)
    return [
        _measured(dict(zip(names, cells, strict=False)), f"line {number}")
        for number, cells in enumerate(lines[1:], start=2)
        if _whole_line(cells, names, number)
    ]


def _whole_line(cells: Sequence[str], names: Sequence[str], number: int) -> bool:
    """Tell lines from empty ones, and refuse those of another length."""
    require(len(cells) in (0, len(names)), f"line {number}", f"have {len(names)} cells", len(cells))
    return len(cells) > 0


def _measured(cells: Mapping[str, str], where: str) -> Measured:
    numbers = {}
    for name, cell in cells.items():
        if name == KIND or (cell.strip() == "" and name != TIME):
            continue
        try:
            numbers[name] = float(cell)
        except ValueError:
            raise InvalidInputError(f"{where} {name}", "be a number", cell) from None
    time = numbers.pop(TIME)
    try:
        return Measured(kind=cells[KIND].strip(), features=numbers, time=time)
    except InvalidInputError as error:
        raise error.within(where) from None
