"""Loss and waiting of the M/G/c/K queue in torch: the differentiable twin of the tabulated formula.

The formula, its source and its accuracy are in :mod:`datagen.analytic.tabulated`; a test holds the
two together. It is written again because features must carry gradients and run in float32, where
exponents have to be bounded.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from datagen.analytic.tabulated import (
    LOSS_SHIFT,
    LOSS_SMALL_ROOM,
    OFF_LOAD_ONE,
    SHIFT_EXPONENT,
    WAITING_SHIFT,
    WAITING_SMALL_ROOM,
    table,
)

__all__ = ["QueueFormula"]

MAX_EXPONENT = 60.0
"""Bound of exponents: exp(60) is far from float32's largest number, and exp(-60) is no loss."""

MIN_LOG_LOAD = 1e-6
"""Distance from the removable singularity at load 1."""

LOG_LOAD_RANGE = (-13.9, 7.0)
"""Loads outside are clipped: 1e-6 is idle, 1100 passes next to nothing whatever the queue."""

UNLIMITED_ROOM = 1e6
"""Stands for an unlimited waiting room in float32."""

MIN_BEND = 1e-3
"""Where log(1 + bend x) / log(1 + bend) is a straight line to float32 accuracy."""

SERIES_RADIUS = 0.5
"""Below this exponent the mean place in line is taken from its series, free of cancellation."""


def _odd_part(x: Tensor) -> Tensor:
    """1 / (e^x - 1) - 1/x + 1/2 near 0."""
    y = x * x
    return x * (1 / 12 - y * (1 / 720 - y / 30240))


def _mean_place(log_load: Tensor, room: Tensor) -> Tensor:
    """Mean place in line given that some wait, for real room."""
    exponent = (room * log_load).clamp(-MAX_EXPONENT, MAX_EXPONENT)
    near_one = torch.maximum(exponent.abs(), log_load.abs()) < SERIES_RADIUS
    away = torch.where(near_one, torch.ones_like(exponent), exponent)
    away_load = torch.where(near_one, torch.ones_like(log_load), log_load)
    direct = -1.0 / torch.expm1(away_load) - room / torch.expm1(-away)
    small = torch.where(near_one, exponent, torch.zeros_like(exponent))
    series = 0.5 * (room + 1.0) + room * _odd_part(small) - _odd_part(small / room)
    return torch.where(near_one, series, direct)


