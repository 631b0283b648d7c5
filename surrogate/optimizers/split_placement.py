"""Placement of the pieces of split tasks through the gradient of a frozen surrogate.

A surrogate knows steady states, and a task comes once. The *twin* of the present moment is a
deployment whose steady state is that moment: what a host still has to do, a backlog of b seconds,
becomes a stream of jobs on that host at half load whose service takes 2b. By Pollaczek and
Khinchine, whoever comes then waits for load * service / (2 * (1 - load)) = b on average. The piece
to be placed is a stream of its own, so thin that it adds no load, and its mean latency in the twin
is what it would meet.

One gradient says what moving the piece to any host would change
(:mod:`surrogate.optimizers.sensitivity`: hard forward, soft backward); the most promising hosts are
predicted, and the best one seen is kept. The pieces of a task are placed one after the other, each
a part of the backlog for the next.

References:
    Tuli, Casale and Jennings, SplitPlace, IEEE Transactions on Mobile Computing 2023 (placement by
    the gradient of a surrogate with respect to its input).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic
from datagen.errors import require
from datagen.splitting.placers import LeastLoaded, Placer
from surrogate.evaluator import SurrogateEvaluator
from surrogate.optimizers.objective import Latency
from surrogate.optimizers.sensitivity import move_effects
from surrogate.optimizers.space import PlacementSpace

__all__ = ["GradientPlacer"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HALF = 0.5
"""Load of a stream that stands for a backlog: half way between idle and saturated."""

THIN = 0.02
"""Load of the stream that stands for the piece, on the host where it takes longest."""

ROOM = 20
"""Jobs that a host of the twin holds: enough that half load loses none."""

NEGLIGIBLE = 0.01
"""Backlog below this part of the piece's shortest time that counts as none."""

PIECE = "piece"


class GradientPlacer(Placer):
    """Follows the gradient of a surrogate from a start, one host per piece.

    Args:
        surrogate: The surrogate, which stays as it is.
        start: Places pieces to begin with; least-loaded if None.
        tried: Hosts predicted besides that of the start, >= 1, in the order of the gradient.

    Raises:
        InvalidInputError: If ``tried`` is out of range.
    """

    def __init__(
        self, surrogate: SurrogateEvaluator, start: Placer | None = None, *, tried: int = 3
    ) -> None:
        require(tried >= 1, "tried", "be >= 1", tried)
        self._evaluator = surrogate.without_details()
        self._network = surrogate.release.network
        self._start, self.tried = start or LeastLoaded(), tried
        self._objective = Latency(weights={PIECE: 1.0})

    def place(self, seconds: Floats, backlog: Floats) -> Ints:
        waiting = backlog.copy()
        hosts = np.empty(len(seconds), dtype=np.int64)
        for piece, own in enumerate(seconds):
            first = int(self._start.place(own[None], waiting)[0])
            hosts[piece] = self._placed(own, waiting, first)
            waiting[hosts[piece]] += own[hosts[piece]]
        return hosts

    def _placed(self, seconds: Floats, backlog: Floats, first: int) -> int:
        """Return the host of one piece."""
        space = PlacementSpace(twin(seconds, backlog, first))
        effects = move_effects(self._network, self._objective, space, space.start[None])
        ranked = np.argsort(effects[0, -1], kind="stable")[: min(self.tried, len(seconds) - 1)]
        candidates = np.append(first, ranked)
        rows = np.tile(space.start, (len(candidates), 1))
        rows[:, -1] = candidates
        measures = self._evaluator.evaluate(space.candidates(rows))
        return int(candidates[np.argmin(self._objective.values(measures))])


def twin(seconds: Floats, backlog: Floats, host: int) -> Deployment:
    """Return the deployment whose steady state is the present moment.

    Args:
        seconds: Time of the piece on each host [s] [H], > 0.
        backlog: What each host still has to do [s] [H], >= 0.
        host: Where the piece is.

    Returns:
        A deployment with a stream per host that is busy, and the piece's own last.
    """
    names = [f"host{index}" for index in range(len(seconds))]
    busy = np.flatnonzero(backlog > NEGLIGIBLE * seconds.min()).tolist()
    chains = [_backlog(names[index], float(backlog[index])) for index in busy]
    times = {name: Deterministic(mean=float(t)) for name, t in zip(names, seconds, strict=True)}
    chains.append(
        Chain(
            name=PIECE,
            arrivals=Poisson(rate=THIN / float(seconds.max())),
            fragments=(Fragment(name=PIECE, service=times),),
        )
    )
    placement = {chain.name: ((chain.name,),) for chain in chains[:-1]}
    placement[PIECE] = ((names[host],),)
    devices = tuple(Device(name=name, capacity=ROOM) for name in names)
    return Deployment(problem=Problem(devices=devices, chains=tuple(chains)), placement=placement)


def _backlog(host: str, seconds: float) -> Chain:
    """Return the stream behind which one waits for so many seconds on average."""
    service = 2.0 * seconds * (1.0 - HALF) / HALF
    fragment = Fragment(name=host, service=Deterministic(mean=service), allowed=(host,))
    return Chain(name=host, arrivals=Poisson(rate=HALF / service), fragments=(fragment,))
