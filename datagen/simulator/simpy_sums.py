"""What the readable engine counts, where it counts it: at chains, steps, routes and devices.

Adding to a number of an object is several times faster than adding to an element of an array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from datagen.simulator.contention import NO_LINK
from datagen.simulator.network import Network
from datagen.simulator.simpy_accelerators import visits
from datagen.simulator.simpy_devices import Device
from datagen.simulator.tally import BATCHES, HISTOGRAM_BINS, Tally, latency_bin

__all__ = ["ChainSums", "Route", "Step", "routes", "tally_of"]


@dataclass(slots=True)
class ChainSums:
    """Sums over the cohort of one chain; the lists have a number per batch.

    Args:
        deadline: Latency to meet [s]; NaN if none.
    """

    deadline: float
    offered: list[int] = field(default_factory=lambda: [0] * BATCHES)
    completed: list[int] = field(default_factory=lambda: [0] * BATCHES)
    lost: list[int] = field(default_factory=lambda: [0] * BATCHES)
    latency: list[float] = field(default_factory=lambda: [0.0] * BATCHES)
    on_time: int = 0
    histogram: list[int] = field(default_factory=lambda: [0] * HISTOGRAM_BINS)

    def complete(self, batch: int, latency: float) -> None:
        """Count a job that has passed its last step."""
        self.completed[batch] += 1
        self.latency[batch] += latency
        self.histogram[latency_bin(latency)] += 1
        self.on_time += latency <= self.deadline


@dataclass(kw_only=True, slots=True)
class Step:
    """One step of a path, and the sums over the cohort there.

    Args:
        place: Its place among the drawn service times of the chain.
        device: Where it is served.
        demand: Units it takes there.
        delay: Time that a job travels afterwards [s].
        kept: Units that it keeps meanwhile.
        line: Line of the accelerator that runs it, or None.
        stays: Whether the next step belongs to the same visit to that accelerator.
        link: Number of the link that a job queues for afterwards, or None.
        asks: Whether it is admitted ahead before it is sent there.
    """

    place: int
    device: Device
    demand: float
    delay: float
    kept: float
    line: int | None = None
    stays: bool = False
    link: int | None = None
    asks: bool = False
    offered: int = 0
    lost: int = 0
    served: int = 0
    sojourn: float = 0.0
    sojourn_completed: float = 0.0


@dataclass(slots=True)
class Route:
    """The steps of a path up to an exit, and the jobs of the cohort that completed on it."""

    steps: list[Step]
    completed: int = 0

    @property
    def last(self) -> int:
        """Its last step, counted from 0."""
        return len(self.steps) - 1

    def complete(self, sojourns: Sequence[float]) -> None:
        """Count a job that has passed its last step, by its time at each [s]."""
        self.completed += 1
        for step, sojourn in zip(self.steps, sojourns, strict=True):
            step.sojourn_completed += sojourn


@dataclass(slots=True)
class Join:
    """A job that runs in branches.

    Args:
        branches: Number of branches.
    """

    branches: int
    running: int = 0
    failed: bool = False
    sojourns: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.sojourns = [0.0] * self.branches

    def ends(self, branch: int, sojourn: float) -> bool:
        """Let a branch end after some time [s]; return whether that completes the job."""
        self.sojourns[branch] = sojourn
        self.running -= 1
        return self.running == 0 and not self.failed


def routes(network: Network, devices: list[Device]) -> tuple[list[Step], list[list[Route]]]:
    """Return the steps of a network, and the routes of each chain over them.

    Args:
        network: The network.
        devices: Its devices.

    Returns:
        Every step, and a list of routes per chain.
    """
    starts, features = network.chain_start, network.features
    place = np.arange(network.steps) - np.repeat(starts[:-1], np.diff(starts))
    delay = np.zeros(network.steps) if features is None else features.step_delay
    kept = np.zeros(network.steps) if features is None else features.step_held * network.step_demand
    contention = network.contention
    link = np.full(network.steps, NO_LINK) if contention is None else contention.step_link
    asks = np.zeros(network.steps, bool) if contention is None else contention.step_asks
    columns = (place, network.step_device, network.step_demand, delay, kept, link, asks)
    steps = [
        Step(
            place=at,
            device=devices[device],
            demand=demand,
            delay=seconds,
            kept=units,
            line=line,
            stays=stays,
            link=None if queue == NO_LINK else queue,
            asks=first,
        )
        for (at, device, demand, seconds, units, queue, first), (line, stays) in zip(
            zip(*(column.tolist() for column in columns), strict=True),
            visits(network),
            strict=True,
        )
    ]
    if features is None:
        return steps, [[Route(steps[a:b])] for a, b in pairwise(starts.tolist())]
    ends = features.route_first + features.route_steps
    every = [Route(steps[a:b]) for a, b in zip(features.route_first, ends, strict=True)]
    return steps, [every[a:b] for a, b in pairwise(features.chain_route.tolist())]


def tally_of(chains: list[ChainSums], steps: list[Step], devices: list[Device]) -> Tally:
    """Return everything that was counted.

    Args:
        chains: Sums of each chain.
        steps: Those of each step.
        devices: Those of each device.

    Returns:
        The tally.
    """
    return Tally(
        offered=np.array([chain.offered for chain in chains]),
        completed=np.array([chain.completed for chain in chains]),
        lost=np.array([chain.lost for chain in chains]),
        latency=np.array([chain.latency for chain in chains]),
        on_time=np.array([chain.on_time for chain in chains]),
        histogram=np.array([chain.histogram for chain in chains]),
        step_offered=np.array([step.offered for step in steps]),
        step_lost=np.array([step.lost for step in steps]),
        step_served=np.array([step.served for step in steps]),
        step_sojourn=np.array([step.sojourn for step in steps]),
        step_sojourn_completed=np.array([step.sojourn_completed for step in steps]),
        busy=np.array([device.busy_area for device in devices]),
        jobs=np.array([device.job_area for device in devices]),
        units=np.array([device.unit_area for device in devices]),
    )
