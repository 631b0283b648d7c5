"""Loss of a finite queue by two moments of its service, a formula that can be turned round.

The loss of M/G/1/K is approximated by that of M/M/1/a with an effective capacity a, a number
between that of constant services and more than that of very variable ones. As the formula of
M/M/1/a can be solved for a, the largest service variability that keeps a loss has a closed form:
what a linear program needs whose variables fix the mean service and bound its variability.

K counts every job at the device, the one in service included. The formula has a region in which it
means nothing (rho > 4 with nearly constant services: the loss comes out as 0), so that it is never
taken to be less than what cannot be avoided, 1 - 1/rho.

References:
    MacGregor Smith, Optimal design and performance modelling of M/G/1/K queueing systems,
    Mathematical and Computer Modelling 39, 2004.
    Casale and Roveri, Scheduling inputs in early exit neural networks, IEEE Transactions on
    Computers, 2023 (its use for early exits).
"""

from __future__ import annotations

import math

from datagen.errors import require

__all__ = ["largest_scv", "two_moment_loss"]

AT_ONE = 1e-9
"""Distance of a load from 1 below which the formulas' limits at 1 are taken."""


def two_moment_loss(load: float, scv: float, capacity: int) -> float:
    """Return the approximate loss probability of M/G/1/K.

    Args:
        load: Arrival rate times mean service time, rho, > 0.
        scv: Squared coefficient of variation of the service time, >= 0.
        capacity: K, jobs the device holds, the one in service included, >= 1.

    Returns:
        Loss probability, in [max(0, 1 - 1/rho), 1].

    Raises:
        InvalidInputError: If an argument is out of range.

    Example:
        >>> round(two_moment_loss(0.8, 1.0, 3), 6)  # exponential services: M/M/1/3 exactly
        0.173442
    """
    require(load > 0, "load", "be > 0", load)
    require(scv >= 0, "scv", "be >= 0", scv)
    require(capacity >= 1, "capacity", "be >= 1", capacity)
    variability = math.sqrt(load) * (scv - 1.0)
    unavoidable = max(0.0, 1.0 - 1.0 / load)
    if variability <= -2.0:
        return unavoidable  # the formula's invalid region
    effective = (2.0 * capacity + variability) / (2.0 + variability)
    if abs(load - 1.0) < AT_ONE:
        return 1.0 / (effective + 1.0)
    # Divided by the larger power, so that neither overflows.
    if load > 1.0:
        loss = (load - 1.0) / (load - load**-effective)
    else:
        loss = (1.0 - load) * load**effective / (1.0 - load ** (effective + 1.0))
    return float(min(max(loss, unavoidable), 1.0))


def largest_scv(load: float, loss: float, capacity: int) -> float | None:
    """Return the largest service variability whose approximate loss keeps a limit.

    Args:
        load: Arrival rate times mean service time, rho, > 0.
        loss: Largest loss probability, in (0, 1).
        capacity: K, jobs the device holds, the one in service included, >= 1.

    Returns:
        Squared coefficient of variation, >= 0, inf if any keeps the limit; None if none does.

    Raises:
        InvalidInputError: If an argument is out of range.

    Example:
        >>> scv = largest_scv(0.8, 0.1, 5)
        >>> round(two_moment_loss(0.8, scv, 5), 9)
        0.1
    """
    require(load > 0, "load", "be > 0", load)
    require(0 < loss < 1, "loss", "lie in (0, 1)", loss)
    require(capacity >= 1, "capacity", "be >= 1", capacity)
    if loss >= load / (1.0 + load):  # even a buffer of one job, effectively, loses no more
        return math.inf
    if abs(load - 1.0) < AT_ONE:
        effective = 1.0 / loss - 1.0
    else:
        kept = 1.0 - load + loss * load
        if kept <= 0:  # less than what is lost with any buffer
            return None
        effective = math.log(loss / kept) / math.log(load)
    scv = 1.0 + 2.0 * (capacity - effective) / ((effective - 1.0) * math.sqrt(load))
    return scv if scv >= 0 else None
