"""Deployments as NetworkX graphs with typed nodes, exactly both ways.

========  =====================  ==================================================================
node      key                    attributes beside ``kind``
========  =====================  ==================================================================
device    ``("device", name)``   fields of the device; ``batching`` where configured
chain     ``("chain", name)``    fields of the chain but its fragments; ``routing``, ``exits``
fragment  ``("fragment",         fields of the fragment
          chain, name)``
========  =====================  ==================================================================

Edges, by their ``kind``: ``holds`` (chain to fragment), ``next`` (fragment to the one after it),
``placed`` (fragment to device, with the ``paths`` that use it), ``link`` (device to device,
with its ``number`` in the problem).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

import networkx as nx

from datagen.deployment import Chain, Deployment, Device, Fragment, Link, Problem

__all__ = ["from_graph", "to_graph"]

Item = TypeVar("Item")


def _content(item: object, leave: tuple[str, ...] = ()) -> dict[str, Any]:
    names = (field.name for field in fields(item))  # type: ignore[arg-type]
    return {name: getattr(item, name) for name in names if name not in leave}


def _restored(cls: type[Item], attributes: Mapping[str, Any], **others: object) -> Item:
    names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    return cls(**{k: v for k, v in attributes.items() if k in names} | others)


def to_graph(deployment: Deployment) -> nx.DiGraph[Any]:
    """Return a deployment as a graph.

    Args:
        deployment: The deployment.

    Returns:
        A directed graph, laid out as the head of this module says; nodes and edges stand in the
        order of the deployment.
    """
    problem = deployment.problem
    graph: nx.DiGraph[Any] = nx.DiGraph(
        overflow=problem.overflow, traces=problem.traces, fuse=deployment.fuse
    )
    for device in problem.devices:
        key = ("device", device.name)
        graph.add_node(key, kind="device", **_content(device))
        if device.name in (deployment.batching or {}):
            graph.nodes[key]["batching"] = (deployment.batching or {})[device.name]
    for number, link in enumerate(problem.links):
        ends = ("device", link.source), ("device", link.target)
        graph.add_edge(*ends, kind="link", number=number, **_content(link, ("source", "target")))
    for chain in problem.chains:
        _add_chain(graph, chain, deployment)
    return graph


def _add_chain(graph: nx.DiGraph[Any], chain: Chain, deployment: Deployment) -> None:
    key = ("chain", chain.name)
    graph.add_node(key, kind="chain", **_content(chain, ("fragments",)))
    graph.nodes[key]["routing"] = (deployment.routing or {})[chain.name]
    if chain.name in (deployment.exits or {}):
        graph.nodes[key]["exits"] = (deployment.exits or {})[chain.name]
    for position, fragment in enumerate(chain.fragments):
        node = ("fragment", chain.name, fragment.name)
        graph.add_node(node, kind="fragment", **_content(fragment))
        graph.add_edge(key, node, kind="holds")
        if position > 0:
            before = ("fragment", chain.name, chain.fragments[position - 1].name)
            graph.add_edge(before, node, kind="next")
        hosts: dict[str, list[int]] = {}
        for number, path in enumerate(deployment.placement[chain.name]):
            hosts.setdefault(path[position], []).append(number)
        for device, paths in hosts.items():
            graph.add_edge(node, ("device", device), kind="placed", paths=tuple(paths))


def from_graph(graph: nx.DiGraph[Any]) -> Deployment:
    """Return the deployment that a graph shows.

    Args:
        graph: A graph laid out as :func:`to_graph` does.

    Returns:
        The deployment.
    """
    nodes: dict[str, dict[Any, Any]] = {"device": {}, "chain": {}, "fragment": {}}
    for key, attributes in graph.nodes.items():
        nodes[attributes["kind"]][key] = attributes
    # A graph lists edges by their source; the links of a problem have an order of their own.
    sent = [edge for edge in graph.edges(data=True) if edge[2]["kind"] == "link"]
    links = tuple(
        _restored(Link, attributes, source=source[1], target=target[1])
        for source, target, attributes in sorted(sent, key=lambda edge: edge[2]["number"])
    )
    chains = tuple(
        _restored(Chain, attributes, fragments=_fragments(graph, key))
        for key, attributes in nodes["chain"].items()
    )
    problem = Problem(
        devices=tuple(_restored(Device, attributes) for attributes in nodes["device"].values()),
        chains=chains,
        links=links,
        traces=graph.graph["traces"],
        overflow=graph.graph["overflow"],
    )
    chosen = {key[1]: attributes for key, attributes in nodes["chain"].items()}
    return Deployment(
        problem=problem,
        placement={key[1]: _paths(graph, key) for key in nodes["chain"]},
        routing={name: attributes["routing"] for name, attributes in chosen.items()},
        exits={name: a["exits"] for name, a in chosen.items() if "exits" in a},
        batching={k[1]: a["batching"] for k, a in nodes["device"].items() if "batching" in a},
        fuse=graph.graph["fuse"],
    )


def _fragments(graph: nx.DiGraph[Any], chain: object) -> tuple[Fragment, ...]:
    return tuple(_restored(Fragment, graph.nodes[node]) for node in graph.successors(chain))


def _paths(graph: nx.DiGraph[Any], chain: object) -> tuple[tuple[str, ...], ...]:
    count = len(graph.nodes[chain]["routing"])
    paths: list[list[str]] = [[] for _ in range(count)]
    for node in graph.successors(chain):
        for _, device, attributes in graph.out_edges(node, data=True):
            for number in attributes.get("paths", ()):
                paths[number].append(device[1])
    return tuple(tuple(path) for path in paths)
