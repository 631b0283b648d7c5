"""Random deployments, hand-made networks and stand-ins for drawn jobs, shared by these tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import cast

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from datagen.arrivals import (
    Arrivals,
    MarkovArrivals,
    MarkovModulated,
    Periodic,
    PiecewisePoisson,
    Poisson,
    Recorded,
    Renewal,
)
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
from datagen.evaluation import pack
from datagen.exits import ContextSchedule, ContextSwitching, ExitMix, ExitTrace, Thresholds
from datagen.simulator.engine import Run
from datagen.simulator.event_log import (
    ARRIVED,
    CHOSEN,
    FINISHED,
    LEFT,
    LOST,
    MOVED,
    QUEUED,
    SENT,
    STARTED,
)
from datagen.simulator.network import Features, Network, networks
from datagen.simulator.numba_engine import NumbaEngine
from datagen.simulator.randomness import ChainDraws, Chunk
from datagen.simulator.simpy_engine import SimpyEngine
from datagen.simulator.sources import chain_draws
from datagen.simulator.tally import RunLength

Floats = NDArray[np.float64]

ENGINES = (NumbaEngine(), SimpyEngine())
GRID = 0.25
"""Multiples of it are exact float64 numbers: sums of times tie exactly."""

KINDS = {ARRIVED: "arrived", FINISHED: "finished", CHOSEN: "chosen", SENT: "sent"}
OUTCOMES = {LOST: "lost", STARTED: "started", QUEUED: "queued", MOVED: "moved", LEFT: "left"}


class FixedDraws:
    """Jobs written down by hand; after them none for a very long time.

    Args:
        arrivals: Arrival times [s].
        services: Per job its service time at each step of each path [s].
        routes: Per job its route, where there are several.
    """

    laws: Sequence[object] = ()

    def __init__(
        self,
        arrivals: Sequence[float],
        services: Sequence[Sequence[float]],
        routes: Sequence[int] | None = None,
    ) -> None:
        self.routes = routes
        self.process = Poisson(rate=1.0)
        self.arrivals = list(arrivals)
        self.services = [list(times) for times in services]
        self.position = 0

    def chunk_in(self, arrivals: NDArray[np.float64]) -> Chunk:
        jobs = range(self.position, self.position + len(arrivals))
        self.position += len(arrivals)
        known, steps = len(self.arrivals), len(self.services[0])
        arrivals[:] = [self.arrivals[j] if j < known else 1e9 + j for j in jobs]
        return Chunk(
            arrivals=arrivals,
            service=np.array([self.services[j] if j < known else [1.0] * steps for j in jobs]).T,
            route=None
            if self.routes is None
            else np.array([self.routes[j] if j < known else 0 for j in jobs]),
        )


class GridDraws:
    """Random jobs whose times are all multiples of GRID, zero gaps and zero services included.

    Args:
        seed: Of the chain.
        steps: Steps of the chain.
        longest_gap: In multiples of GRID, >= 1.
        routes: Routes of the chain.
    """

    laws: Sequence[object] = ()

    def __init__(self, seed: int, steps: int, longest_gap: int, routes: int = 1) -> None:
        self.routes = routes
        self.process = Poisson(rate=2.0 / (GRID * longest_gap))
        self.steps = steps
        self.longest_gap = longest_gap
        self.gaps, self.services, self.ways = np.random.default_rng(seed).spawn(3)
        self.last = 0.0

    def chunk_in(self, arrivals: NDArray[np.float64]) -> Chunk:
        count = len(arrivals)
        gaps = np.floor(self.gaps.random(count) * (self.longest_gap + 1)) * GRID
        arrivals[:] = self.last + np.cumsum(gaps)
        self.last = float(arrivals[-1])
        services = np.floor(self.services.random((count, self.steps)) * 5).T * GRID
        route = (self.ways.random(count) * self.routes).astype(int) if self.routes > 1 else None
        return Chunk(arrivals=arrivals, service=services, route=route)


def as_sources(stand_ins: Sequence[FixedDraws | GridDraws]) -> list[ChainDraws]:
    """Pass stand-ins off as what the engines take."""
    return cast("list[ChainDraws]", list(stand_ins))


def network_of(
    devices: Sequence[tuple[int, float]],
    routes: Sequence[Sequence[int]],
    *,
    demands: Sequence[Sequence[float]] | None = None,
    deadlines: Sequence[float] | None = None,
    classes: Sequence[int] | None = None,
    delays: Sequence[Sequence[float]] | None = None,
    held: bool = True,
    chain_route: Sequence[int] | None = None,
    route_steps: Sequence[int] | None = None,
) -> Network:
    """A network from (servers, capacity) per device and the devices that each chain visits.

    With ``classes``, one per chain, every device has priorities. ``delays`` are times of travel
    after each step of each chain; the job keeps its units meanwhile if ``held``. ``chain_route`` is
    the first entry of ``routes`` that belongs to each chain, and their number, where a chain has
    several; ``route_steps`` shortens them.
    """
    chain_route = chain_route or range(len(routes) + 1)
    chains = len(chain_route) - 1
    starts = np.cumsum([0, *map(len, routes)])
    steps = sum(map(len, routes))
    features = None
    if classes or delays or route_steps or chains < len(routes):
        delay = np.array([d for own in delays for d in own]) if delays else np.zeros(steps)
        features = Features(
            prioritized=np.full(len(devices), classes is not None),
            chain_class=np.array(classes or [0] * chains),
            step_delay=delay,
            step_held=(delay > 0) & held,
            chain_route=np.array(chain_route),
            route_first=starts[:-1],
            route_steps=np.array(route_steps or np.diff(starts)),
            route_accuracy=np.full(len(routes), np.nan),
        )
    demands = demands or [[1.0] * len(route) for route in routes]
    return Network(
        servers=np.array([servers for servers, _ in devices]),
        capacity=np.array([capacity for _, capacity in devices], dtype=np.float64),
        chain_start=starts[list(chain_route)],
        step_device=np.array([device for route in routes for device in route]),
        step_demand=np.array([units for own in demands for units in own], dtype=np.float64),
        deadline=np.array(deadlines or [np.nan] * chains),
        features=features,
    )


def trace(run: Run) -> list[tuple[float, str, int, int, int, str]]:
    """The event log with names for kinds and outcomes."""
    assert run.log is not None
    return [
        (time, KINDS[kind], chain, job, step, OUTCOMES[outcome])
        for time, kind, chain, job, step, outcome in run.log.tolist()
    ]


def packed(deployment: Deployment, seed: int) -> tuple[Network, list[ChainDraws]]:
    """One deployment as a network with fresh draws."""
    batch = pack([deployment])
    return networks(batch, "test")[0], chain_draws(batch, 0, seed=seed, replication=0)


def grid_sources(network: Network, seed: int) -> list[ChainDraws]:
    """Draws on grid times that load the network's devices somewhere around 1."""
    steps = np.diff(network.chain_start).tolist()
    features = network.features
    routes = [1] * len(steps) if features is None else np.diff(features.chain_route).tolist()
    return as_sources([
        GridDraws(100 * seed + chain, count, 2 + (seed + chain) % 5, routes[chain])
        for chain, count in enumerate(steps)
    ])


