"""Splits by topology: no network shape is on both sides, and no new row moves an old one.

The hash of a deployment says which chains visit which devices in which order, and nothing else: not
the names, not the order in which devices and chains are listed, no rate, time or capacity. It is
found by colour refinement: devices start alike, every step is coloured by its place and its device,
every chain by its steps, every device by the steps it hosts, and so on until whatever differs has
had time to differ. Shapes that refinement cannot tell apart get one hash and stay on one side,
which is the safe side.

References:
    Weisfeiler and Leman, The reduction of a graph to canonical form, 1968.
    Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014 (the mix).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.evaluation.batch import DeploymentBatch

__all__ = ["held_out", "topology_hash"]

Hashes = NDArray[np.uint64]

ROUNDS = 6
"""Rounds of refinement: what differs in shape is then seen six chains away."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def _mix(values: Hashes) -> Hashes:
    """Scatter 64-bit numbers; equal ones stay equal."""
    mixed = values + _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FACTORS[0]
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _FACTORS[1]
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def _summed(values: Hashes, owner: NDArray[np.int64], size: int) -> Hashes:
    """Add hashes up by owner, modulo 2^64: the order does not matter, how often does."""
    total = np.zeros(size, dtype=np.uint64)
    np.add.at(total, owner, _mix(values))
    return _mix(total)


def topology_hash(batch: DeploymentBatch) -> Hashes:
    """Return a hash of the shape of each deployment.

    Args:
        batch: Packed deployments; laws are not needed.

    Returns:
        Hashes [B], the same whatever devices and chains are called and in whatever order they are
        listed.
    """
    steps = batch.counts("step")
    position = np.arange(len(batch.step_mean)) - np.repeat(batch.step_start[:-1], steps)
    place = _mix(position.astype(np.uint64))
    path = np.repeat(np.arange(len(steps)), steps)
    chain_of_path = np.repeat(np.arange(len(batch.chain_rate)), batch.counts("path"))
    device = np.zeros(len(batch.device_speed), dtype=np.uint64)
    chain = np.zeros(len(batch.chain_rate), dtype=np.uint64)
    for _ in range(ROUNDS):
        step = _mix(place + device[batch.step_device_row])
        along = _summed(step, path, len(steps))
        chain = _summed(along, chain_of_path, len(chain))
        hosted = _mix(step + along[path] + chain[batch.step_chain])
        device = _mix(device + _summed(hosted, batch.step_device_row, len(device)))
    size = len(batch)
    chains = _summed(chain, batch.owner("chain"), size)
    return _mix(chains + _mix(_summed(device, batch.owner("device"), size)))


def held_out(batch: DeploymentBatch, share: float, salt: int = 0) -> NDArray[np.bool_]:
    """Tell which deployments are held out, by their topology alone.

    Small systems come in few shapes, which go to one side as a whole: the share of the rows held
    out may differ much from the share of the shapes.

    Args:
        batch: Packed deployments.
        share: Share of topologies that are held out, in [0, 1].
        salt: Another number gives another split.

    Returns:
        Flags [B].

    Raises:
        InvalidInputError: If the share is outside [0, 1].
    """
    require(0 <= share <= 1, "share", "lie in [0, 1]", share)
    scattered = _mix(topology_hash(batch) ^ _mix(np.array([salt], dtype=np.uint64)))
    return np.asarray(scattered / np.float64(2.0**64) < share)
