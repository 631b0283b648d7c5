"""Hops that several steps share: which jobs come to a device in a file, already spaced out.

A *hop* is an ordered pair of devices, one step after the other. Two jobs that make the same hop
left the same server one after the other, so the follower comes at least one of its own services
behind its leader. Such jobs meet a shorter line than jobs from different places, and the
decomposition has to know which those are. Everything here is known from the placement alone, hence
plain NumPy, at most once per batch: only the differentiable prior asks for it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datagen.evaluation.fields import ranges

__all__ = ["Hops", "shared_hops"]

Index = NDArray[np.int64]


class Hops(NamedTuple):
    """Hops of a batch, and the pairs of steps that end the same hop.

    Args:
        step_hop: Hop that ends at each step [S]; ``number`` at the first step of a flow.
        number: Number of hops, the ordered pairs of devices that some flow visits in turn.
        leader: Step of the job in front, by pair [Q].
        follower: Step of the job behind, by pair [Q]; a step also follows itself.
        before: The pair of both previous steps, where these share a hop as well, else Q [Q].
    """

    step_hop: Tensor
    number: int
    leader: Tensor
    follower: Tensor
    before: Tensor

    def to(self, device: torch.device | str) -> Hops:
        """Return the same hops on another device.

        Args:
            device: Torch device.

        Returns:
            The moved hops.
        """
        return Hops(
            step_hop=self.step_hop.to(device),
            number=self.number,
            leader=self.leader.to(device),
            follower=self.follower.to(device),
            before=self.before.to(device),
        )


def shared_hops(device: Index, previous: Index, position: Index, devices: int) -> Hops:
    """Find the hops of a batch.

    Args:
        device: Device of each step [S].
        previous: The step before in its flow [S]; any at position 0.
        position: 0-based position in the flow [S].
        devices: Number of devices.

    Returns:
        The hops and their pairs, on the CPU.
    """
    inner = np.flatnonzero(position > 0)
    hop = device[previous[inner]] * devices + device[inner]
    order = np.argsort(hop, kind="stable")
    inner, hop = inner[order], hop[order]
    starts = np.flatnonzero(np.diff(hop, prepend=-1))
    members = np.diff(starts, append=len(hop))
    number = np.repeat(np.arange(len(starts)), members)
    step_hop = np.full(len(device), len(starts), dtype=np.int64)
    step_hop[inner] = number
    partners = members[number]
    follower = np.repeat(inner, partners)
    leader = inner[ranges(starts[number], partners)]
    return Hops(
        step_hop=torch.from_numpy(step_hop),
        number=len(starts),
        leader=torch.from_numpy(leader),
        follower=torch.from_numpy(follower),
        before=torch.from_numpy(_pairs_before(leader, follower, previous, len(device))),
    )


def _pairs_before(leader: Index, follower: Index, previous: Index, steps: int) -> Index:
    """Return the pair of both previous steps, or Q where they share no hop [Q]."""
    pairs = len(leader)
    if pairs == 0:
        return np.zeros(0, dtype=np.int64)
    key = leader * steps + follower
    order = np.argsort(key)
    wanted = previous[leader] * steps + previous[follower]
    place = np.minimum(np.searchsorted(key[order], wanted), pairs - 1)
    found = order[place]
    return np.where(key[found] == wanted, found, pairs)