def same_bits(one: Run, other: Run) -> None:
    """Check that two runs have the same log to the last bit and the same tally."""
    assert one.log is not None
    assert other.log is not None
    size = min(len(one.log), len(other.log))
    different = np.flatnonzero(one.log[:size] != other.log[:size])
    assert different.size == 0, f"{one.log[different[0]]} against {other.log[different[0]]}"
    assert one.log.tobytes() == other.log.tobytes()
    assert (one.events, one.truncated) == (other.events, other.truncated)
    same_tally(one, other)


def same_tally(one: Run, other: Run) -> None:
    """Check that two runs counted the same: integers exactly, sums but for their order."""
    assert np.array_equal(one.route_completed, other.route_completed)
    assert (one.batches is None) == (other.batches is None)
    if one.batches is not None and other.batches is not None:
        for name, mine, theirs in zip(one.batches._fields, one.batches, other.batches, strict=True):
            assert np.array_equal(mine, theirs), name
    for name, mine, theirs in zip(one.tally._fields, one.tally, other.tally, strict=True):
        if mine.dtype.kind == "i":
            assert np.array_equal(mine, theirs), name
        else:
            np.testing.assert_allclose(theirs, mine, rtol=1e-12, atol=0, err_msg=name)


def area(times: Floats, changes: Floats, length: RunLength) -> float:
    """Integral over the window of a quantity that starts at 0 and changes at given times."""
    level = np.cumsum(changes)
    edges = np.clip(np.append(times, np.inf), length.warmup, length.horizon)
    return float(np.diff(edges) @ level)


