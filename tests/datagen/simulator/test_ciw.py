"""The compiled engine against Ciw, a queueing simulator written by others.

A full node of Ciw loses those who arrive from outside and blocks those who come from another node,
so finite buffers stand at first steps here. Each simulator gives its own standard errors: ours
reports them, Ciw's are those of independent runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Exponential
from datagen.simulator import simulate

ciw = pytest.importorskip("ciw")

Z_MAX = 4.0
"""Joint standard errors by which right estimates differ less than once in 10,000 times."""

RUNS = 10
"""Independent runs of Ciw: enough for its standard errors to be known to a quarter."""

WARMUP = 0.05
TAIL = 60.0
"""Time after the window in which its last jobs leave [s]; nearly all stay a tenth of it."""

EVENTS_OF_OURS = 2e6
"""Makes our own error the small one: what is left is Ciw's."""


class Stream(NamedTuple):
    """A chain: its rate [1/s], the devices it visits and its service rate on each [1/s]."""

    name: str
    rate: float
    path: tuple[str, ...]
    service_rates: tuple[float, ...]


class Node(NamedTuple):
    """A device; the capacity counts the jobs in service."""

    name: str
    capacity: int | None
    servers: int = 1


def ours(nodes: Sequence[Node], streams: Sequence[Stream], discipline: Any) -> Deployment:
    """The network for our engines; priorities fall from the first stream to the last."""
    devices = tuple(
        Device(name=node.name, capacity=node.capacity, servers=node.servers, discipline=discipline)
        for node in nodes
    )
    chains = tuple(
        Chain(
            name=stream.name,
            arrivals=Poisson(rate=stream.rate),
            fragments=tuple(
                Fragment(name=f"f{place}", service=Exponential(mean=1.0 / rate))
                for place, rate in enumerate(stream.service_rates)
            ),
            priority=-place,
        )
        for place, stream in enumerate(streams)
    )
    placement = {stream.name: (stream.path,) for stream in streams}
    return Deployment(problem=Problem(devices=devices, chains=chains), placement=placement)


def theirs(nodes: Sequence[Node], streams: Sequence[Stream], discipline: str) -> Any:
    """The network for Ciw: nodes, and a class of customers per stream."""
    names = [node.name for node in nodes]
    arrivals, services, routing = {}, {}, {}
    for stream in streams:
        places = [names.index(name) for name in stream.path]
        arrivals[stream.name] = [None] * len(nodes)
        arrivals[stream.name][places[0]] = ciw.dists.Exponential(rate=stream.rate)
        services[stream.name] = [ciw.dists.Deterministic(value=0.0)] * len(nodes)
        for place, rate in zip(places, stream.service_rates, strict=True):
            services[stream.name][place] = ciw.dists.Exponential(rate=rate)
        moves = np.zeros((len(nodes), len(nodes)))
        moves[places[:-1], places[1:]] = 1.0
        routing[stream.name] = moves.tolist()
    classes = {stream.name: place for place, stream in enumerate(streams)}
    return ciw.create_network(
        arrival_distributions=arrivals,
        service_distributions=services,
        routing=routing,
        number_of_servers=[servers(node, discipline) for node in nodes],
        queue_capacities=[room(node, discipline) for node in nodes],
        priority_classes=classes if discipline == "priority" else None,
        ps_thresholds=[node.servers for node in nodes],
    )


def servers(node: Node, discipline: str) -> float:
    """Jobs that Ciw serves at a time: under processor sharing, all that there is room for."""
    if discipline != "ps":
        return node.servers
    return float("inf") if node.capacity is None else node.capacity


def room(node: Node, discipline: str) -> float:
    """Jobs that may wait at a node of Ciw."""
    return float("inf") if node.capacity is None else node.capacity - servers(node, discipline)


def play_ciw(
    network: Any, names: Sequence[str], horizon: float, seed: int, kind: Any
) -> np.ndarray:
    """Loss ratio and mean latency of each stream's jobs from one run of Ciw [C, 2]."""
    ciw.seed(seed)
    simulation = ciw.Simulation(network, node_class=kind)
    simulation.simulate_until_max_time(horizon + TAIL)
    found = np.zeros((len(names), 2))
    totals = np.zeros((len(names), 2))
    for individual in simulation.nodes[-1].all_individuals:
        records = individual.data_records
        arrival = records[0].arrival_date
        if not WARMUP * horizon < arrival <= horizon:
            continue
        row = names.index(records[0].customer_class)
        lost = records[0].record_type == "rejection"
        totals[row] += 1.0, not lost
        found[row] += lost, 0.0 if lost else records[-1].exit_date - arrival
    return found / totals


@pytest.mark.parametrize(
    ("nodes", "streams", "discipline"),
    [
        (
            [Node("a", 4), Node("b", 3), Node("c", None)],
            [Stream("x", 0.9, ("a", "c"), (1.0, 3.0)), Stream("y", 0.7, ("b", "c"), (0.6, 2.0))],
            "fcfs",
        ),
        (
            [Node("a", 5)],
            [Stream("high", 0.5, ("a",), (2.0,)), Stream("low", 0.8, ("a",), (0.9,))],
            "priority",
        ),
        ([Node("a", 5, 3)], [Stream("x", 2.4, ("a",), (1.0,))], "fcfs"),
        (
            [Node("a", 4, 2), Node("b", None)],
            [Stream("x", 1.2, ("a", "b"), (1.0, 3.0)), Stream("y", 0.6, ("a",), (0.5,))],
            "ps",
        ),
    ],
    ids=["finite buffers", "priorities", "several servers", "processor sharing"],
)
def test_ciw_agrees_within_joint_intervals(
    nodes: list[Node], streams: list[Stream], discipline: str
) -> None:
    names = [stream.name for stream in streams]
    horizon = 4_000.0 / sum(stream.rate for stream in streams)
    network = theirs(nodes, streams, discipline)
    kind = ciw.PSNode if discipline == "ps" else ciw.Node
    runs = np.stack([play_ciw(network, names, horizon, seed, kind) for seed in range(RUNS)])
    deployment = ours(nodes, streams, discipline)
    measures = simulate([deployment], events=EVENTS_OF_OURS, seed=1)[0]
    for row, name in enumerate(names):
        mine = measures.chains[name]
        pairs = [(mine.loss_ratio, mine.loss_ratio_se), (mine.latency, mine.latency_se)]
        for (value, own_se), estimates in zip(pairs, runs[:, row].T, strict=True):
            their_se = estimates.std(ddof=1) / np.sqrt(RUNS)
            joint = np.hypot(own_se, their_se)
            assert own_se < their_se
            assert joint <= 0.03 * value, "too noisy to test"
            assert abs(estimates.mean() - value) <= Z_MAX * joint
