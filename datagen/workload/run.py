"""Requests played on a cluster: what the manager answers, when, and how well."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from simpy import Environment
from simpy.events import Event as SimpyEvent

from datagen.distributions import Deterministic, Law
from datagen.errors import require
from datagen.simulator.randomness import stream
from datagen.workload.manager import ManagerOptions, Outcome, ResourceManager
from datagen.workload.nodes import Change, Node, SimulatedNode
from datagen.workload.plans import ExplorationTable, Planner, Request
from datagen.workload.states import Event, State

__all__ = ["Played", "play"]

CHUNK = 256
"""Noises drawn at a time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Played:
    """What was played.

    Args:
        outcomes: One per request.
        profiled: The exploration table after profiling.
        ready: When profiling was done [s].
        history: Time [s], event and new state of the manager, in order.
    """

    outcomes: tuple[Outcome, ...]
    profiled: ExplorationTable
    ready: float
    history: tuple[tuple[float, Event, State], ...]


def play(
    nodes: Sequence[Node],
    accuracy: Sequence[float],
    requests: Sequence[Request],
    planner: Planner,
    *,
    options: ManagerOptions | None = None,
    changes: Sequence[Change] = (),
    noise: Law | None = None,
    seed: int = 0,
) -> Played:
    """Profile a cluster, then answer requests one after the other.

    Args:
        nodes: The cluster, N >= 1 nodes.
        accuracy: Accuracy of each of the V variants.
        requests: What is asked, in order; each is taken up when the one before is answered.
        planner: Splits requests.
        options: How nodes are watched; the defaults of :class:`ManagerOptions` if None.
        changes: What happens to nodes; their times count from the end of profiling.
        noise: Law of the factor of the time of an input, of mean 1; None for none.
        seed: Seed of the noise, >= 0.

    Returns:
        What was played.

    Raises:
        InvalidInputError: If nodes, variants, noise and changes do not belong together.
    """
    require(len(nodes) >= 1, "nodes", "hold at least one", list(nodes))
    matching = all(len(node.seconds) == len(accuracy) for node in nodes)
    require(matching, "seconds", f"hold {len(accuracy)} times, one per accuracy", nodes)
    inside = all(0 <= change.node < len(nodes) for change in changes)
    require(inside, "changes", f"be of nodes 0 to {len(nodes) - 1}", changes)
    noise = noise or Deterministic(mean=1.0)
    require(abs(noise.mean - 1.0) < 1e-9, "noise", "have mean 1", noise.mean)

    environment = Environment()
    setup = [node.setup for node in nodes]
    manager = ResourceManager(
        environment, planner, accuracy=accuracy, setup=setup, options=options or ManagerOptions()
    )
    manager.nodes = [
        SimulatedNode(environment, index, node, _factors(noise, seed, index), manager.report)
        for index, node in enumerate(nodes)
    ]

    def life() -> Generator[SimpyEvent, None, Played]:
        yield from manager.profile()
        ready, profiled = environment.now, manager.table
        for change in changes:
            environment.process(_happen(environment, manager.nodes[change.node], change))
        outcomes = []
        for request in requests:
            outcomes.append((yield from manager.serve(request)))
        return Played(
            outcomes=tuple(outcomes),
            profiled=profiled,
            ready=ready,
            history=tuple(manager.machine.history),
        )

    played = environment.run(until=environment.process(life()))
    assert isinstance(played, Played)
    return played


def _happen(
    environment: Environment, node: SimulatedNode, change: Change
) -> Generator[SimpyEvent, None, None]:
    yield environment.timeout(change.time)
    if change.factor is not None:
        node.factor = change.factor
    elif node.alive:
        node.leave()


def _factors(noise: Law, seed: int, node: int) -> Callable[[], float]:
    """Return what draws the factors of a node, in the order of its inputs."""
    if not noise.is_random:
        return lambda: 1.0

    def drawn() -> Generator[float, None, None]:
        rng = stream(seed, 0, 0, "service", node)
        while True:
            yield from noise.quantile(rng.random(CHUNK)).tolist()

    return drawn().__next__
