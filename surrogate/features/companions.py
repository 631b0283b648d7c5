"""Companions: steps at one device whose flows come through a common earlier device.

Jobs that leave a device come out of it one after the other, at least one service apart. If two
flows part there and meet again, what happened to the offset between their jobs on the way decides
who finds the place that the last departure left: the one that comes right behind the other finds
the buffer full. Such losses differ by tens of percent between flows that look alike step by step,
and no decomposition into independent streams tells them apart.

Say flows i and j leave device X with services m_i and m_j and take the times t_i and t_j from there
to the device where they meet. No job of flow j leaves X within m_i before or m_j after one of flow
i. So seen from the arrival of a job of flow i, none of flow j has come in between t_i - t_j - m_j
and t_i - t_j + m_i ago, and often one has come right at an end of that gap.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from surrogate.features.companion_kernel import companion_pairs

__all__ = ["Companions", "companions"]

Index = NDArray[np.int64]


class Companions(NamedTuple):
    """Ordered pairs of steps at one device, with the last common device their flows come through.

    Args:
        step: The step that has a companion, by pair [Q].
        companion: Another step at its device [Q].
        step_common: The step of the first one's flow at the common device [Q].
        companion_common: That of the companion's flow [Q].
    """

    step: Tensor
    companion: Tensor
    step_common: Tensor
    companion_common: Tensor

    def to(self, device: torch.device | str) -> Companions:
        """Return the same pairs on another device.

        Args:
            device: Torch device.

        Returns:
            The moved pairs.
        """
        return Companions(*(values.to(device) for values in self))


def companions(device: Index, previous: Index, position: Index, devices: int) -> Companions:
    """Find the companions of a batch, known from the placement alone.

    Args:
        device: Device of each step [S].
        previous: The step before in its flow [S]; any at position 0.
        position: 0-based position in the flow [S].
        devices: Number of devices.

    Returns:
        The pairs, on the CPU.
    """
    members = np.bincount(device, minlength=devices)
    found = np.empty((4, int((members * (members - 1)).sum())), dtype=np.int64)
    pairs = companion_pairs(
        device,
        previous,
        position,
        np.concatenate([[0], np.cumsum(members)]),
        np.argsort(device, kind="stable"),
        np.empty(devices, dtype=np.int64),
        np.full(devices, -1, dtype=np.int64),
        found,
    )
    return Companions(*(torch.from_numpy(rows) for rows in found[:, :pairs].copy()))
