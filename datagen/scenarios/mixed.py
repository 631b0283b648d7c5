"""Mixed: effects of all kinds, each in a share of the deployments.

Rate schedules and recordings are left out: they describe one system on one day, not a distribution.
Accelerators are, too: what they batch is a matter of networks and arrays, not of drawn times.
Shared processors, slowed cores, branches and blocking have a scenario of their own, ``contention``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import Arrivals, MarkovArrivals, Periodic, Poisson, Renewal
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment, Link, Problem
from datagen.distributions import (
    Deterministic,
    Empirical,
    Erlang,
    Exponential,
    Gamma,
    HyperExponential,
    Law,
    LogNormal,
    Uniform,
)
from datagen.errors import require
from datagen.evaluation.loads import fluid_load
from datagen.evaluation.packing import pack
from datagen.exits import ContextSwitching, ExitMix, ExitTrace, Thresholds
from datagen.scenarios.base import Range, Scenario, WholeRange, log_uniform, require_range
from datagen.scenarios.bursty import burst_arrivals
from datagen.scenarios.early_exit import drawn_mix

__all__ = ["MixedScenario"]

Rng = np.random.Generator

LAWS: tuple[Callable[[Rng, float], Law], ...] = (
    lambda rng, mean: Exponential(mean=mean),
    lambda rng, mean: Erlang(mean=mean, stages=int(rng.integers(2, 9))),
    lambda rng, mean: Gamma(mean=mean, scv=float(log_uniform(rng, (0.05, 4.0)))),
    lambda rng, mean: HyperExponential(mean=mean, scv=float(log_uniform(rng, (1.0, 10.0)))),
    lambda rng, mean: LogNormal(mean=mean, scv=float(log_uniform(rng, (0.01, 4.0)))),
    lambda rng, mean: Uniform(low=0.5 * mean, high=1.5 * mean),
    lambda rng, mean: Empirical(values=tuple((mean * rng.gamma(4.0, 0.25, 8)).tolist())),
)
"""Service laws of every shape, by their mean; deterministic service is the rule beside them."""

ARRIVALS: tuple[Callable[[Rng, float], Arrivals], ...] = (
    lambda rng, rate: Renewal(mean=1 / rate, scv=float(log_uniform(rng, (0.1, 10.0)))),
    lambda rng, rate: Periodic(period=1 / rate, jitter=float(rng.uniform()) / rate),
    lambda rng, rate: burst_arrivals(rate, float(log_uniform(rng, (2.0, 10.0))), 0.25, 50.0),
    lambda rng, rate: MarkovArrivals(  # an arrival may end the phase: bursts of random length
        d0=((-4 * rate, 0.0), (0.0, -rate * 4 / 7)),
        d1=((3 * rate, rate), (rate / 7, rate * 3 / 7)),
    ),
)
"""Arrival processes that are not Poisson, by their rate."""

EFFECTS = (
    "service",
    "arrivals",
    "servers",
    "unlimited",
    "demand",
    "priority",
    "links",
    "routing",
    "deadline",
    "exits",
)
"""What a deployment may have beyond the plainest network, each on its own."""

STABLE_LOAD = 0.9
"""Load up to which a buffer may be unlimited; above, waiting lines take for ever to settle."""

SEGMENT_OUTPUTS = (1e3, 1e6)
"""Bytes between two fragments, log-uniform, as in CEED's profile."""


