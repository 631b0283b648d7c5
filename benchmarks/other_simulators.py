"""A deployment as other people would simulate it: a textbook SimPy script, and a Ciw network.

Both draw with Python's own ``random``, count what is lost and completed and sum latencies. They
play chains with one path, Poisson arrivals and constant or exponential service.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import ciw  # type: ignore[import-untyped]
import simpy

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device
from datagen.distributions import Deterministic, Exponential, Law


@dataclass(slots=True)
class Played:
    """One timed run.

    Args:
        seconds: Processor time [s].
        events: External arrivals and service completions.
        offered: Jobs that arrived.
        lost: Jobs that were lost.
        completed: Jobs that left after their last step.
        latency: Their latencies together [s].
    """

    seconds: float = 0.0
    events: int = 0
    offered: int = 0
    lost: int = 0
    completed: int = 0
    latency: float = 0.0


def hosts(deployment: Deployment, chain: Chain) -> tuple[str, ...]:
    """Return the names of the devices on the only path of a chain."""
    (path,) = deployment.placement[chain.name]
    return path


def work(law: Law | Mapping[str, Law], device: Device) -> tuple[bool, float]:
    """Return how long a fragment takes on a device.

    Args:
        law: Constant or exponential law of the work.
        device: Where it is served.

    Returns:
        Whether the service is exponential (constant otherwise), and its mean [s].

    Raises:
        TypeError: If the law is another one.
    """
    if not isinstance(law, Deterministic | Exponential):
        raise TypeError(f"service must be constant or exponential, got {law}")
    return isinstance(law, Exponential), law.mean / device.speed


def arrival_rate(chain: Chain) -> float:
    """Return the arrival rate of a chain.

    Args:
        chain: A chain with Poisson arrivals.

    Returns:
        The rate [1/s].

    Raises:
        TypeError: If its arrivals are others.
    """
    if not isinstance(chain.arrivals, Poisson):
        raise TypeError(f"arrivals must be Poisson, got {chain.arrivals.name}")
    return chain.arrivals.rate


class Station:
    """A device: SimPy's resource, and a counter for its buffer."""

    def __init__(self, env: simpy.Environment, device: Device) -> None:
        self.servers = simpy.Resource(env, capacity=device.servers)
        self.capacity = float("inf") if device.capacity is None else device.capacity
        self.jobs = 0


Life = Generator[simpy.Event, None, None]
Route = list[tuple[Station, Callable[[], float]]]


def job(env: simpy.Environment, route: Route, counts: Played) -> Life:
    """Take one job along its route."""
    arrival = env.now
    for station, service_time in route:
        if station.jobs >= station.capacity:
            counts.lost += 1
            return
        station.jobs += 1
        with station.servers.request() as request:
            yield request
            yield env.timeout(service_time())
        station.jobs -= 1
        counts.events += 1
    counts.completed += 1
    counts.latency += env.now - arrival


def source(
    env: simpy.Environment, rate: float, route: Route, counts: Played, draw: random.Random
) -> Life:
    """Let the jobs of a chain arrive."""
    while True:
        yield env.timeout(draw.expovariate(rate))
        counts.offered += 1
        env.process(job(env, route, counts))


def play_plain_simpy(deployment: Deployment, horizon: float, seed: int) -> Played:
    """Simulate a deployment with a process per job, resources and counters.

    Args:
        deployment: The deployment.
        horizon: Simulated time [s].
        seed: Of the draws.

    Returns:
        The run.
    """
    env, counts, draw = simpy.Environment(), Played(), random.Random(seed)
    devices = {device.name: device for device in deployment.problem.devices}
    stations = {name: Station(env, device) for name, device in devices.items()}
    for chain in deployment.problem.chains:
        route: Route = []
        for fragment, host in zip(chain.fragments, hosts(deployment, chain), strict=True):
            is_random, mean = work(fragment.service, devices[host])
            sample = partial(draw.expovariate, 1.0 / mean) if is_random else constant(mean)
            route.append((stations[host], sample))
        env.process(source(env, arrival_rate(chain), route, counts, draw))
    began = time.process_time()
    env.run(until=horizon)
    counts.seconds = time.process_time() - began
    counts.events += counts.offered
    return counts


