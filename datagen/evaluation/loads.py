"""Loads of devices, straight from packed deployments: who is overloaded, before any theory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation.batch import DeploymentBatch
from datagen.evaluation.effects import Effect
from datagen.evaluation.fields import ranges

__all__ = [
    "alone_factor",
    "chain_load",
    "fluid_load",
    "never_entered",
    "offered_load",
    "server_rate",
    "step_rates",
    "step_work",
    "unstable",
]

Floats = NDArray[np.float64]

_NONE_PASSES = 1e-100
"""Stands for 0 where a job demands more units than there are, so that its logarithm exists."""

_SETTLED = 1e-12
"""Relative change of a share that is none: a few hundred roundings."""

_ROUNDS = 200
"""Fixed-point rounds of the fluid load; overloaded loops settle geometrically well before."""


def step_rates(batch: DeploymentBatch) -> Floats:
    """Return the arrival rate that each step would have if nothing were lost anywhere.

    Args:
        batch: Packed deployments.

    Returns:
        Arrival rates [1/s] [S].
    """
    chain_of_path = np.repeat(np.arange(len(batch.chain_rate)), batch.counts("path"))
    path_rate = batch.chain_rate[chain_of_path] * batch.path_probability
    return np.asarray(np.repeat(path_rate, batch.counts("step")) * batch.step_reached)


def _share_before(passed: Floats, first: NDArray[np.int64]) -> Floats:
    """Return the share of a path's jobs that get to each step [S].

    Args:
        passed: Share of the jobs at a step that pass it, in (0, 1] [S].
        first: First step of the path of each step [S].
    """
    logs = np.log(passed)
    before = np.cumsum(logs) - logs
    return np.asarray(np.exp(before - before[first]))


def step_work(batch: DeploymentBatch) -> Floats:
    """Return the least time of a device's server that a job takes at each step.

    Args:
        batch: Packed deployments.

    Returns:
        Mean service times [s] [S]; on an accelerator, the share of a sample in the batch size that
        serves most samples per second.
    """
    if batch.table_start is None or batch.table_seconds is None or not len(batch.table_seconds):
        return batch.step_mean
    sizes = np.diff(batch.table_start)
    size = ranges(np.ones_like(sizes), sizes)
    work = batch.step_mean.copy()
    batched = np.flatnonzero(sizes)
    share = batch.table_seconds / size
    work[batched] = np.minimum.reduceat(share, batch.table_start[batched])
    return np.asarray(work)


def _speedups(batch: DeploymentBatch, place: int) -> Floats:
    """Return the first (0) or the last (-1) factor of each device's speed-up table, or 1 [D]."""
    factors = np.ones(len(batch.device_speed))
    if batch.speedup_start is None or batch.speedup_factor is None:
        return factors
    begin, end = batch.speedup_start[:-1], batch.speedup_start[1:]
    has_table = end > begin
    rows = begin if place == 0 else end - 1
    factors[has_table] = batch.speedup_factor[rows[has_table]]
    return factors


def alone_factor(batch: DeploymentBatch) -> Floats:
    """Return the relative speed at which each device serves a job that is alone there.

    Args:
        batch: Packed deployments.

    Returns:
        Factors, 1 but where a speed-up table says otherwise [D].
    """
    return _speedups(batch, 0)


def server_rate(batch: DeploymentBatch) -> Floats:
    """Return the work that each device does per second with all servers busy.

    Args:
        batch: Packed deployments.

    Returns:
        Service times done per second: the servers, times their relative speed together [1] [D].
    """
    return np.asarray(batch.device_servers * _speedups(batch, -1))


def _device_load(batch: DeploymentBatch, rates: Floats) -> Floats:
    work = np.bincount(
        batch.step_device_row, weights=rates * step_work(batch), minlength=len(batch.device_speed)
    )
    return np.asarray(work / server_rate(batch))


def offered_load(batch: DeploymentBatch) -> Floats:
    """Return the load each device would have if nothing were lost anywhere.

    Args:
        batch: Packed deployments.

    Returns:
        Loads in units of what a device's servers do together [D], >= 0.
    """
    return _device_load(batch, step_rates(batch))


