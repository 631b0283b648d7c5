"""What there is to choose about each accelerator, as a grid: policy, size, time-out and variant.

Time-outs are shares of the time that a sample alone takes from end to end, the scale on which
waiting for company pays or does not; sizes double. What the start decides is on the grid, too.
Points that mean the same, as time-outs of a policy that has none, are one setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Deployment, Device
from datagen.errors import require
from datagen.npu import BATCH_POLICIES, VARIANTS, BatchConfig, BatchSetting

__all__ = ["MOST_BATCH", "PARTS", "AcceleratorGrid", "accelerator_grids"]

PARTS = ("policy", "max_batch", "timeout", "variant")
"""What a point of the grid says, in this order."""

MOST_BATCH = 16
"""Largest batch that is tried where tables and buffers allow more: an edge accelerator is full with
less, and larger batches wait longer than what they save."""

WAITS = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0)
"""Time-outs over the time of a sample alone."""

TIMED = ("dynamic", "edf", "lazy", "exit_aware")
"""Policies that have a time-out."""

Policy = tuple[str, str]
"""Name and what it expects of survivors."""

POLICIES: tuple[Policy, ...] = (
    *((name, "worst") for name in BATCH_POLICIES),
    ("exit_aware", "expected"),
)


@dataclass(frozen=True, kw_only=True)
class AcceleratorGrid:
    """The settings of one accelerator.

    Args:
        device: Its name.
        policies: Policies, with what they expect of survivors.
        sizes: Largest batches, rising.
        timeouts: Time-outs [s], rising.
        variants: Variants of its array; None alone where these are given.
        compaction: Whether batches pay only for who is left: a property of what runs there.
        start: The point of the start's own setting [4].
    """

    device: str
    policies: tuple[Policy, ...]
    sizes: tuple[int, ...]
    timeouts: tuple[float, ...]
    variants: tuple[str | None, ...]
    compaction: bool
    start: tuple[int, int, int, int]

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Values of each part [4]."""
        return len(self.policies), len(self.sizes), len(self.timeouts), len(self.variants)

    def setting(self, point: Sequence[int]) -> BatchSetting:
        """Return the setting of a point.

        Args:
            point: Index of each part [4].

        Returns:
            The setting; what its policy does not have is left out.
        """
        policy, survivors = self.policies[point[0]]
        config = BatchConfig(
            policy=policy,
            max_batch=1 if policy == "serial" else self.sizes[point[1]],
            timeout=self.timeouts[point[2]] if policy in TIMED else 0.0,
            compaction=self.compaction,
            survivors=survivors,
        )
        return BatchSetting(config=config, variant=self.variants[point[3]])

    def table(self, settings: dict[BatchSetting, int]) -> NDArray[np.int64]:
        """Number the settings of all points.

        Args:
            settings: Setting -> number; new ones are added.

        Returns:
            The number of every point's setting [policies, sizes, time-outs, variants].
        """
        numbers = [
            settings.setdefault(self.setting(point), len(settings))
            for point in product(*map(range, self.counts))
        ]
        return np.array(numbers).reshape(self.counts)


def accelerator_grids(base: Deployment, *, variants: bool = True) -> list[AcceleratorGrid]:
    """Return what there is to choose about each accelerator of a deployment.

    Args:
        base: The deployment.
        variants: Whether the variants of arrays are a choice.

    Returns:
        A grid per accelerator, in the order of devices.

    Raises:
        InvalidInputError: If no device is an accelerator.
    """
    grids = [
        _grid(base, device, variants) for device in base.problem.devices if device.npu is not None
    ]
    require(bool(grids), "devices", "hold an accelerator where batching is searched", None)
    return grids


def _grid(base: Deployment, device: Device, variants: bool) -> AcceleratorGrid:
    """Return the grid of one accelerator."""
    assert device.npu is not None
    own = base.batch_config(device.name)
    chains = [
        chain
        for chain in base.problem.chains
        if any(chain.may_run_on(place, device) for place in range(len(chain.fragments)))
    ]
    tables = [device.npu.times(str(chain.model), chain.classified, 1) for chain in chains]
    alone = max((float(table.seconds.sum()) for table in tables), default=0.0)
    known = [device.npu.longest_batch(str(chain.model)) for chain in chains]
    room = np.inf
    if device.capacity is not None:
        demand = max((f.demand for chain in chains for f in chain.fragments), default=1)
        room = max(device.capacity // demand, 1)
    largest = min(MOST_BATCH, room, *(most for most in known if most is not None), np.inf)
    doubling = [2**power for power in range(1, MOST_BATCH.bit_length()) if 2**power <= largest]
    # Batches of one are what ``serial`` is for.
    sizes = tuple(sorted({*doubling, own.max_batch} if own.policy != "serial" else {*doubling}))
    timeouts = tuple(sorted({*(wait * alone for wait in WAITS), own.timeout}))
    several = variants and device.npu.network is not None
    names: tuple[str | None, ...] = VARIANTS if several else (None,)
    policies = POLICIES if sizes else POLICIES[:1]
    return AcceleratorGrid(
        device=device.name,
        policies=policies,
        sizes=sizes or (1,),
        timeouts=timeouts,
        variants=names,
        compaction=own.compaction,
        start=(
            policies.index((own.policy, own.survivors)),
            sizes.index(own.max_batch) if own.max_batch in sizes else 0,
            timeouts.index(own.timeout),
            names.index(device.npu.variant or VARIANTS[0]) if several else 0,
        ),
    )
