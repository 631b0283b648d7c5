"""The deployment graph as PyTorch Geometric data, for models and tools that speak it."""

from __future__ import annotations

import torch
from torch_geometric.data import HeteroData

from datagen.evaluation import DeploymentBatch
from surrogate.features.arrays import flow_arrays
from surrogate.features.features import FeatureFunction

__all__ = ["to_hetero"]


def to_hetero(batch: DeploymentBatch) -> HeteroData:
    """Return deployments as one heterogeneous graph.

    Node types are ``device`` [D], ``step`` [S] and ``chain`` [C]; steps are in the batch's order
    and carry the features of :data:`~surrogate.features.features.STEP_FEATURES` in ``x``, devices
    those of ``DEVICE_FEATURES``, and chains those of ``FLOW_FEATURES``. Edges are step -> device
    (``placed_on``), chain -> step (``position``, with the position as attribute) and step -> step
    (``next``). ``batch`` gives the deployment of every node.

    Args:
        batch: Packed deployments with one path per chain.

    Returns:
        The graph of all deployments.
    """
    arrays = flow_arrays(batch)
    with torch.no_grad():
        features = FeatureFunction()(arrays)
    rows = arrays.step_row
    own = torch.empty_like(rows)
    own[rows] = torch.arange(len(rows))  # place of each batch-order step in recurrence order
    chain = arrays.flow_chain[arrays.step_flow][own]
    graph = HeteroData()
    graph["device"].x, graph["device"].batch = features.device, arrays.device_deployment
    graph["step"].x, graph["step"].batch = features.step[own], arrays.chain_deployment[chain]
    graph["chain"].x = features.flow[arrays.flow_chain.argsort()]
    graph["chain"].batch = arrays.chain_deployment
    step = torch.arange(len(rows))
    position = arrays.step_position[own]
    graph["step", "placed_on", "device"].edge_index = torch.stack([step, arrays.step_device[own]])
    graph["chain", "position", "step"].edge_index = torch.stack([chain, step])
    graph["chain", "position", "step"].edge_attr = position
    later = step[position > 0]
    graph["step", "next", "step"].edge_index = torch.stack([later - 1, later])
    return graph
