"""Latency without a queue, from tables and from the objects alone."""

from __future__ import annotations

import numpy as np
import pytest

from surrogate.optimizers.baselines import random_placements
from surrogate.optimizers.unloaded import UnloadedTimes
from tests.surrogate.optimizers.test_integer_program import latency_by_hand, random_space


def test_tables_add_up_to_what_the_objects_say() -> None:
    for seed in range(30):
        space = random_space(seed)
        rows = random_placements(space, 5, np.random.default_rng(seed))
        found = UnloadedTimes(space).latency(rows)
        expected = [latency_by_hand(space, tuple(row)) for row in rows]
        assert found == pytest.approx(expected)
