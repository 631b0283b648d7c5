"""Measures of accelerators, from the batches that an engine counted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.simulator.batching import NO_ACCELERATOR, Batching
from datagen.simulator.engine import Run
from datagen.simulator.standard_errors import run_ratio
from datagen.simulator.tally import RunLength

__all__ = ["batch_measures"]

Floats = NDArray[np.float64]
Named = dict[str, Floats]


def batch_measures(batching: Batching, runs: list[Run], length: RunLength) -> tuple[Named, Named]:
    """Return the mean batch and the preemptions of devices, and the mean batch of steps.

    Args:
        batching: The accelerators of a network.
        runs: Its independent runs, at least one.
        length: Their window.

    Returns:
        Device measures [D] and step measures [S]; NaN where there is no accelerator, or no batch.
    """
    sizes = np.stack([run.batches.sizes for run in runs if run.batches is not None])
    samples = (sizes * np.arange(1, sizes.shape[2] + 1)).sum(axis=2).astype(np.float64)
    batches = sizes.sum(axis=2).astype(np.float64)
    segments = np.diff(batching.line_start)
    device = np.repeat(batching.line_device, segments)
    devices = len(batching.policy)

    def by_device(counts: Floats) -> Floats:
        return np.stack([np.bincount(device, own, minlength=devices) for own in counts])

    mean, se = run_ratio(by_device(samples), by_device(batches))
    suspended = np.stack([run.batches.preemptions for run in runs if run.batches is not None])
    rates = suspended / (length.horizon - length.warmup)
    of_devices = {"batch": mean, "batch_se": se, "preemptions": rates.mean(axis=0)}
    if len(runs) > 1:
        of_devices["preemptions_se"] = rates.std(axis=0, ddof=1) / np.sqrt(len(runs))
    missing = batching.policy == NO_ACCELERATOR
    of_devices = {name: np.where(missing, np.nan, own) for name, own in of_devices.items()}
    mean, se = run_ratio(samples, batches)
    on_line = batching.step_line != NO_ACCELERATOR
    segment = batching.line_start[batching.step_line] + batching.step_segment
    of_steps = {
        name: np.where(on_line, np.append(own, np.nan)[np.where(on_line, segment, -1)], np.nan)
        for name, own in (("batch", mean), ("batch_se", se))
    }
    return of_devices, of_steps
