"""One deployment as the engines see it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import DISCIPLINES
from datagen.errors import require
from datagen.evaluation import DeploymentBatch, Effect
from datagen.evaluation.loads import step_rates
from datagen.simulator.batching import Batching, batching_of
from datagen.simulator.contention import Contention, contention_of
from datagen.simulator.covered import FEATURE_EFFECTS, refuse_unplayed
from datagen.simulator.keys import MAX_CHAINS, MAX_STEPS
from datagen.simulator.sharing import SHARING_EFFECTS, Sharing, sharing_of

__all__ = ["Features", "Network", "networks"]


class Features(NamedTuple):
    """What only some networks have; those without any are played by a loop compiled without it.

    Args:
        prioritized: Whether a device serves higher classes first [D].
        chain_class: Rank of each chain's priority, 0 for the highest [C].
        step_delay: Time a job travels after each step [s] [S].
        step_held: Whether it keeps its units meanwhile [S].
        chain_route: First route of each chain, and the total [C + 1].
        route_first: First step of each route [R].
        route_steps: Number of its steps [R].
        route_accuracy: Share of right answers of the jobs that complete on it; NaN unknown [R].
    """

    prioritized: NDArray[np.bool_]
    chain_class: NDArray[np.int64]
    step_delay: NDArray[np.float64]
    step_held: NDArray[np.bool_]
    chain_route: NDArray[np.int64]
    route_first: NDArray[np.int64]
    route_steps: NDArray[np.int64]
    route_accuracy: NDArray[np.float64]


class Network(NamedTuple):
    """A queueing network: stations with finite buffers and chains of steps.

    Args:
        servers: Servers per device [D].
        capacity: Buffer units per device, those in service included; inf if unlimited [D].
        chain_start: First step of each chain, its paths one after the other, and the total
            [C + 1].
        step_device: Device of each step [S].
        step_demand: Buffer units a job occupies at each step [S].
        deadline: Latency to meet per chain [s]; NaN if none [C].
        features: What else it has, or None.
        batching: Its accelerators, or None; where it has some, it has features.
        sharing: Its devices whose jobs change pace, or None; likewise.
        contention: What else its jobs wait for, or None; likewise.
    """

    servers: NDArray[np.int64]
    capacity: NDArray[np.float64]
    chain_start: NDArray[np.int64]
    step_device: NDArray[np.int64]
    step_demand: NDArray[np.float64]
    deadline: NDArray[np.float64]
    features: Features | None = None
    batching: Batching | None = None
    sharing: Sharing | None = None
    contention: Contention | None = None

    @property
    def devices(self) -> int:
        """Number of devices."""
        return len(self.servers)

    @property
    def chains(self) -> int:
        """Number of chains."""
        return len(self.chain_start) - 1

    @property
    def steps(self) -> int:
        """Number of steps over all chains."""
        return len(self.step_device)

    @property
    def routes(self) -> int:
        """Number of routes over all chains."""
        return self.chains if self.features is None else len(self.features.route_steps)

    @property
    def longest(self) -> int:
        """Steps of the longest route."""
        if self.features is None:
            return int(np.diff(self.chain_start).max())
        return int(self.features.route_steps.max())

    @property
    def classes(self) -> int:
        """Number of priority classes."""
        return 1 if self.features is None else int(self.features.chain_class.max()) + 1


def networks(batch: DeploymentBatch, engine: str) -> list[Network]:
    """Return every deployment of a batch as a network.

    Args:
        batch: Packed deployments.
        engine: Name of the engine, for messages.

    Returns:
        One network per deployment. Its arrays may be written to: numba compiles a loop for each mix
        of writable and read-only arrays that it meets, and those of a batch are read-only.

    Raises:
        NotSupportedError: If a deployment uses what the engines do not play.
    """
    refuse_unplayed(engine, batch)
    chains, steps = batch.counts("chain"), batch.counts("step")
    most = int(chains.max(initial=0))
    require(most < MAX_CHAINS, "chains", f"number less than {MAX_CHAINS}", most)
    longest = int(steps.max(initial=0))
    require(longest < MAX_STEPS, "steps of a chain", f"number less than {MAX_STEPS}", longest)
    has_npu = batch.effects & int(Effect.NPU) != 0
    rates = step_rates(batch) if has_npu.any() else None
    return [_network(batch, index, rates if npu else None) for index, npu in enumerate(has_npu)]


def _network(batch: DeploymentBatch, index: int, rates: NDArray[np.float64] | None) -> Network:
    """Return one deployment; rates of the batch's steps [1/s] where it has accelerators [S]."""
    devices = slice(batch.device_start[index], batch.device_start[index + 1])
    first, last = batch.chain_start[index], batch.chain_start[index + 1]
    offsets = batch.step_start[batch.path_start[first : last + 1]]
    steps = slice(offsets[0], offsets[-1])
    return Network(
        servers=batch.device_servers[devices].astype(np.int64),
        capacity=batch.device_capacity[devices].copy(),
        chain_start=offsets - offsets[0],
        step_device=batch.step_device[steps].astype(np.int64),
        step_demand=batch.step_demand[steps].copy(),
        deadline=batch.chain_deadline[first:last].copy(),
        features=_features(batch, index, steps)
        if batch.effects[index] & int(FEATURE_EFFECTS)
        else None,
        batching=None if rates is None else batching_of(batch, index, rates),
        sharing=sharing_of(batch, index) if batch.effects[index] & int(SHARING_EFFECTS) else None,
        contention=contention_of(batch, index, steps),
    )


