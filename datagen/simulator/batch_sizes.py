"""How large the batches of accelerators are: histograms by device, model and segment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Deployment
from datagen.errors import require
from datagen.evaluation import pack
from datagen.simulator.network import networks
from datagen.simulator.options import SimulationOptions
from datagen.simulator.plays import Play, events_per_job
from datagen.simulator.simulation import engine_named
from datagen.simulator.tally import RunLength

__all__ = ["BatchSizes", "batch_sizes"]


@dataclass(frozen=True, kw_only=True)
class BatchSizes:
    """Batches of the samples of one model that pass the same segments of one accelerator.

    Args:
        device: Name of the accelerator.
        model: The model.
        counts: Batches that began each segment, by size less one [segments, B].
    """

    device: str
    model: str
    counts: NDArray[np.int64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean size at each segment; NaN where there was no batch [segments]."""
        sizes = np.arange(1, self.counts.shape[1] + 1)
        with np.errstate(invalid="ignore"):
            return np.asarray(self.counts @ sizes / self.counts.sum(axis=1))


def batch_sizes(deployment: Deployment, options: SimulationOptions) -> list[BatchSizes]:
    """Simulate a deployment and count its batches.

    Args:
        deployment: One with accelerators.
        options: How; of the lengths, ``horizon`` and ``events`` are looked at.

    Returns:
        One histogram per line, summed over all replications.

    Raises:
        InvalidInputError: If no fragment is placed on an accelerator.
    """
    batch = pack([deployment])
    engine = engine_named(options.engine)
    network = networks(batch, engine.name)[0]
    batching = network.batching
    known = batching is not None and len(batching.line_device) > 0
    require(known, "placement", "use an accelerator", dict(deployment.placement))
    assert batching is not None
    play = Play(
        engine=engine,
        batch=batch,
        index=0,
        network=network,
        per_job=events_per_job(batch),
        options=options,
    )
    own = play.first_horizon * play.copies / play.replications
    runs = play.runs(RunLength.of(play.warmup(own), own))
    counts = sum(run.batches.sizes for run in runs if run.batches is not None)
    chain = np.repeat(np.arange(network.chains), np.diff(network.chain_start))
    chains, devices = deployment.problem.chains, deployment.problem.devices
    return [
        BatchSizes(
            device=devices[device].name,
            model=str(chains[chain[batching.step_line == line][0]].model),
            counts=np.asarray(counts)[batching.line_start[line] : batching.line_start[line + 1]],
        )
        for line, device in enumerate(batching.line_device.tolist())
    ]