class QueueFormula(nn.Module):
    """Loss probability and mean waiting jobs of M/G/c/K; its table moves along with the weights."""

    log_load: Tensor
    inverse_capacity: Tensor
    ratios: Tensor

    def __init__(self) -> None:
        super().__init__()
        grid = table()
        # Rebuilt from code at every start, hence not part of a checkpoint.
        for name, values in (
            ("log_load", grid.log_load),
            ("inverse_capacity", grid.inverse_capacity),
        ):
            tensor = torch.tensor(values, dtype=torch.float32)
            self.register_buffer(name, tensor, persistent=False)
        both = torch.stack(
            [torch.tensor(grid.room_ratio), torch.tensor(grid.waiting_ratio)], dim=-1
        )
        self.register_buffer("ratios", both.float().flatten(0, 1), persistent=False)
        self.first = float(grid.log_load[0])
        self.step = float(grid.log_load[1] - grid.log_load[0])

    def _fixed_ratios(self, log_load: Tensor, inverse_capacity: Tensor) -> Tensor:
        """Room and waiting ratios for constant service, bilinear [D, 2]."""
        rows, columns = len(self.log_load), len(self.inverse_capacity)
        place = ((log_load - self.first) / self.step).clamp(0, rows - 1)
        row = place.detach().long().clamp(max=rows - 2)
        along = (place - row).unsqueeze(-1)
        column = torch.searchsorted(self.inverse_capacity, inverse_capacity.detach()) - 1
        column = column.clamp(0, columns - 2)
        grid, ratios = self.inverse_capacity, self.ratios
        left, right = grid.index_select(0, column), grid.index_select(0, column + 1)
        across = ((inverse_capacity - left) / (right - left)).clamp(max=1.0).unsqueeze(-1)
        corner = row * columns + column
        low = _between(ratios, corner, across)
        high = _between(ratios, corner + columns, across)
        return low * (1 - along) + high * along

    def _ratios(self, log_load: Tensor, scv: Tensor, room: Tensor) -> tuple[Tensor, Tensor]:
        fixed_room, fixed_waiting = self._fixed_ratios(log_load, 1.0 / (room + 1.0)).unbind(-1)
        off_one = OFF_LOAD_ONE * log_load**2
        above = torch.where(log_load > 0, off_one, torch.zeros_like(off_one))
        loss_weight = _weight(scv, torch.hypot(LOSS_SMALL_ROOM / (room + 1.0), off_one))
        waiting_weight = _weight(scv, torch.hypot(WAITING_SMALL_ROOM / (room + 1.0), above))
        room_ratio = 1.0 / (1.0 + (1.0 - loss_weight) * (1.0 / fixed_room - 1.0))
        return room_ratio, 1.0 + (1.0 - waiting_weight) * (fixed_waiting - 1.0)

    def forward(
        self, load: Tensor, scv: Tensor, capacity: Tensor, servers: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return loss and waiting.

        Args:
            load: Arrival rate x mean service / servers, >= 0 [D].
            scv: SCV of the service time; where arrivals are not Poisson, that plus the SCV of the
                interarrival time less 1, in (-1, inf) [D]. One in (-1, 0) stands for a sum v below
                1: a diffusion of variance v in a room R is one of variance 1 in R / v, times v.
            capacity: Jobs the device holds, real, >= 1; inf if unlimited [D].
            servers: Servers [D].

        Returns:
            Loss probability in [0, 1) and mean number of waiting jobs, >= 0 [D].
        """
        working = torch.minimum(servers, capacity.floor())
        log_load = (load * servers / working).clamp_min(1e-6).log().clamp(*LOG_LOAD_RANGE)
        log_load = torch.where(log_load.abs() < MIN_LOG_LOAD, MIN_LOG_LOAD, log_load)
        blocking = _erlang_b(working, log_load.exp() * working)
        room = (capacity - working).clamp(1e-6, UNLIMITED_ROOM)
        scale = (1.0 + scv).clamp_max(1.0)
        longer = (room / scale).clamp_max(UNLIMITED_ROOM)
        room_ratio, waiting_ratio = self._ratios(log_load, scv.clamp_min(0.0), longer)
        shift = (working - 1.0) * torch.exp(-SHIFT_EXPONENT * log_load)
        room_ratio = 1.0 + (room_ratio - 1.0) * (longer / (longer + LOSS_SHIFT * shift))
        waiting_ratio = 1.0 + (waiting_ratio - 1.0) * (longer / (longer + WAITING_SHIFT * shift))
        reach = longer * room_ratio
        exponent = (reach * log_load).clamp(-MAX_EXPONENT, MAX_EXPONENT)
        inverse_sum = torch.expm1(-exponent) / torch.expm1(-log_load)
        loss = blocking / (torch.exp(-exponent) + blocking * inverse_sum)
        power_sum = log_load.exp() * torch.expm1(exponent) / torch.expm1(log_load)
        odds = blocking * power_sum
        some_wait = odds / (1.0 + odds)
        waiting = scale * waiting_ratio * some_wait * _mean_place(log_load, reach)
        return loss, torch.minimum(waiting, room)


def _between(rows: Tensor, first: Tensor, share: Tensor) -> Tensor:
    """Interpolate between a row and the next one."""
    return torch.lerp(rows.index_select(0, first), rows.index_select(0, first + 1), share)


def _weight(scv: Tensor, bend: Tensor) -> Tensor:
    bend = bend.clamp_min(MIN_BEND)
    return torch.log1p(bend * scv) / torch.log1p(bend)


def _erlang_b(servers: Tensor, offered: Tensor) -> Tensor:
    """Erlang B by its recursion, for each device up to its own number of servers."""
    blocking = offered / (1.0 + offered)
    for count in range(2, int(servers.max()) + 1):
        further = offered * blocking / (count + offered * blocking)
        blocking = torch.where(servers >= count, further, blocking)
    return blocking
