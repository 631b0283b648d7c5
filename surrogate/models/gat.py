"""The graph attention baseline.

References:
    Velickovic, Cucurull, Casanova, Romero, Lio and Bengio, Graph attention networks, ICLR 2018.
"""

from __future__ import annotations

from torch import nn

from surrogate.models.message_passing import EDGE_KINDS, MessagePassing

__all__ = ["GAT"]

HEADS = 2
"""As many as the published comparison and our own network use at devices."""


class GAT(MessagePassing):
    """Graph attention over all neighbours at once; the kind of an edge enters its weight."""

    def layer(self, hidden: int) -> nn.Module:
        # Imported where one is built: it takes seconds, and other networks do without.
        from torch_geometric.nn import GATConv

        return GATConv(  # type: ignore[no-any-return]
            hidden, hidden // HEADS, heads=HEADS, edge_dim=len(EDGE_KINDS), add_self_loops=False
        )
