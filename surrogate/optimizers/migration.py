"""What it takes to turn one placement into another: bytes moved, and requests refused meanwhile.

A fragment moves by sending its weights from its old device to the new one, over their link where
there is one, but never faster than ``bandwidth``. Moves go one after another, chain by chain: they
share a network, and a chain is then away for as short as can be. While fragments of a chain are on
their way, its new requests are refused; those inside finish where they are. Memory has to hold what
lies on a device in the end; that two fragments which change places might not both fit meanwhile is
left to whoever carries the moves out. D devices, F slots.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.errors import NotSupportedError, require
from surrogate.optimizers.space import Placements, PlacementSpace

__all__ = ["Migration", "Move", "Outage"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A fragment that moves.

    Args:
        chain: Its chain.
        fragment: Its name.
        source: Device that it leaves.
        target: Device that it goes to.
        bytes: Weights that are sent.
        seconds: How long that takes [s].
    """

    chain: str
    fragment: str
    source: str
    target: str
    bytes: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outage:
    """Time during which the new requests of a chain are refused, from the first move on.

    Args:
        chain: The chain.
        start: When it begins [s].
        end: When it ends [s].
    """

    chain: str
    start: float
    end: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


class Migration:
    """The moves from one placement to others of the same problem.

    Args:
        space: The placements; its own is the one that is left.
        bandwidth: Bytes per second of a move, > 0.

    Raises:
        NotSupportedError: If a chain has several paths: requests could be sent around what moves.
        InvalidInputError: If the bandwidth is not positive.
    """

    def __init__(self, space: PlacementSpace, bandwidth: float) -> None:
        require(bandwidth > 0, "bandwidth", "be > 0", bandwidth)
        for chain, paths in zip(
            space.base.problem.chains, space.tables.path_counts.tolist(), strict=True
        ):
            if paths > 1:
                raise NotSupportedError("reconfigure", f"{chain.name}.placement with {paths} paths")
        self.space = space
        self.start = space.start
        links = space.tables.links
        here = self.start
        line = np.minimum(links.bandwidth[here], bandwidth)  # [F, D]
        moved = np.arange(space.devices) != here[:, None]
        self._bytes: Floats = np.where(moved, space.weights[:, None], 0.0)
        self._seconds: Floats = np.where(moved, links.latency[here] + self._bytes / line, 0.0)
        self._chain = np.array([chain for chain, _ in space.tables.slots])
        self._rate: Floats = space.tables.chains["chain_rate"][self._chain]

    def bytes(self, placement: Placements) -> Floats:
        """Return what has to be sent.

        Args:
            placement: Device index per slot [B, F].

        Returns:
            Bytes [B].
        """
        return np.asarray(self._bytes[np.arange(self.space.slots), placement].sum(axis=1))

    def refused(self, placement: Placements) -> Floats:
        """Return how many requests are expected to come while their chain is away.

        Args:
            placement: Device index per slot [B, F].

        Returns:
            Requests [B].
        """
        seconds = self._seconds[np.arange(self.space.slots), placement]
        return np.asarray((self._rate * seconds).sum(axis=1))

    def moves(self, placement: Placements) -> tuple[Move, ...]:
        """Return the moves to a placement, in the order in which they are made.

        Args:
            placement: Device index per slot [F].

        Returns:
            One entry per fragment that changes its device.
        """
        problem = self.space.base.problem
        found = []
        for slot in np.flatnonzero(placement != self.start).tolist():
            chain, fragment = self.space.tables.slots[slot]
            target = int(placement[slot])
            found.append(
                Move(
                    chain=problem.chains[chain].name,
                    fragment=problem.chains[chain].fragments[fragment].name,
                    source=problem.devices[int(self.start[slot])].name,
                    target=problem.devices[target].name,
                    bytes=float(self._bytes[slot, target]),
                    seconds=float(self._seconds[slot, target]),
                )
            )
        return tuple(found)

    def outages(self, placement: Placements) -> tuple[Outage, ...]:
        """Return when which chain is away.

        Args:
            placement: Device index per slot [F].

        Returns:
            One entry per chain that moves anything, one after the other from time 0 on.
        """
        found: list[Outage] = []
        for move in self.moves(placement):
            now = found[-1].end if found else 0.0
            begun = found[-1].start if found and found[-1].chain == move.chain else now
            if begun < now:
                found.pop()
            found.append(Outage(chain=move.chain, start=begun, end=now + move.seconds))
        return tuple(found)
