"""An engine that tells somebody after every run, so that long simulations show their progress."""

from __future__ import annotations

from collections.abc import Callable

from datagen.simulator.engine import Engine, Run
from datagen.simulator.network import Network
from datagen.simulator.randomness import ChainDraws
from datagen.simulator.tally import RunLength

__all__ = ["WatchedEngine"]


class WatchedEngine(Engine):
    """Plays what another engine plays.

    Args:
        inner: Who plays.
        told: Called after every run.
    """

    def __init__(self, inner: Engine, told: Callable[[], object]) -> None:
        self.name = inner.name
        self._inner, self._told = inner, told

    def run(
        self, network: Network, sources: list[ChainDraws], length: RunLength, *, log: bool = False
    ) -> Run:
        run = self._inner.run(network, sources, length, log=log)
        self._told()
        return run
