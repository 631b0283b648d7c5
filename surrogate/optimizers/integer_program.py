"""Placement as an integer linear program: least latency within memory and compute.

Every fragment goes to one device; the sum over chains of the latency that a request has alone is
minimal; the weights on a device fit its memory, and what its fragments keep busy fits its compute.
The latency of a transfer depends on two fragments, a product of their variables. Products are
linearised as flows: ``y[s, d, e] = x[s, d] x[s + 1, e]`` where the flows out of (s, d) sum to
``x[s, d]`` and those into (s + 1, e) to ``x[s + 1, e]``. Sources are fragments that are allowed on
one device only; several networks are several chains. Nothing queues in this model: random arrivals
are met by their mean rate alone.

The paper bounds the operations assigned to a node; here that is the utilization, the only measure
of compute that devices have. The program is solved by HiGHS through SciPy.

References:
    Disabato, Roveri and Alippi, Distributed deep convolutional neural networks for the
    Internet-of-Things, IEEE Transactions on Computers 70, 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from datagen.errors import InvalidInputError, require
from surrogate.optimizers.space import Placements, PlacementSpace
from surrogate.optimizers.unloaded import UnloadedTimes

__all__ = ["IntegerPlacement", "IntegerStatus", "integer_placement"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
IntegerStatus = Literal["optimal", "time_limit", "no_solution", "infeasible"]

GAP = 1e-6
"""Relative distance to the bound at which a solution counts as optimal: far below what any estimate
of a service time is good for."""

OPTIMAL, LIMIT, INFEASIBLE = 0, 1, 2
"""What SciPy calls the end of a program."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IntegerPlacement:
    """How a program ended.

    Args:
        status: ``optimal``; ``time_limit`` (a placement that may not be the best);
            ``no_solution`` (out of time before any placement was found); or ``infeasible``
            (memory and compute leave no placement).
        placement: Device index per slot [F]; None where nothing was found.
        latency: Sum over chains of their latency without a queue [s]; None likewise.
        bound: No placement has less [s]; None where the solver proved nothing.
    """

    status: IntegerStatus
    placement: Placements | None
    latency: float | None
    bound: float | None


class _Program:
    """The rows and columns of one program.

    Args:
        variables: Binary placement variables there are to begin with.
    """

    def __init__(self, variables: int) -> None:
        self.variables = variables
        self._row: list[Ints] = []
        self._column: list[Ints] = []
        self._value: list[Floats] = []
        self._low: list[float] = []
        self._high: list[float] = []

    def more(self, count: int) -> Ints:
        """Return new variables in [0, 1]."""
        first = self.variables
        self.variables += count
        return np.arange(first, self.variables)

    def add(self, column: Ints, value: Floats | float, low: float, high: float) -> None:
        """Demand that a weighted sum of variables lies within bounds."""
        self._row.append(np.full(len(column), len(self._low)))
        self._column.append(column)
        self._value.append(np.broadcast_to(np.asarray(value, dtype=np.float64), column.shape))
        self._low.append(low)
        self._high.append(high)

    def constraints(self) -> LinearConstraint:
        """Return all rows."""
        place = np.concatenate(self._row), np.concatenate(self._column)
        shape = (len(self._low), self.variables)
        matrix = coo_array((np.concatenate(self._value), place), shape=shape).tocsr()
        return LinearConstraint(matrix, np.array(self._low), np.array(self._high))


def integer_placement(
    space: PlacementSpace, *, seconds: float | None = None, max_load: float | None = 1.0
) -> IntegerPlacement:
    """Return the placement of least latency that memory and compute allow.

    Args:
        space: The placements of the problem.
        seconds: Time limit [s], > 0, or None.
        max_load: Utilization that no device may exceed, > 0; None for no bound on compute.

    Returns:
        The solution, and what is known of it.

    Raises:
        InvalidInputError: If a limit is not positive, or the solver gives up for another reason.
    """
    require(seconds is None or seconds > 0, "seconds", "be > 0", seconds)
    require(max_load is None or max_load > 0, "max_load", "be > 0", max_load)
    times = UnloadedTimes(space)
    slot, device = np.nonzero(space.allowed)
    variable = np.full(space.allowed.shape, -1)
    variable[slot, device] = np.arange(len(slot))
    program = _Program(len(slot))
    for row in variable:
        program.add(row[row >= 0], 1.0, 1.0, 1.0)
    _bound_memory(program, space, variable)
    if max_load is not None:
        for place in range(space.devices):
            here = np.flatnonzero(variable[:, place] >= 0)
            program.add(variable[here, place], times.load[here, place], -np.inf, max_load)
    cost = [times.share[slot] * times.service[slot, device]]
    cost += _transfers(program, space, times, variable)
    return _solved(program, np.concatenate(cost), space, times, variable, seconds)


