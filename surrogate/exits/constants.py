"""Numbers that exit predictors are made of, shared by their torch and their compiled forms."""

from __future__ import annotations

__all__ = ["LEAST_SHARE", "LOGIT_SCALE", "NOBODY", "NORM_EPSILON", "PARTS", "TINY", "UNIT_SLOPE"]

LEAST_SHARE = 1e-6
"""Shares closer to 0 or 1 have the logit of this one: about a hundredth of a sample."""

NOBODY = 1e-12
"""Shares that are as good as 0, to divide by."""

LOGIT_SCALE = 8.0
"""Logits are divided by this where they are inputs, so that they lie about in [-2, 2]."""

PARTS = 3
"""Terms of the mixtures G of a :class:`~surrogate.exits.trace_network.TraceNet`."""

UNIT_SLOPE = 0.5413
"""softplus(0.5413) = 1: slopes start there, which leaves shares as they are."""

TINY = 1e-12
"""Keeps a division by the distance of equal knots finite; the numerator is 0 there."""

NORM_EPSILON = 1e-5
"""Added to the variance of a token where it is divided by."""