MEANS = st.sampled_from([0.05, 0.2, 0.3, 0.5, 1.0])


LAWS_BY_MEAN: tuple[Callable[[float], Law], ...] = (
    lambda mean: Deterministic(mean=mean),
    lambda mean: Exponential(mean=mean),
    lambda mean: LogNormal(mean=mean, scv=0.3),
    lambda mean: LogNormal(mean=mean, scv=2.0),
    lambda mean: Uniform(low=0.5 * mean, high=1.5 * mean),
    lambda mean: Gamma(mean=mean, scv=2.5),
    lambda mean: Erlang(mean=mean, stages=3),
    lambda mean: HyperExponential(mean=mean, scv=4.0),
    lambda mean: Empirical(values=(0.0, mean, 2.0 * mean)),
)


@st.composite
def laws(draw: st.DrawFn) -> Law:
    """A law of service work with a mean between 0.05 s and 1 s."""
    return draw(st.sampled_from(LAWS_BY_MEAN))(draw(MEANS))


@st.composite
def works(draw: st.DrawFn, names: Sequence[str]) -> Law | dict[str, Law]:
    """What a fragment takes: one law, or a measured one per device."""
    if draw(st.integers(0, 4)):
        return draw(laws())
    return {name: draw(laws()) for name in names}


HEADS = (Exit(), Exit(head=Deterministic(mean=0.1)), Exit(head=Exponential(mean=0.1)))
MIXES = [
    ExitMix(p=(1.0,)),
    ExitMix(p=(0.5, 0.5), accuracy=(0.7, 0.9)),
    ExitMix(p=(0.25, 0.0, 0.75)),
    ExitMix(p=(0.25, 0.25, 0.25, 0.25)),
    ExitMix(p=(0.0, 0.0, 0.5, 0.5, 0.0)),
]
TAUS = (0.75, 2.0, 0.5, 0.25)
TRACES = tuple(
    ExitTrace(
        name=f"trace{exits}",
        confidences=np.random.default_rng(exits).random((20, exits)),
        correct=np.random.default_rng(exits).random((20, exits)) > 0.3,
        context=np.array([0, 1, 1, 2] * 5),
    )
    for exits in range(1, 6)
)
CHANGES = (
    None,
    ContextSwitching(holding=(2.0, 5.0, 1.0)),
    ContextSwitching(holding=(1.0, 3.0, 20.0), by="jobs"),
    ContextSchedule(times=(0.0, 10.0, 20.0), contexts=(2, 0, 1)),
)
ROUTING = {1: (1.0,), 2: (0.3, 0.7), 3: (0.25, 0.0, 0.75)}

BURSTY: dict[type[Arrivals], Callable[[float], Arrivals]] = {
    MarkovModulated: lambda gap: MarkovModulated(
        rates=(1.5 / gap, 0.5 / gap), switch=(0.1 / gap, 0.1 / gap)
    ),
    MarkovArrivals: lambda gap: MarkovArrivals(
        d0=((-2.0 / gap, 1.0 / gap), (0.0, -2.0 / gap)),
        d1=((0.0, 1.0 / gap), (1.0 / gap, 1.0 / gap)),
    ),
    PiecewisePoisson: lambda gap: PiecewisePoisson(
        times=(0.0, 10.0, 20.0), rates=(2.0 / gap, 0.0, 1.0 / gap)
    ),
    Recorded: lambda gap: Recorded(timestamps=(0.0, gap, gap, 3.0 * gap)),
}
"""Processes with a memory or a schedule, by the time between two jobs [s]."""


