"""What a deployment says about the batches of an accelerator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from datagen.errors import require

__all__ = [
    "BATCH_POLICIES",
    "DEADLINE_FIRST",
    "DYNAMIC",
    "EXIT_AWARE",
    "LARGEST_BATCH",
    "LAZY",
    "SERIAL",
    "STATIC",
    "BatchConfig",
    "BatchPolicyName",
    "Survivors",
]

BatchPolicyName = Literal["serial", "static", "dynamic", "edf", "lazy", "exit_aware"]
Survivors = Literal["worst", "expected"]

BATCH_POLICIES: tuple[str, ...] = get_args(BatchPolicyName)
"""Policies by stored code: append only."""

SERIAL, STATIC, DYNAMIC, DEADLINE_FIRST, LAZY, EXIT_AWARE = range(len(BATCH_POLICIES))

LARGEST_BATCH = 1024
"""Largest batch: times are tabulated for every size, and no edge accelerator goes that far."""

_WAITS = ("dynamic", "edf", "lazy", "exit_aware")
"""Policies that have a time-out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchConfig:
    """How an accelerator forms batches.

    Args:
        policy: One of :data:`BATCH_POLICIES`, see :mod:`datagen.npu.batch_policies`.
        max_batch: Largest batch, >= 1; the size of every batch with ``static``.
        timeout: Longest wait of a free accelerator for company of a sample [s], >= 0; with 0 it
            takes whoever waits.
        compaction: Whether a batch that samples have left pays for the others only. Arrays with
            fluid batches do so in any case.
        survivors: What ``exit_aware`` expects of running batches: that all samples stay to the end
            (``worst``), or that they leave as their exits say on average (``expected``).
    """

    policy: str = "serial"
    max_batch: int = 1
    timeout: float = 0.0
    compaction: bool = False
    survivors: str = "worst"

    def __post_init__(self) -> None:
        known = self.policy in BATCH_POLICIES
        require(known, "policy", f"be one of {', '.join(BATCH_POLICIES)}", self.policy)
        size = self.max_batch
        number = isinstance(size, int | float) and not isinstance(size, bool)
        whole = number and math.isfinite(size) and size == int(size)
        rule = f"be a whole number in 1..{LARGEST_BATCH}"
        require(whole and 1 <= size <= LARGEST_BATCH, "max_batch", rule, size)
        object.__setattr__(self, "max_batch", int(size))
        require(self.policy != "serial" or size == 1, "max_batch", "be 1 with serial", size)
        proper = math.isfinite(self.timeout) and self.timeout >= 0
        require(proper, "timeout", "be finite and >= 0", self.timeout)
        object.__setattr__(self, "timeout", float(self.timeout))
        waits = self.timeout == 0 or self.policy in _WAITS
        require(waits, "timeout", f"be 0 with {self.policy}", self.timeout)
        known = self.survivors in get_args(Survivors)
        require(known, "survivors", "be worst or expected", self.survivors)
        used = self.survivors == "worst" or self.policy == "exit_aware"
        require(used, "survivors", "be worst but with exit_aware", self.survivors)
