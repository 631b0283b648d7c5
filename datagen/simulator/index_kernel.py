"""Indices of the kernels.

numba gives a negative index its meaning in Python, counting from the end, and tests every index of
an array for it. Slots, rows, devices and chains are unsigned inside the kernels, which leaves these
tests out of the event loop. Nothing is lost: a run with ``NUMBA_BOUNDSCHECK=1`` finds an index that
strays on either side. Unsigned numbers must meet only their own kind, since numba makes a float of
the sum of a signed and an unsigned one.
"""

from __future__ import annotations

import numpy as np

from datagen.compiled import inlined

__all__ = ["signed", "unsigned"]


@inlined
def unsigned(index: int) -> int:
    """Return an index that numba does not test for being negative."""
    return np.uintp(index)  # type: ignore[return-value]


@inlined
def signed(index: int) -> int:
    """Return an unsigned index as a number to calculate with."""
    return np.int64(index)  # type: ignore[return-value]
