"""Power of devices and energy of chains, from what an engine counted.

A device draws the power of its curve, linear between its points, at its mean utilization over the
window; with two points that is exact, whatever happens inside of the window. Its energy over the
window, idle power included, is shared by the chains in proportion to the work they were served on
it: their served jobs at each step, also of jobs that are lost later, times the mean service there.
Where a device served none, the chains placed on it share alike. A chain's energy is over its
completed jobs, so what was spent on jobs that were lost on the way counts too. Sums agree:

    sum over chains of energy * completed = sum over devices that some chain uses of power * window

A device that no chain uses belongs to none. Sending costs nothing here. Where the power of some
device of a chain is unknown, so is the energy of the chain.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation import DeploymentBatch
from datagen.simulator.engine import Run
from datagen.simulator.estimation import MIN_COMPLETED
from datagen.simulator.network import Network
from datagen.simulator.standard_errors import run_ratio
from datagen.simulator.tally import RunLength

__all__ = ["energy_measures"]

Floats = NDArray[np.float64]
Named = dict[str, Floats]


def energy_measures(
    batch: DeploymentBatch, index: int, network: Network, runs: list[Run], length: RunLength
) -> tuple[Named, Named]:
    """Return the energy of chains [J per completed job] and the power of devices [W].

    Args:
        batch: Packed deployments.
        index: 0-based deployment.
        network: The deployment as a network.
        runs: Its independent runs, at least one.
        length: Their window.

    Returns:
        Chain measures and device measures; none where no device's power is known.
    """
    if not _knows_power(batch, index):
        return {}, {}
    curves = _power_curves(batch, index)
    window = length.horizon - length.warmup
    busy = np.stack([run.tally.busy for run in runs]) / window / network.servers
    power = np.stack([_drawn(curve, busy[:, d]) for d, curve in enumerate(curves)], axis=1)
    device = {"power": power.mean(axis=0)}
    if len(runs) > 1:
        device["power_se"] = power.std(axis=0, ddof=1) / np.sqrt(len(runs))
    completed = np.stack([run.tally.completed.sum(axis=1) for run in runs]).astype(np.float64)
    joules = np.stack([
        _shares(batch, index, network, run) @ row
        for run, row in zip(runs, np.nan_to_num(power) * window, strict=True)
    ])
    unknown = _uses(network) @ np.isnan(power[0]) > 0
    energy, se = run_ratio(joules, completed)
    undefined = unknown | (completed.sum(axis=0) < MIN_COMPLETED)
    chain = {"energy": energy, "energy_se": se}
    return {name: np.where(undefined, np.nan, values) for name, values in chain.items()}, device


def _knows_power(batch: DeploymentBatch, index: int) -> bool:
    """Return whether the power of any device is known."""
    start = batch.power_start
    first, last = batch.device_start[index], batch.device_start[index + 1]
    return start is not None and bool(start[last] > start[first])


def _power_curves(batch: DeploymentBatch, index: int) -> list[Floats]:
    """Return the watts of each device at evenly spaced utilizations; nothing where unknown."""
    devices = range(int(batch.device_start[index]), int(batch.device_start[index + 1]))
    assert batch.power_start is not None
    assert batch.power_watts is not None
    start, watts = batch.power_start, batch.power_watts
    return [watts[start[d] : start[d + 1]] for d in devices]


def _drawn(curve: Floats, utilization: Floats) -> Floats:
    """Return the watts at given utilizations."""
    if len(curve) == 0:
        return np.full(len(utilization), np.nan)
    return np.interp(utilization, np.linspace(0.0, 1.0, len(curve)), curve)


def _uses(network: Network) -> NDArray[np.bool_]:
    """Return whether each chain has a step on each device [C, D]."""
    uses = np.zeros((network.chains, network.devices), dtype=bool)
    uses[_step_chain(network), network.step_device] = True
    return uses


def _step_chain(network: Network) -> NDArray[np.int64]:
    return np.repeat(np.arange(network.chains), np.diff(network.chain_start))


def _shares(batch: DeploymentBatch, index: int, network: Network, run: Run) -> Floats:
    """Return the part of each device's energy that each chain answers for [C, D]."""
    first = int(batch.step_start[batch.path_start[batch.chain_start[index]]])
    means = batch.step_mean[first : first + network.steps]
    work = np.zeros((network.chains, network.devices))
    places = (_step_chain(network), network.step_device)
    np.add.at(work, places, run.tally.step_served * means)
    work = np.where(work.sum(axis=0) > 0, work, _uses(network))
    total = work.sum(axis=0)
    return np.asarray(work / np.where(total > 0, total, 1.0))
