"""Colours are told apart by every reader, by those too who see two primary colours of three."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from datagen.report.style import CHAIN_COLOURS, COLOURS, REGIME_COLOURS

Floats = NDArray[np.float64]

SEEN: dict[str, Floats] = {
    "three": np.eye(3),
    "no red": np.array([
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]),
    "no green": np.array([
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]),
    "no blue": np.array([
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ]),
}
"""Linear sRGB -> what readers see of it who lack a kind of cones (Machado, Oliveira and Fernandes,
A physiologically-based model for simulation of color vision deficiency, 2009)."""

TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])

WHITE = TO_XYZ.sum(axis=1)

TOLD_APART = 15.0
"""Distance in CIELAB, where about 2 is just noticed side by side."""


def linear(colour: str) -> Floats:
    shares = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def lab(rgb: Floats) -> Floats:
    share = (TO_XYZ @ np.clip(rgb, 0.0, 1.0)) / WHITE
    x, y, z = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize(
    "palette", [COLOURS, REGIME_COLOURS, CHAIN_COLOURS], ids=["compared", "regimes", "chains"]
)
def test_any_two_colours_are_told_apart(seen: str, palette: tuple[str, ...]) -> None:
    looks = {colour: lab(SEEN[seen] @ linear(colour)) for colour in palette}
    apart = {
        pair: np.linalg.norm(looks[pair[0]] - looks[pair[1]]) for pair in combinations(looks, 2)
    }
    assert min(apart.values()) >= TOLD_APART, min(apart, key=apart.__getitem__)
