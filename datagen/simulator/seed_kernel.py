"""The seeds of random streams, as :class:`numpy.random.SeedSequence` makes them.

Making a stream takes NumPy 13 microseconds, most of them for this arithmetic; a run of a few
thousand jobs has a stream per chain and random fragment. NumPy promises that it never changes.

Reference:
    O'Neill, Developing a seed_seq alternative (2015): the hash and its constants.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import compiled, inlined
from datagen.simulator.index_kernel import unsigned

__all__ = ["POOL_WORDS", "seed_words"]

POOL_WORDS = 4
"""Words of 32 bits that all entropy is mixed into."""

_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(16)

_INIT_A, _MULTIPLY_A = np.uint64(0x43B0D7E5), np.uint64(0x931E8875)
_INIT_B, _MULTIPLY_B = np.uint64(0x8B51F9DD), np.uint64(0x58F38DED)
_MIX_LEFT, _MIX_RIGHT = np.uint64(0xCA01F9DD), np.uint64(0x4973F715)
"""Constants of the hash: they are what makes the streams."""


@inlined
def _hashed(value: np.uint64, constant: np.uint64, following: np.uint64) -> np.uint64:
    mixed = ((value ^ constant) * following) & _WORD
    return mixed ^ (mixed >> _HALF)


@inlined
def _mixed(one: np.uint64, other: np.uint64) -> np.uint64:
    mixed = (_MIX_LEFT * one - _MIX_RIGHT * other) & _WORD
    return mixed ^ (mixed >> _HALF)


@compiled
def seed_words(
    entropy: NDArray[np.uint64], pool: NDArray[np.uint64], words: NDArray[np.uint64]
) -> None:
    """Mix entropy and stretch it to the words that a generator is seeded with.

    Args:
        entropy: Words of 32 bits, one per item: those of the seed, filled up with zeros to
            ``POOL_WORDS``, then those of the key [N], N >= ``POOL_WORDS``.
        pool: Room for the mixture [POOL_WORDS].
        words: The seeds, overwritten [M].
    """
    constant = _INIT_A
    for place in range(POOL_WORDS):
        following = (constant * _MULTIPLY_A) & _WORD
        pool[unsigned(place)] = _hashed(entropy[unsigned(place)], constant, following)
        constant = following
    for source in range(entropy.size):
        for target in range(POOL_WORDS):
            if source == target:
                continue
            word = pool[unsigned(source)] if source < POOL_WORDS else entropy[unsigned(source)]
            following = (constant * _MULTIPLY_A) & _WORD
            hashed = _hashed(word, constant, following)
            pool[unsigned(target)] = _mixed(pool[unsigned(target)], hashed)
            constant = following
    constant = _INIT_B
    for place in range(2 * words.size):
        following = (constant * _MULTIPLY_B) & _WORD
        half = _hashed(pool[unsigned(place % POOL_WORDS)], constant, following)
        constant = following
        if place % 2 == 0:
            words[unsigned(place // 2)] = half
        else:
            words[unsigned(place // 2)] |= half << np.uint64(32)