def _features(batch: DeploymentBatch, index: int, steps: slice) -> Features:
    devices = slice(batch.device_start[index], batch.device_start[index + 1])
    chains = slice(batch.chain_start[index], batch.chain_start[index + 1])
    chain_route, route_first, route_steps, route_accuracy = _routes(batch, chains)
    ranks = np.unique(-batch.chain_priority[chains], return_inverse=True)[1]
    return Features(
        prioritized=batch.device_discipline[devices] == DISCIPLINES.index("priority"),
        chain_class=ranks.astype(np.int64),
        step_delay=batch.step_delay[steps].copy(),
        step_held=(batch.step_delay[steps] > 0) & (batch.step_release[steps] == 0),
        chain_route=chain_route,
        route_first=route_first,
        route_steps=route_steps,
        route_accuracy=route_accuracy,
    )


def _routes(
    batch: DeploymentBatch, chains: slice
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return where the routes of each chain begin, and their first step, steps and accuracy.

    A route is a path and an exit; it ends with the step that holds the exit's fragment.
    """
    assert batch.exit_start is not None
    assert batch.exit_fragment is not None
    assert batch.exit_accuracy is not None
    assert batch.fragment_start is not None
    counts, rows = [], []
    origin = batch.step_start[batch.path_start[chains.start]]
    for row in range(chains.start, chains.stop):
        exits = slice(batch.exit_start[row], batch.exit_start[row + 1])
        paths = range(int(batch.path_start[row]), int(batch.path_start[row + 1]))
        counts.append(len(paths) * max(exits.stop - exits.start, 1))
        for path in paths:
            first, stop = batch.step_start[path], batch.step_start[path + 1]
            begin = batch.fragment_start[first:stop] - batch.fragment_start[first]
            if exits.start == exits.stop:
                rows.append((first - origin, stop - first, np.nan))
            steps = np.searchsorted(begin, batch.exit_fragment[exits], side="right")
            accuracies = batch.exit_accuracy[exits]
            rows.extend((first - origin, *way) for way in zip(steps, accuracies, strict=True))
    first_step, steps_, accuracy = zip(*rows, strict=True)
    return (
        np.cumsum([0, *counts]),
        np.array(first_step, dtype=np.int64),
        np.array(steps_, dtype=np.int64),
        np.array(accuracy, dtype=np.float64),
    )
