"""Devices whose jobs change pace: how fast each is served, by how many are.

With n jobs in service, each is served at a relative speed r(n): that of the device's speed-up table
while there is a server for each, and an equal share of what all servers do together where
processor sharing takes in more. In *virtual time*, which runs at r(n), a service that begins at
virtual time v with work w ends at v + w whatever comes and goes, so the order in which jobs end is
known when they begin, and only the next end has to be kept in real time.

Reference:
    Parekh and Gallager, A generalized processor sharing approach to flow control in integrated
    services networks, IEEE/ACM Transactions on Networking 1, 1993 (virtual time).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import DISCIPLINES
from datagen.evaluation import DeploymentBatch, Effect

__all__ = ["SHARING_EFFECTS", "Sharing", "no_sharing", "sharing_of"]

SHARING_EFFECTS = Effect.PROCESSOR_SHARING | Effect.SPEEDUP
"""Effects of devices whose jobs change pace."""


class Sharing(NamedTuple):
    """The devices of a network whose jobs change pace.

    Args:
        shares: Whether the jobs of a device change pace [D].
        welcomes: Whether such a device serves everybody at once, instead of one per server [D].
        members: The devices that share, in order [P].
        pace: Relative speed of each job with 1, 2, ... of them in service, up to the most servers
            of any device [D, servers].
        together: Relative speed of all servers together, divided among more jobs [D].
    """

    shares: NDArray[np.bool_]
    welcomes: NDArray[np.bool_]
    members: NDArray[np.int64]
    pace: NDArray[np.float64]
    together: NDArray[np.float64]


def sharing_of(batch: DeploymentBatch, index: int) -> Sharing:
    """Return how the devices of a deployment share.

    Args:
        batch: Packed deployments.
        index: 0-based deployment, one with such devices.

    Returns:
        Arrays for the engines.
    """
    devices = slice(batch.device_start[index], batch.device_start[index + 1])
    servers = batch.device_servers[devices].astype(np.int64)
    welcomes = batch.device_discipline[devices] == DISCIPLINES.index("ps")
    pace = np.ones((len(servers), int(servers.max())))
    has_table = np.zeros(len(servers), dtype=bool)
    if batch.speedup_start is not None and batch.speedup_factor is not None:
        start = batch.speedup_start[devices.start : devices.stop + 1]
        has_table = np.diff(start) > 0
        for device in np.flatnonzero(has_table):
            table = batch.speedup_factor[start[device] : start[device + 1]]
            pace[device, : len(table)] = table
    shares = welcomes | has_table
    return Sharing(
        shares=shares,
        welcomes=welcomes,
        members=np.flatnonzero(shares),
        pace=pace,
        together=servers * pace[np.arange(len(servers)), servers - 1],
    )


def no_sharing(servers: NDArray[np.int64]) -> Sharing:
    """Return that no device of a network shares.

    Args:
        servers: Servers per device [D].

    Returns:
        Arrays for a loop that was compiled with sharing devices in mind.
    """
    none = np.zeros(len(servers), dtype=bool)
    return Sharing(
        shares=none,
        welcomes=none.copy(),
        members=np.empty(0, dtype=np.int64),
        pace=np.ones((len(servers), 1)),
        together=servers.astype(np.float64),
    )
