"""The frame of the baselines: general-purpose message passing on the deployment as one plain graph.

Steps, devices and flows are nodes alike, told apart by their encoders; edges of every kind go both
ways. What a baseline adds is the layer. Features, prior and read-out are those of
:class:`~surrogate.models.chainnet.ChainNet`, so that a comparison is one of architectures.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from datagen.errors import require
from surrogate.features.arrays import FlowArrays
from surrogate.features.features import Features
from surrogate.models.network import DeploymentNetwork, States, correction_head, law_head

__all__ = ["EDGE_KINDS", "MessagePassing", "plain_graph"]

EDGE_KINDS = (
    "step to its device",
    "device to its step",
    "step to the next of its flow",
    "step to the one before",
    "step to its flow",
    "flow to its step",
)


def plain_graph(arrays: FlowArrays) -> tuple[Tensor, Tensor]:
    """Return the deployments as one graph whose nodes are steps, then devices, then flows.

    Args:
        arrays: The deployments.

    Returns:
        Source and target of every edge [2, E], and its kind, one-hot in the order of
        :data:`EDGE_KINDS` [E, len(EDGE_KINDS)].
    """
    steps = len(arrays.step_mean)
    step = torch.arange(steps, device=arrays.step_device.device)
    device, flow = arrays.step_device + steps, arrays.step_flow + steps + arrays.devices
    later = step[arrays.step_position > 0]
    before = arrays.step_previous[later]
    pairs = [(step, device), (device, step), (before, later), (later, before)]
    pairs += [(step, flow), (flow, step)]
    kinds = torch.cat([torch.full_like(source, number) for number, (source, _) in enumerate(pairs)])
    edges = torch.stack([torch.cat(side) for side in zip(*pairs, strict=True)])
    one_hot = nn.functional.one_hot(kinds, len(EDGE_KINDS))
    return edges, one_hot.to(arrays.step_mean.dtype)


class MessagePassing(DeploymentNetwork):
    """Residual layers of one kind on the plain graph, then the common read-out.

    Args:
        hidden: Width of all states, even, >= 2.
        layers: Number of layers, >= 1: how far news travel, in edges.
        groups: Feature groups it reads beside the plain features.
    """

    def __init__(self, hidden: int = 48, layers: int = 4, groups: Sequence[str] = ()) -> None:
        super().__init__(hidden, groups)
        require(layers >= 1, "layers", "be >= 1", layers)
        self.settings["layers"] = layers
        self.layers = nn.ModuleList(self.layer(hidden) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers))
        self.last_norm = nn.LayerNorm(hidden)
        self.head = correction_head(3 * hidden, hidden)
        self.law_head = law_head(hidden, self.law_numbers, self.join_numbers)

    @abstractmethod
    def layer(self, hidden: int) -> nn.Module:
        """Return a new layer.

        Args:
            hidden: Width of its inputs and outputs.

        Returns:
            A module of states [N, H], edges [2, E] and their kinds [E, len(EDGE_KINDS)] that gives
            states [N, H].
        """

    def states(self, arrays: FlowArrays, features: Features) -> States:
        node = torch.cat([
            self.step_encoder(features.step),
            self.device_encoder(features.device),
            self.flow_encoder(features.flow),
        ])  # [S + D + P, H]
        edges, kinds = plain_graph(arrays)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            node = node + nn.functional.silu(layer(norm(node), edges, kinds))
        sizes = [len(arrays.step_mean), arrays.devices, len(arrays.flow_chain)]
        step, device, flow = torch.split(self.last_norm(node), sizes)
        return step, device, flow