@st.composite
def processes(draw: st.DrawFn) -> Arrivals:
    """An arrival process with one job per 0.3 s to 2 s."""
    gap = draw(st.sampled_from([0.3, 0.7, 1.0, 2.0]))
    kind = draw(st.sampled_from([Poisson, Renewal, Periodic, *BURSTY]))
    if kind in BURSTY:
        return BURSTY[kind](gap)
    if kind is Poisson:
        return Poisson(rate=1.0 / gap)
    if kind is Renewal:
        return Renewal(mean=gap, scv=draw(st.sampled_from([0.4, 1.0, 3.0])))
    return Periodic(period=gap, jitter=gap * draw(st.sampled_from([0.0, 0.5, 1.0])))


SPEEDUPS = {1: (0.8,), 2: (1.0, 0.75), 3: (1.0, 0.5, 0.6)}
"""Relative speed of each server with 1, 2, ... of them busy, by how many there are."""


@st.composite
def hosts(draw: st.DrawFn, name: str, share: bool) -> Device:
    """A device; one whose jobs change pace, more often than not, where some ``share``."""
    servers = draw(st.integers(1, 3))
    disciplines = ["fcfs", "priority", "ps"] if share else ["fcfs", "fcfs", "priority"]
    return Device(
        name=name,
        speed=draw(st.sampled_from([0.7, 1.0, 2.0])),
        servers=servers,
        capacity=draw(st.sampled_from([1, 2, 3, 5, 8, None])),
        discipline=draw(st.sampled_from(disciplines)),
        speedup=draw(st.sampled_from([None, SPEEDUPS[servers]])) if share else None,
    )


@st.composite
def deployments(draw: st.DrawFn) -> Deployment:
    """1-4 devices, 1-3 chains of 1-4 fragments, placed anywhere: revisits and runs are common."""
    names = [f"d{index}" for index in range(draw(st.integers(1, 4)))]
    share = draw(st.booleans())
    devices = tuple(draw(hosts(name, share)) for name in names)
    chains, placement, routing, exits = [], {}, {}, {}
    for index in range(draw(st.integers(1, 3))):
        length = draw(st.integers(1, 4))
        fragments = tuple(
            Fragment(
                name=f"f{k}",
                service=draw(works(names)),
                demand=draw(st.sampled_from([1, 1, 2, 3])),
                output=draw(st.sampled_from([0.0, 1e6])),
                exit=draw(st.sampled_from([None, None, *HEADS])),
            )
            for k in range(length)
        )
        classifiers = sum(fragment.exit is not None for fragment in fragments)
        if draw(st.booleans()):
            exits[f"c{index}"] = draw(
                st.sampled_from([MIXES[classifiers], Thresholds(tau=TAUS[:classifiers])])
            )
        deadline = draw(st.sampled_from([None, 1.0]))
        arrivals = draw(processes())
        chains.append(
            Chain(
                name=f"c{index}",
                arrivals=arrivals,
                fragments=fragments,
                deadline=deadline,
                trace=TRACES[classifiers].name,
                contexts=draw(st.sampled_from(CHANGES)),
                priority=draw(st.integers(-1, 1)),
            )
        )
        path = st.lists(st.sampled_from(names), min_size=length, max_size=length).map(tuple)
        paths = draw(st.lists(path, min_size=1, max_size=draw(st.sampled_from([1, 1, 3]))))
        placement[f"c{index}"] = tuple(paths)
        routing[f"c{index}"] = ROUTING[len(paths)]
    linked = [pair for pair in permutations(names, 2) if draw(st.booleans())]
    links = tuple(
        Link(
            source=source,
            target=target,
            bandwidth=4e6,
            latency=draw(st.sampled_from([0.0, GRID, 4 * GRID])),
            release=draw(st.sampled_from(["sent", "sent", "start"])),
        )
        for source, target in (linked if draw(st.booleans()) else [])
    )
    problem = Problem(devices=devices, chains=tuple(chains), links=links, traces=TRACES)
    return Deployment(
        problem=problem,
        placement=placement,
        routing=routing,
        exits=exits,
        fuse=draw(st.booleans()),
    )
