"""Checks shared by tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

Z_MAX = 4.0
"""Standard errors an estimate may be off: a right one fails less than once in 10,000 tests."""


def assert_estimates(replications: ArrayLike, exact: float, *, max_rel_se: float = 0.01) -> None:
    """Check that independent replications estimate ``exact``, and sharply enough to mean it.

    Args:
        replications: One estimate per independent replication, shape [R], R >= 2.
        exact: The value they estimate, not 0.
        max_rel_se: Largest standard error of their mean, as a fraction of ``exact``; a z-test alone
            passes anything when the runs are short.
    """
    x = np.asarray(replications, dtype=float)
    se = x.std(ddof=1) / np.sqrt(x.size)
    assert se <= max_rel_se * abs(exact), f"too noisy to test: {se=:.3g}, {exact=:.6g}"
    z = (x.mean() - exact) / se
    assert abs(z) <= Z_MAX, f"mean={x.mean():.6g}, {exact=:.6g}, {z=:.2f}"