def _bound_memory(program: _Program, space: PlacementSpace, variable: Ints) -> None:
    """Demand that the weights fit; a fragment on several paths lies on a device once."""
    twins = space.tables.twins
    first = ~np.tril(twins).any(axis=1)
    for place in np.flatnonzero(np.isfinite(space.memory)).tolist():
        columns, weights = [], []
        for slot in np.flatnonzero(first & (variable[:, place] >= 0)).tolist():
            column = variable[slot, place]
            if twins[slot].any():
                column = program.more(1)[0]
                for other in [slot, *np.flatnonzero(twins[slot])]:
                    program.add(np.array([column, variable[other, place]]), _LIES, 0.0, np.inf)
            columns.append(column)
            weights.append(space.weights[slot])
        if columns:
            room = float(space.memory[place])
            scale = max(room, 1.0)  # bytes would drown the solver's tolerances
            program.add(np.array(columns), np.array(weights) / scale, -np.inf, room / scale)


_LIES = np.array([1.0, -1.0])
"""A fragment lies where any of its paths has it."""


def _transfers(
    program: _Program, space: PlacementSpace, times: UnloadedTimes, variable: Ints
) -> list[Floats]:
    """Add the flows of the transfers that take time; return the costs of all new variables."""
    costs = [np.zeros(program.variables - int(space.allowed.sum()))]
    for slot in times.followed.tolist():
        ends = np.flatnonzero(space.allowed[slot]), np.flatnonzero(space.allowed[slot + 1])
        cost = times.share[slot + 1] * times.transfer(slot)[np.ix_(*ends)]
        if not cost.any():
            continue
        flow = program.more(cost.size).reshape(cost.shape)
        for side, (row, fan) in enumerate(((slot, flow), (slot + 1, flow.T))):
            for place, part in zip(ends[side].tolist(), fan, strict=True):
                signs = np.append(np.ones(len(part)), -1.0)
                program.add(np.append(part, variable[row, place]), signs, 0.0, 0.0)
        costs.append(cost.ravel())
    return costs


def _solved(
    program: _Program,
    cost: Floats,
    space: PlacementSpace,
    times: UnloadedTimes,
    variable: Ints,
    seconds: float | None,
) -> IntegerPlacement:
    whole = np.zeros(program.variables, dtype=np.int64)
    whole[: int(space.allowed.sum())] = 1
    scale = float(cost.max()) or 1.0
    found = milp(
        cost / scale,
        integrality=whole,
        bounds=Bounds(0, 1),
        constraints=program.constraints(),
        options={"mip_rel_gap": GAP, "time_limit": np.inf if seconds is None else seconds},
    )
    if found.status == INFEASIBLE:
        return IntegerPlacement(status="infeasible", placement=None, latency=None, bound=None)
    if found.status not in (OPTIMAL, LIMIT):
        raise InvalidInputError("program", "be one that the solver can handle", found.message)
    bound = found.mip_dual_bound
    bound = float(bound) * scale if bound is not None and np.isfinite(bound) else None
    if found.x is None:
        return IntegerPlacement(status="no_solution", placement=None, latency=None, bound=bound)
    chosen = np.where(variable >= 0, found.x[variable], -1.0)
    placement = np.argmax(chosen, axis=1).astype(np.int32)
    return IntegerPlacement(
        status="optimal" if found.status == OPTIMAL else "time_limit",
        placement=placement,
        latency=float(times.latency(placement[None])[0]),
        bound=bound,
    )
