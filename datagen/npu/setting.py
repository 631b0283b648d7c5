"""Settings of an accelerator: what a search may choose about it, in one object."""

from __future__ import annotations

from dataclasses import dataclass, replace

from datagen.errors import require
from datagen.npu.accelerator import Npu
from datagen.npu.batching import BatchConfig
from datagen.npu.latency import VARIANTS

__all__ = ["BatchSetting"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchSetting:
    """How an accelerator forms batches, and what its array may choose about their layout.

    Args:
        config: How it forms batches.
        variant: One of :data:`datagen.npu.latency.VARIANTS`, or None to keep the accelerator's own;
            accelerators with a measured table have no other.

    Raises:
        InvalidInputError: If there is no such variant.
    """

    config: BatchConfig
    variant: str | None = None

    def __post_init__(self) -> None:
        known = self.variant is None or self.variant in VARIANTS
        require(known, "variant", f"be one of {', '.join(VARIANTS)}", self.variant)

    def suits(self, npu: Npu) -> bool:
        """Return whether an accelerator can have this setting.

        Args:
            npu: The accelerator.

        Returns:
            False if a variant is named and the accelerator's times were measured.
        """
        return self.variant is None or npu.network is not None

    def applied(self, npu: Npu) -> Npu:
        """Return an accelerator with this variant.

        Args:
            npu: The accelerator.

        Returns:
            The same, its array of the variant that is named; unchanged where none is, or where its
            times were measured.
        """
        if self.variant is None or not self.suits(npu):
            return npu
        return replace(npu, variant=self.variant)