def constant(value: float) -> Callable[[], float]:
    """Return a function that always returns the same number."""
    return lambda: value


def fits_ciw(deployment: Deployment) -> bool:
    """Return whether Ciw agrees in law.

    A job that finds a full buffer is lost at the door of a Ciw network, as here; further inside it
    waits on the server that it has just left. So finite buffers may only stand at first steps. A
    class has one service law per node, so a chain may not come back to a device.
    """
    finite = {d.name for d in deployment.problem.devices if d.capacity is not None}
    paths = [hosts(deployment, chain) for chain in deployment.problem.chains]
    return all(len(set(path)) == len(path) and finite.isdisjoint(path[1:]) for path in paths)


def ciw_network(deployment: Deployment) -> Any:
    """Return a deployment as a Ciw network: devices are nodes, chains are customer classes."""
    names = [device.name for device in deployment.problem.devices]
    arrivals: dict[str, list[Any]] = {}
    services: dict[str, list[Any]] = {}
    routing: dict[str, Any] = {}
    for chain in deployment.problem.chains:
        path = [names.index(host) for host in hosts(deployment, chain)]
        arrivals[chain.name] = [None] * len(names)
        arrivals[chain.name][path[0]] = ciw.dists.Exponential(rate=arrival_rate(chain))
        services[chain.name] = [ciw.dists.Deterministic(value=0.0)] * len(names)
        for fragment, node in zip(chain.fragments, path, strict=True):
            is_random, mean = work(fragment.service, deployment.problem.devices[node])
            law = ciw.dists.Exponential(1.0 / mean) if is_random else ciw.dists.Deterministic(mean)
            services[chain.name][node] = law
        # A given sequence of nodes is faster in Ciw than a matrix of routing probabilities, except
        # where there is nowhere to go.
        route = ciw.routing.ProcessBased(partial(nodes_after_first, path))
        routing[chain.name] = route if len(path) > 1 else [[0.0] * len(names) for _ in names]
    devices = deployment.problem.devices
    return ciw.create_network(
        arrival_distributions=arrivals,
        service_distributions=services,
        routing=routing,
        number_of_servers=[device.servers for device in devices],
        queue_capacities=[
            float("inf") if device.capacity is None else device.capacity - device.servers
            for device in devices
        ],
    )


def nodes_after_first(path: list[int], *_: object) -> list[int]:
    """Return the nodes that a customer visits after its first; Ciw's numbers start at 1."""
    return [node + 1 for node in path[1:]]


def play_ciw(deployment: Deployment, horizon: float, seed: int) -> Played:
    """Simulate a deployment with Ciw; reading its records is not timed.

    Args:
        deployment: A deployment that :func:`fits_ciw`.
        horizon: Simulated time [s].
        seed: Of the draws.

    Returns:
        The run.
    """
    ciw.seed(seed)
    simulation = ciw.Simulation(ciw_network(deployment))
    began = time.process_time()
    simulation.simulate_until_max_time(horizon)
    counts = Played(seconds=time.process_time() - began)
    left = simulation.nodes[-1].all_individuals
    present = [one for node in simulation.transitive_nodes for one in node.all_individuals]
    counts.offered = len(left) + len(present)
    counts.events = counts.offered
    for individual in (*left, *present):
        counts.events += sum(record.record_type == "service" for record in individual.data_records)
    for individual in left:
        first, last = individual.data_records[0], individual.data_records[-1]
        if first.record_type == "rejection":
            counts.lost += 1
        else:
            counts.completed += 1
            counts.latency += last.exit_date - first.arrival_date
    return counts
