"""Streams are those of NumPy's own seed sequences, whatever the seed and the key."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.simulator.randomness import STREAM_KINDS, stream

SEEDS = (0, 1, 12_345, 2**32 - 1, 2**32, 2**40 + 5, 2**128 - 1, 2**130 + 7)
PROBLEMS = (0, 7, 2**32 - 1, 2**32, 2**50 + 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stream_is_the_one_of_its_seed_sequence(seed: int) -> None:
    for problem in PROBLEMS:
        key = (problem, 3, STREAM_KINDS["service"], 2, 11)
        sequence = np.random.SeedSequence(seed, spawn_key=key)
        theirs = np.random.Generator(np.random.PCG64(sequence))
        ours = stream(seed, problem, 3, "service", 2, 11)
        assert ours.bit_generator.state == theirs.bit_generator.state


def test_every_part_of_the_key_counts() -> None:
    keys = [(1, 0, 0, "arrivals", 0, 0), (0, 1, 0, "arrivals", 0, 0), (0, 0, 1, "arrivals", 0, 0)]
    keys += [(0, 0, 0, "service", 0, 0), (0, 0, 0, "arrivals", 1, 0), (0, 0, 0, "arrivals", 0, 1)]
    drawn = {stream(*key).random() for key in keys}
    assert len(drawn) == len(keys)
