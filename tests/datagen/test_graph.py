from __future__ import annotations

from hypothesis import given

from datagen.deployment import Deployment
from datagen.graph import from_graph, to_graph
from tests.datagen.strategies import deployments
from tests.helpers import tandem


@given(deployments())
def test_a_graph_holds_the_whole_deployment(deployment: Deployment) -> None:
    assert from_graph(to_graph(deployment)) == deployment


def test_nodes_and_edges_are_typed() -> None:
    graph = to_graph(tandem(0, 1, 0))
    assert graph.nodes["device", "d0"]["capacity"] == 5
    assert {kind for _, kind in graph.nodes(data="kind")} == {"device", "chain", "fragment"}
    kinds = [kind for _, _, kind in graph.edges(data="kind")]
    assert {kind: kinds.count(kind) for kind in kinds} == {"holds": 3, "next": 2, "placed": 3}
