"""The graph of PyTorch Geometric holds the same deployments, node by node."""

from __future__ import annotations

import pytest
from torch_geometric.data import HeteroData

from datagen.evaluation import DeploymentBatch, pack
from surrogate.features.arrays import flow_arrays
from surrogate.features.features import FeatureFunction
from surrogate.features.hetero import to_hetero
from tests.surrogate.cases import close, in_batch_order, random_deployments


@pytest.fixture(scope="module")
def batch() -> DeploymentBatch:
    return pack(random_deployments(6, seed=13))


@pytest.fixture(scope="module")
def graph(batch: DeploymentBatch) -> HeteroData:
    return to_hetero(batch)


def test_is_a_valid_graph(graph: HeteroData) -> None:
    assert graph.validate()


def test_nodes_carry_the_features(batch: DeploymentBatch, graph: HeteroData) -> None:
    arrays = flow_arrays(batch)
    features = FeatureFunction()(arrays)
    close(graph["device"].x, features.device)
    for column in range(features.step.shape[1]):
        close(graph["step"].x[:, column], in_batch_order(arrays, features.step[:, column]))
    close(graph["chain"].x[arrays.flow_chain], features.flow)


def test_edges_are_those_of_the_deployments(batch: DeploymentBatch, graph: HeteroData) -> None:
    steps = range(len(batch.step_mean))
    placed = list(zip(steps, batch.step_device_row.tolist(), strict=True))
    assert graph["step", "placed_on", "device"].edge_index.T.tolist() == [list(x) for x in placed]
    held = list(zip(batch.step_chain.tolist(), steps, strict=True))
    assert graph["chain", "position", "step"].edge_index.T.tolist() == [list(x) for x in held]
    first = set(batch.step_start[:-1].tolist())
    following = [[k - 1, k] for k in steps if k not in first]
    assert graph["step", "next", "step"].edge_index.T.tolist() == following


def test_positions_count_from_zero(batch: DeploymentBatch, graph: HeteroData) -> None:
    expected = [k for count in batch.counts("step").tolist() for k in range(count)]
    assert graph["chain", "position", "step"].edge_attr.tolist() == expected


@pytest.mark.parametrize("level", ["device", "step", "chain"])
def test_nodes_know_their_deployment(batch: DeploymentBatch, graph: HeteroData, level: str) -> None:
    assert graph[level].batch.tolist() == batch.owner(level).tolist()
