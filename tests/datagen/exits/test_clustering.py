from __future__ import annotations

import numpy as np
import pytest

from datagen.errors import InvalidInputError
from datagen.exits import clustered_error


def test_is_the_spread_of_means_over_whole_groups() -> None:
    # Means of 300 groups of one to five samples that share most of what they are.
    def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        group = np.repeat(np.arange(300), rng.integers(1, 6, 300))
        return rng.standard_normal(300)[group] + 0.3 * rng.standard_normal(len(group)), group

    means = np.array([draw(seed)[0].mean() for seed in range(400)])
    errors = np.array([clustered_error(*draw(seed)) for seed in range(20)])
    assert errors.mean() == pytest.approx(means.std(ddof=1), rel=0.1)
    assert clustered_error(draw(0)[0]) < 0.7 * errors[0]  # as if samples were independent


def test_columns_stand_for_themselves_and_seeds_repeat() -> None:
    values = np.random.default_rng(0).random((60, 2, 3))
    group = np.arange(60) // 4
    found = clustered_error(values, group)
    assert found.shape == (2, 3)
    assert found[1, 2] == pytest.approx(float(clustered_error(values[:, 1, 2], group)), abs=1e-15)
    assert np.array_equal(found, clustered_error(values, group + 5))
    assert not np.array_equal(found, clustered_error(values, group, seed=1))


def test_too_little_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="group must number at least two groups, got .*=1"):
        clustered_error([1.0, 2.0], [3, 3])
    with pytest.raises(InvalidInputError, match=r"group must have shape \(2,\)"):
        clustered_error([1.0, 2.0], [3])
    with pytest.raises(InvalidInputError, match="draws must be >= 2"):
        clustered_error([1.0, 2.0], draws=1)
