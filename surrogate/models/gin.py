"""The graph isomorphism baseline.

References:
    Xu, Hu, Leskovec and Jegelka, How powerful are graph neural networks?, ICLR 2019.
    Hu et al., Strategies for pre-training graph neural networks, ICLR 2020 (kinds of edges).
"""

from __future__ import annotations

from torch import nn

from surrogate.models.message_passing import EDGE_KINDS, MessagePassing

__all__ = ["GIN"]


class GIN(MessagePassing):
    """Sums over all neighbours, then two dense layers; the kind of an edge shifts its message."""

    def layer(self, hidden: int) -> nn.Module:
        # Imported where one is built: it takes seconds, and other networks do without.
        from torch_geometric.nn import GINEConv

        dense = nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        return GINEConv(dense, train_eps=True, edge_dim=len(EDGE_KINDS))  # type: ignore[no-any-return]
