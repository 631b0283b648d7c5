"""Standard errors where samples come in groups: an image in five contexts is not five images.

References:
    Davison and Hinkley, Bootstrap methods and their application, 1997, section 3.8 (whole clusters
    are drawn, their samples kept together).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datagen.errors import require

__all__ = ["clustered_error"]

DRAWS = 1000
"""Bootstrap draws: they leave a standard error uncertain by 2 %."""


def clustered_error(
    values: ArrayLike, group: ArrayLike | None = None, *, draws: int = DRAWS, seed: int = 0
) -> NDArray[np.float64]:
    """Return standard errors of means over samples, by a bootstrap over their groups.

    Args:
        values: What is averaged [N, ...].
        group: Number of the group of each sample [N]; None where each is one of its own.
        draws: Bootstrap draws, >= 2.
        seed: Of the draws.

    Returns:
        Standard error of the mean of each column [...].

    Raises:
        InvalidInputError: If there are fewer than two groups.

    Example:
        >>> alone = clustered_error([0.0, 0.0, 1.0, 1.0] * 50)
        >>> pairs = clustered_error([0.0, 0.0, 1.0, 1.0] * 50, np.arange(200) // 2)
        >>> round(float(pairs / alone), 1)
        1.4
    """
    table = np.asarray(values, dtype=np.float64)
    rows = table.reshape(len(table), -1)
    numbers = np.arange(len(table)) if group is None else np.asarray(group)
    require(numbers.shape == (len(table),), "group", f"have shape ({len(table)},)", numbers.shape)
    require(draws >= 2, "draws", "be >= 2", draws)
    _, place = np.unique(numbers, return_inverse=True)
    groups = int(place.max(initial=-1)) + 1
    require(groups >= 2, "group", "number at least two groups", groups)
    sizes = np.bincount(place).astype(np.float64)
    sums = np.stack([np.bincount(place, column) for column in rows.T], axis=1)
    rng = np.random.default_rng(seed)
    # How often each group is drawn, draw by draw.
    times = rng.multinomial(groups, np.full(groups, 1.0 / groups), size=draws)
    means = (times @ sums) / (times @ sizes)[:, None]
    return np.asarray(means.std(axis=0, ddof=1).reshape(table.shape[1:]))
