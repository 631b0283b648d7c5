"""Devices: computers with a finite buffer, some of them with a batching accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from datagen.deployment.checks import finite, require_name, whole
from datagen.errors import require
from datagen.npu.accelerator import Npu

__all__ = ["DISCIPLINES", "LARGEST_WHOLE", "POWER_POINTS", "Device", "Discipline"]

Discipline = Literal["fcfs", "priority", "ps"]

DISCIPLINES: tuple[str, ...] = get_args(Discipline)
"""Queueing disciplines by stored code: append only."""

LARGEST_WHOLE = 2**31 - 1
"""Largest number of servers and priority: they are packed as 32-bit integers."""

POWER_POINTS = (2, 11)
"""Lengths of a power curve: idle and full, or 0 %, 10 %, ..., 100 % utilization (as SPECpower)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A computer that serves fragments from one waiting line.

    Args:
        name: Unique name.
        speed: Work done per second, > 0; service time = work / speed.
        servers: Identical servers that share the waiting line, >= 1.
        capacity: Buffer in units, the jobs in service included, >= 1; None for unlimited.
        memory: Bytes for the weights of the fragments placed here; None for unlimited.
        discipline: ``fcfs``, ``priority`` (non-preemptive head of line) or ``ps`` (processor
            sharing: nobody waits, and n jobs are served at min(1, servers / n) of the speed each).
        npu: Batching accelerator, or None. Its tables say all: it has one server at speed 1.
        power: Watts at idle and at full utilization, or at 0, 10, ..., 100 %; None if unknown.
        speedup: Relative speed of each server with 1, 2, ... of them busy (length ``servers``): how
            cores that share caches and memory slow each other down; None for all 1. Services in
            progress change pace whenever that number changes.
    """

    name: str
    speed: float = 1.0
    servers: int = 1
    capacity: int | None = None
    memory: float | None = None
    discipline: Discipline = "fcfs"
    npu: Npu | None = None
    power: tuple[float, ...] | None = None
    speedup: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        require_name(self.name)
        object.__setattr__(self, "speed", finite("speed", self.speed, positive=True))
        object.__setattr__(self, "servers", whole("servers", self.servers, 1))
        require(self.servers <= LARGEST_WHOLE, "servers", f"be <= {LARGEST_WHOLE}", self.servers)
        if self.capacity is not None:
            object.__setattr__(self, "capacity", whole("capacity", self.capacity, 1))
        if self.memory is not None:
            object.__setattr__(self, "memory", finite("memory", self.memory))
        known = self.discipline in DISCIPLINES
        require(known, "discipline", f"be one of {', '.join(DISCIPLINES)}", self.discipline)
        if self.power is not None:
            power = tuple(finite("power", watts) for watts in self.power)
            require(len(power) in POWER_POINTS, "power", "hold 2 or 11 values", power)
            object.__setattr__(self, "power", power)
        if self.speedup is not None:
            speedup = tuple(finite("speedup", x, positive=True) for x in self.speedup)
            matching = len(speedup) == self.servers
            require(matching, "speedup", f"hold {self.servers} values", speedup)
            object.__setattr__(self, "speedup", speedup)
        if self.npu is not None:
            neutral = {"speed": 1.0, "servers": 1, "discipline": "fcfs", "speedup": None}
            for field, value in neutral.items():
                own = getattr(self, field)
                require(own == value, field, f"be {value} with an accelerator", own)