HOLDING_JOBS = (10.0, 200.0)
"""Mean jobs of an easy or a difficult time, log-uniform."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MixedScenario(Scenario):
    """Deployments in which effects of all kinds may meet.

    Each of these is in a share ``effects`` of the deployments: random service, general arrivals,
    several servers, unlimited buffers (where the load allows), demands above 1, priorities, links,
    several paths, deadlines, and exits: half by a mix, half by thresholds on a recorded trace, half
    of these with difficult times in which easy samples are rare.
    Paths may come back to a device. All ranges are closed.

    Args:
        effects: Share of deployments that have an effect, each on its own, in [0, 1].
        chains: Number of chains, whole, >= 1, uniform.
        length: Fragments per chain, whole, >= 1, uniform.
        devices: Number of devices, whole, >= 2, uniform.
        speed: Speed of a device, > 0, log-uniform.
        capacity: Buffer of a device in units, whole, >= the largest demand, uniform.
        servers: Servers of a device where there are several, whole, >= 1, uniform.
        demand: Units that a job occupies where it is not 1, whole, >= 1, uniform.
        work: Mean work of a fragment [s at speed 1], > 0, uniform.
        load: Work offered per unit of total speed, > 0, log-uniform.
        rate_spread: Largest ratio of two chains' arrival rates, >= 1.
        bandwidth: Bytes per second of a link, > 0, log-uniform.
        latency: Delay of a link [s], >= 0, uniform.
        deadline: Deadline over the sum of a chain's mean works, > 0, log-uniform.
        samples: Recorded samples of an exit trace, whole, >= 2.
    """

    name: ClassVar[str] = "mixed"
    effects: float = 0.3
    chains: WholeRange = (1, 6)
    length: WholeRange = (1, 6)
    devices: WholeRange = (2, 10)
    speed: Range = (0.25, 4.0)
    capacity: WholeRange = (3, 60)
    servers: WholeRange = (2, 4)
    demand: WholeRange = (1, 3)
    work: Range = (0.02, 2.0)
    load: Range = (0.05, 1.5)
    rate_spread: float = 10.0
    bandwidth: Range = (1e5, 1e8)
    latency: Range = (0.0, 0.05)
    deadline: Range = (1.0, 20.0)
    samples: int = 64

    def __post_init__(self) -> None:
        for field in ("chains", "length", "capacity", "servers", "demand"):
            require_range(field, getattr(self, field), 1, whole=True)
        require_range("devices", self.devices, 2, whole=True)
        require_range("latency", self.latency, 0)
        for field in ("speed", "work", "load", "bandwidth", "deadline"):
            require_range(field, getattr(self, field), 0)
            require(getattr(self, field)[0] > 0, field, "be > 0", getattr(self, field))
        require(0 <= self.effects <= 1, "effects", "lie in [0, 1]", self.effects)
        require(self.rate_spread >= 1, "rate_spread", "be >= 1", self.rate_spread)
        require(self.samples >= 2, "samples", "be >= 2", self.samples)
        fits = self.capacity[0] >= self.demand[1]
        require(fits, "capacity", f"hold the largest demand, {self.demand[1]}", self.capacity)

    def draw(self, rng: np.random.Generator) -> Deployment:
        """Draw a deployment from a stream of its own."""
        return _Drawing(self, rng).deployment()


class _Drawing:
    """One deployment in the making: what is drawn once and used in several places."""

    def __init__(self, scenario: MixedScenario, rng: Rng) -> None:
        self.scenario, self.rng = scenario, rng
        chances = rng.random(len(EFFECTS)) < scenario.effects
        self.has = dict(zip(EFFECTS, chances.tolist(), strict=True))
        self.by_trace = self.has["exits"] and rng.uniform() < 0.5
        self.drifting = self.by_trace and rng.uniform() < 0.5
        self.devices = self._devices()
        count = int(rng.integers(*scenario.chains, endpoint=True))
        self.lengths = rng.integers(*scenario.length, endpoint=True, size=count).tolist()

    def deployment(self) -> Deployment:
        scenario, rng = self.scenario, self.rng
        works = [rng.uniform(*scenario.work, size=length) for length in self.lengths]
        rates = np.exp(rng.uniform(0.0, np.log(scenario.rate_spread), size=len(works)))
        speed = sum(device.speed * device.servers for device in self.devices)
        offered = sum(rate * work.sum() for rate, work in zip(rates, works, strict=True)) / speed
        rates *= float(log_uniform(rng, scenario.load)) / offered
        chains = tuple(
            self._chain(f"c{n}", float(rate), work)
            for n, (rate, work) in enumerate(zip(rates, works, strict=True))
        )
        paths = {chain.name: self._paths(len(chain.fragments)) for chain in chains}
        problem = Problem(
            devices=self.devices, chains=chains, links=self._links(), traces=self._traces()
        )
        made = Deployment(
            problem=problem,
            placement=paths,
            routing={name: self._shares(len(listed)) for name, listed in paths.items()},
            exits={chain.name: self._decision(len(chain.fragments)) for chain in chains}
            if self.has["exits"]
            else {},
        )
        return self._without_limits(made) if self.has["unlimited"] else made

    def _devices(self) -> tuple[Device, ...]:
        scenario, rng = self.scenario, self.rng
        count = int(rng.integers(*scenario.devices, endpoint=True))
        speeds = log_uniform(rng, scenario.speed, count).tolist()
        capacities = rng.integers(*scenario.capacity, endpoint=True, size=count).tolist()
        most = scenario.servers if self.has["servers"] else (1, 1)
        servers = rng.integers(*most, endpoint=True, size=count).tolist()
        discipline: Literal["fcfs", "priority"] = "priority" if self.has["priority"] else "fcfs"
        return tuple(
            Device(
                name=f"d{n}",
                speed=speeds[n],
                capacity=capacities[n],
                servers=servers[n],
                discipline=discipline,
            )
            for n in range(count)
        )

    def _chain(self, name: str, rate: float, works: NDArray[np.float64]) -> Chain:
        rng, has = self.rng, self.has
        deadline = float(log_uniform(rng, self.scenario.deadline)) * float(works.sum())
        last = len(works) - 1
        return Chain(
            name=name,
            arrivals=_one_of(rng, ARRIVALS)(rng, rate) if has["arrivals"] else Poisson(rate=rate),
            fragments=tuple(
                self._fragment(f"f{n}", mean, has["exits"] and n < last)
                for n, mean in enumerate(works.tolist())
            ),
            priority=int(rng.integers(0, 3)) if has["priority"] else 0,
            deadline=deadline if has["deadline"] else None,
            trace=f"t{len(works)}" if self.by_trace else None,
            contexts=self._contexts() if self.drifting else None,
        )

    def _contexts(self) -> ContextSwitching:
        holding = log_uniform(self.rng, HOLDING_JOBS, 2)
        return ContextSwitching(holding=tuple(holding.tolist()), by="jobs")

    def _fragment(self, name: str, mean: float, classifies: bool) -> Fragment:
        rng, has = self.rng, self.has
        law = _one_of(rng, LAWS)(rng, mean) if has["service"] else Deterministic(mean=mean)
        head = Exit(head=Deterministic(mean=0.02 * mean)) if classifies else None
        demand = int(rng.integers(*self.scenario.demand, endpoint=True)) if has["demand"] else 1
        output = float(log_uniform(rng, SEGMENT_OUTPUTS)) if has["links"] else 0.0
        return Fragment(name=name, service=law, demand=demand, output=output, exit=head)

    def _paths(self, length: int) -> tuple[tuple[str, ...], ...]:
        count = 2 if self.has["routing"] else 1
        hosts = self.rng.integers(len(self.devices), size=(count, length)).tolist()
        return tuple(tuple(f"d{host}" for host in path) for path in hosts)

    def _shares(self, count: int) -> tuple[float, ...]:
        first = float(self.rng.uniform(0.1, 0.9))
        return (first, 1.0 - first) if count == 2 else (1.0,)

    def _links(self) -> tuple[Link, ...]:
        if not self.has["links"]:
            return ()
        names = [device.name for device in self.devices]
        return tuple(
            Link(
                source=source,
                target=target,
                bandwidth=float(log_uniform(self.rng, self.scenario.bandwidth)),
                latency=float(self.rng.uniform(*self.scenario.latency)),
                release="sent" if self.rng.uniform() < 0.5 else "start",
            )
            for source in names
            for target in names
            if source != target
        )

    def _traces(self) -> tuple[ExitTrace, ...]:
        if not self.by_trace:
            return ()
        return tuple(
            _trace(self.rng, f"t{exits}", self.scenario.samples, exits)
            for exits in sorted(set(self.lengths))
        )

    def _decision(self, exits: int) -> ExitMix | Thresholds:
        if self.by_trace:
            return Thresholds(tau=tuple(self.rng.uniform(0.3, 1.1, exits - 1).tolist()))
        accuracy = np.sort(self.rng.uniform(0.5, 0.98, exits))
        return ExitMix(p=drawn_mix(self.rng, exits, (0.2, 5.0)), accuracy=tuple(accuracy.tolist()))

    def _without_limits(self, made: Deployment) -> Deployment:
        """Lift the limit of half of the buffers that stay in balance without it."""
        load = fluid_load(pack([made]))
        lifted = (load < STABLE_LOAD) & (self.rng.random(len(load)) < 0.5)
        devices = tuple(
            replace(device, capacity=None) if lift else device
            for device, lift in zip(self.devices, lifted.tolist(), strict=True)
        )
        free = replace(made, problem=replace(made.problem, devices=devices))
        # Without losses upstream more work arrives: what then is too much keeps its limits.
        over = fluid_load(pack([free])) >= STABLE_LOAD
        return made if bool((over & lifted).any()) else free


def _one_of(rng: Rng, choices: tuple[Callable[[Rng, float], Any], ...]) -> Callable[..., Any]:
    return choices[int(rng.integers(len(choices)))]


def _trace(rng: Rng, name: str, samples: int, exits: int) -> ExitTrace:
    """Make up a recording: easier samples are surer at every exit, and later exits are surer.

    How sure a classifier is, is how often it is right: it is calibrated. Context 0 holds the easier
    half of the samples and context 1 the other.
    """
    ease = rng.uniform(size=(samples, 1))
    depth = np.linspace(0.3, 1.0, exits)
    noise = rng.uniform(0.8, 1.2, (samples, exits))
    confidences = np.clip(np.sqrt(ease) * np.sqrt(depth) * noise, 0.1, 1.0)
    return ExitTrace(
        name=name,
        confidences=confidences,
        correct=rng.uniform(size=(samples, exits)) < confidences,
        context=(ease[:, 0] < np.sort(ease[:, 0])[samples // 2]).astype(np.int64),
    )
