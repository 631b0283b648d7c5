"""Random early-exit networks: made up, as different as networks may be, to learn adapting from.

A sample has a latent difficulty, and maybe one of a few kinds; an exit has a skill that mostly
rises with depth. Skill less difficulty plus noise, correlated between near exits, is the margin of
an answer. The margin decides whether the answer is right, and, with noise of its own, how confident
it looks; calibration, number of classes and saturation vary from network to network. Nothing is
fitted to any real network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datagen.exits import ExitTrace

__all__ = ["NetworkFamily"]

Floats = NDArray[np.float64]

CLASSES = (2, 5, 10, 20, 100, 1000)
"""Numbers of classes; confidence is at least one over them."""


@dataclass(frozen=True, kw_only=True)
class NetworkFamily:
    """Distribution of random networks.

    Args:
        exits: Smallest and largest number of exits.
    """

    exits: tuple[int, int] = (2, 24)

    def draw(self, samples: int, exits: int, rng: np.random.Generator) -> ExitTrace:
        """Draw a network and record it.

        Args:
            samples: Number of samples N.
            exits: Number of exits E.
            rng: Source of randomness.

        Returns:
            Its trace.
        """
        loading = rng.uniform(0.3, 1.6) * np.exp(0.25 * rng.standard_normal(exits))
        margin = _skills(exits, rng) - loading * _difficulty(samples, rng)[:, None]
        margin = margin + _kinds(samples, exits, rng)
        margin = margin + rng.uniform(0.1, 1.2) * _noise(samples, exits, rng)
        look = margin + rng.uniform(0.0, 0.8) * _noise(samples, exits, rng)
        classes = rng.choice(CLASSES)
        sharp = rng.uniform(0.8, 4.0) * np.exp(0.2 * rng.standard_normal(exits))
        offset = rng.normal(0.0, 0.7)
        # Being wrong with confidence happens where margins are clearly negative, in some networks.
        sure = np.where(look < 0, rng.uniform(0.0, 0.7) * np.abs(look), look)
        if rng.random() < 0.4:
            sure = look
        chance = 1.0 / classes
        confidences = chance + (1.0 - chance) / (1.0 + np.exp(-sharp * sure - offset))
        steep = rng.uniform(1.0, 6.0)
        right = chance + (1.0 - chance) / (1.0 + np.exp(-steep * (margin + rng.normal(0.3, 0.4))))
        # One draw per sample for a part of them: exits that agree are right and wrong together.
        common = np.where(rng.random(samples) < rng.random(), rng.random(samples), np.nan)
        draws = np.where(np.isnan(common)[:, None], rng.random((samples, exits)), common[:, None])
        stored = np.clip(confidences, 0.0, 1.0).astype(np.float32)
        return ExitTrace(name="drawn", confidences=stored, correct=draws < right)


def _skills(exits: int, rng: np.random.Generator) -> Floats:
    """Return the skill of each exit [E]: a start, a rise that flattens, and some setbacks."""
    depth = np.linspace(0.0, 1.0, exits)
    rise = rng.uniform(0.0, 3.0) * depth ** rng.uniform(0.3, 1.5)
    return np.asarray(
        rng.uniform(-1.0, 1.5) + rise + rng.uniform(0.0, 0.3) * rng.standard_normal(exits)
    )


def _difficulty(samples: int, rng: np.random.Generator) -> Floats:
    """Return latent difficulties [N] of mean 0 and standard deviation 1."""
    shape = rng.integers(4)
    if shape == 0:
        values = rng.standard_normal(samples)
    elif shape == 1:
        values = rng.gamma(rng.uniform(0.5, 4.0), size=samples)
    elif shape == 2:
        hard = rng.random(samples) < rng.uniform(0.05, 0.5)
        values = rng.standard_normal(samples) + hard * rng.uniform(1.0, 5.0)
    else:
        values = rng.standard_t(rng.uniform(2.5, 8.0), size=samples)
    return np.asarray((values - values.mean()) / values.std())


def _kinds(samples: int, exits: int, rng: np.random.Generator) -> Floats:
    """Return what kinds of samples add at each exit [N, E]: some exits are better at some kinds."""
    count = rng.integers(1, 6)
    effect = rng.uniform(0.0, 0.8) * rng.standard_normal((count, exits))
    walk = np.cumsum(effect, axis=1) / np.sqrt(np.arange(1, exits + 1))
    chosen = walk if rng.random() < 0.5 else effect
    return np.asarray(chosen[rng.integers(count, size=samples)])


def _noise(samples: int, exits: int, rng: np.random.Generator) -> Floats:
    """Return noise of unit variance [N, E], correlated between exits that are near."""
    near = rng.uniform(0.0, 0.97)
    fresh = rng.standard_normal((samples, exits))
    noise = np.empty((samples, exits))
    noise[:, 0] = fresh[:, 0]
    for e in range(1, exits):
        noise[:, e] = near * noise[:, e - 1] + np.sqrt(1.0 - near**2) * fresh[:, e]
    return noise