def fluid_load(batch: DeploymentBatch) -> Floats:
    """Return the load each device is offered after upstream devices passed what they can serve.

    A device of load a passes min(1, 1/a) of its jobs: the fluid limit of a finite queue. Where
    senders wait for room, it does so of those from outside alone. Branches of one job do not follow
    each other: each is offered all of its chain's jobs.

    Args:
        batch: Packed deployments.

    Returns:
        Loads [D], >= 0.
    """
    rates, device = step_rates(batch), batch.step_device_row
    passed, load = np.ones(len(rates)), _device_load(batch, rates)
    fits = batch.step_demand <= batch.device_capacity[device]
    first = np.repeat(batch.step_start[:-1], batch.counts("step"))
    waits = _follows_by_waiting(batch, first)
    branch = batch.chain_parallel[batch.step_chain] > 0
    for _ in range(_ROUNDS):
        target = np.where(fits, 1.0 / np.maximum(load, 1.0)[device], _NONE_PASSES)
        target[waits] = 1.0
        if (np.abs(target - passed) <= _SETTLED * passed).all():
            break
        passed = 0.5 * (passed + target)  # damped: a loop may otherwise alternate
        load = _device_load(batch, rates * np.where(branch, 1.0, _share_before(passed, first)))
    return load


def _follows_by_waiting(batch: DeploymentBatch, first: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which steps jobs wait for at the step before until there is room [S]."""
    blocks = (batch.effects & int(Effect.BLOCKING)) != 0
    inner = np.arange(len(first)) > first
    return np.asarray(blocks[batch.owner("step")] & inner)


def unstable(batch: DeploymentBatch) -> NDArray[np.bool_]:
    """Tell which deployments have no steady state: an unlimited buffer with load >= 1.

    Where senders wait for room, a buffer of any size with load >= 1 counts if jobs from an
    unlimited one wait for it. There the test is no longer conservative: what senders lose by
    waiting is left out of account.

    The test is conservative. Finite buffers upstream lose a little more than the fluid limit says,
    so a device whose fluid load is just above 1 may in truth be stable; none that is unstable
    passes, but an accelerator whose policy does not reach the batches it serves most by.

    Args:
        batch: Packed deployments.

    Returns:
        Flags [B].
    """
    unlimited = np.isinf(batch.device_capacity)
    if not unlimited.any():
        return np.zeros(len(batch), dtype=bool)
    full = fluid_load(batch) >= 1.0
    over = unlimited & full
    first = np.repeat(batch.step_start[:-1], batch.counts("step"))
    waits = _follows_by_waiting(batch, first)
    if waits.any():
        row = batch.step_device_row
        # Steps with an unlimited buffer somewhere before them on their path.
        fed = np.cumsum(unlimited[row]) - unlimited[row]
        behind = waits & (fed > fed[first]) & full[row]
        over[row[behind]] = True
    return np.bincount(batch.owner("device"), weights=over, minlength=len(batch)) > 0


def never_entered(batch: DeploymentBatch) -> NDArray[np.bool_]:
    """Tell which steps jobs wait for in vain: they demand more units than the device ever has.

    Where nobody waits, such jobs are lost. With ``overflow="block"``, they stay at the device
    before and keep what they hold there: a deadlock as soon as one comes. Only what jobs reach
    counts; those that do not even fit into the first device of their path are lost there.

    Args:
        batch: Packed deployments.

    Returns:
        Flags [S].
    """
    if not np.any(batch.effects & int(Effect.BLOCKING)):
        return np.zeros(len(batch.step_mean), dtype=bool)
    first = np.repeat(batch.step_start[:-1], batch.counts("step"))
    fits = batch.step_demand <= batch.device_capacity[batch.step_device_row]
    alone = batch.chain_parallel[batch.step_chain] == 0  # branches are admitted from outside
    waits = _follows_by_waiting(batch, first) & alone
    return np.asarray(waits & ~fits & fits[first] & (step_rates(batch) > 0))


def chain_load(batch: DeploymentBatch) -> Floats:
    """Return the largest offered load among the devices each chain visits.

    Args:
        batch: Packed deployments.

    Returns:
        Loads [C].
    """
    largest = np.zeros(len(batch.chain_rate))
    np.maximum.at(largest, batch.step_chain, offered_load(batch)[batch.step_device_row])
    return largest
