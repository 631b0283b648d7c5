"""Means and variances of many packed laws at once, without an object for any of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from datagen.distributions import LAW_NAMES, law_from_parameters

__all__ = ["law_moments"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_Columns = Callable[[Floats, Floats], Floats]

# Squared coefficient of variation from the first two parameters; the first is the mean.
_SCV: dict[str, _Columns] = {
    "deterministic": lambda mean, _: np.zeros_like(mean),
    "exponential": lambda mean, _: np.ones_like(mean),
    "gamma": lambda _, scv: scv,
    "erlang": lambda _, stages: 1.0 / stages,
    "hyperexponential": lambda _, scv: scv,
    "lognormal": lambda _, scv: scv,
}


def law_moments(code: NDArray[np.integer], start: Ints, parameter: Floats) -> tuple[Floats, Floats]:
    """Return the moments of laws.

    Args:
        code: Index into :data:`datagen.distributions.LAW_NAMES`; negative for no law [N].
        start: Offsets of each law's parameters [N + 1].
        parameter: What :meth:`datagen.distributions.Law.parameters` gave, one after the other.

    Returns:
        Mean [s] [N] and variance [s^2] [N]; 0 where there is no law.
    """
    mean, variance = np.zeros(len(code)), np.zeros(len(code))
    for number, name in enumerate(LAW_NAMES):
        rows = np.flatnonzero(code == number)
        if len(rows) == 0:
            continue
        if name in _SCV:
            own = parameter[start[rows]]
            second = parameter[np.minimum(start[rows] + 1, len(parameter) - 1)]
            mean[rows], variance[rows] = own, _SCV[name](own, second) * own**2
            continue
        for row in rows.tolist():
            law = law_from_parameters(number, parameter[start[row] : start[row + 1]])
            mean[row], variance[row] = law.mean, law.scv * law.mean**2
    return mean, variance
