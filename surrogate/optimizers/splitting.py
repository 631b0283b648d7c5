"""Where to cut a network between a device and a server: Neurosurgeon and the minimum cut.

A line of layers has one cut, found by trying all of them (Neurosurgeon). A network whose layers
branch and join has a set of layers on the device, found as the minimum cut of an auxiliary graph
(DNN Surgery, its lightly loaded case); of a line, it is the same.

References:
    Kang et al., Neurosurgeon: collaborative intelligence between the cloud and mobile edge,
    ASPLOS 2017.
    Hu, Bao, Wang and Liu, Dynamic adaptive DNN surgery for inference acceleration on the edge,
    INFOCOM 2019; Liang et al., DNN surgery, IEEE Transactions on Cloud Computing 11, 2023.
"""

from __future__ import annotations

import math
from typing import Any, get_args

import networkx as nx

from datagen.errors import require
from surrogate.optimizers.split_task import Split, SplitGoal, SplitTask

__all__ = ["min_cut", "neurosurgeon"]

RESOLUTION = 2**40
"""Steps that the sum of all costs is divided into: the flow is computed in whole numbers, whose
sums are exact, to a part in a million millions."""


def neurosurgeon(task: SplitTask, goal: SplitGoal = "latency") -> Split:
    """Return the best of all cuts of a line of layers.

    Args:
        task: A network whose layers form a line.
        goal: What is minimal: the latency of a request, or the energy of the device.

    Returns:
        The cut; of equal ones that with the fewest layers on the device.

    Raises:
        InvalidInputError: If layers branch, or the goal is unknown.
    """
    _check_goal(goal)
    require(task.is_line, "layers", "read the one before each (see min_cut)", task.reads())
    names = [layer.name for layer in task.layers]
    splits = [task.split(names[:cut]) for cut in range(len(names) + 1)]
    return min(splits, key=lambda split: split.value(goal))


def min_cut(task: SplitTask, goal: SplitGoal = "latency") -> Split:
    """Return the best split of a network whose layers may branch and join.

    In the auxiliary graph, a layer on the server cuts its edge from the source, which costs its
    time there; one on the device cuts its edge to the sink. What is sent passes a node of its own,
    so that it is paid once for however many readers. Edges without a limit keep a layer on the
    server from being read on the device.

    Args:
        task: The network.
        goal: What is minimal: the latency of a request, or the energy of the device.

    Returns:
        The split; infeasible if no split lets every layer run.

    Raises:
        InvalidInputError: If the goal is unknown.
    """
    _check_goal(goal)
    local, remote, sent = _costs(task, goal)
    finite = [cost for part in (local, remote, sent) for cost in part.values() if cost < math.inf]
    unit = (math.fsum(finite) or 1.0) / RESOLUTION
    graph: nx.DiGraph[Any] = nx.DiGraph()

    def edge(start: object, end: object, cost: float) -> None:
        # NetworkX takes an edge without a capacity for one without a limit.
        limit = {} if math.isinf(cost) else {"capacity": round(cost / unit)}
        graph.add_edge(start, end, **limit)

    for name in local:
        edge("source", ("layer", name), remote[name])
        edge(("layer", name), "sink", local[name])
    edge("source", ("layer", None), math.inf)  # the input lies on the device
    for result, cost in sent.items():
        edge(("layer", result), ("sent", result), cost)
    for name, sources in task.reads().items():
        read: tuple[str | None, ...] = sources or (None,)
        for source in read:
            edge(("sent", source), ("layer", name), math.inf)
            edge(("layer", name), ("layer", source), math.inf)
    try:
        _, (near, _) = nx.minimum_cut(graph, "source", "sink")
    except nx.NetworkXUnbounded:  # some layer runs nowhere that its readers and sources allow
        return task.split(local)
    return task.split(name for name in local if ("layer", name) in near)


def _costs(
    task: SplitTask, goal: SplitGoal
) -> tuple[dict[str, float], dict[str, float], dict[str | None, float]]:
    """Return what each layer costs on device and server, and what sending its result costs."""
    factor = 1.0 if goal == "latency" else task.compute_power
    local = {
        layer.name: layer.device * factor if math.isfinite(layer.device) else math.inf
        for layer in task.layers
    }
    factor = task.slowdown if goal == "latency" else 0.0
    remote = {
        layer.name: layer.server * factor if math.isfinite(layer.server) else math.inf
        for layer in task.layers
    }
    factor = 1.0 if goal == "latency" else task.send_power
    sizes: dict[str | None, float] = {None: task.input}
    sizes |= {layer.name: layer.output for layer in task.layers}
    return local, remote, {name: factor * task.sending(size) for name, size in sizes.items()}


def _check_goal(goal: str) -> None:
    known = get_args(SplitGoal)
    require(goal in known, "goal", f"be one of {', '.join(known)}", goal)
