"""Compiled sums are those of NumPy to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.simulator.sum_kernel import add_up


@pytest.mark.parametrize("rate", [1.0, 3.0])
@pytest.mark.parametrize("last", [0.0, 0.1, 1e9])
@pytest.mark.parametrize("size", [1, 2, 7, 4096])
def test_times_are_the_running_sum_of_gaps(size: int, last: float, rate: float) -> None:
    gaps = np.random.default_rng(size).standard_exponential(size)
    expected = np.cumsum([last, *gaps / rate])[1:]
    add_up(gaps, last, rate)
    assert gaps.tobytes() == expected.tobytes()
