"""A small causal transformer over exits: what is said of an exit depends on earlier ones only."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from datagen.errors import require
from surrogate.exits.constants import NORM_EPSILON

__all__ = ["Block", "CausalTrunk"]

WIDENING = 2
"""Width of the feed-forward layers over that of the tokens; 4, as usual, only cost time."""


class Block(nn.Module):
    """Causal self-attention and a feed-forward layer, normalized before each, as in GPT-2."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.before_widening = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.wide = nn.Linear(width, WIDENING * width)
        self.narrow = nn.Linear(WIDENING * width, width)

    def forward(self, x: Tensor) -> Tensor:
        rows, exits, width = x.shape
        joint = self.query_key_value(self.before_attention(x))
        split = joint.view(rows, exits, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each [B, heads, E, width / heads]
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.attended(mixed.transpose(1, 2).reshape(rows, exits, width))
        rise: Tensor = self.narrow(F.silu(self.wide(self.before_widening(x))))
        return x + rise


class CausalTrunk(nn.Module):
    """Decoder-only transformer: the state of a token depends on it and on those before it.

    Args:
        width: Features per token, a multiple of ``heads``.
        layers: Number of blocks, >= 1.
        heads: Attention heads, >= 1.
    """

    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        require(layers >= 1, "layers", "be >= 1", layers)
        require(heads >= 1, "heads", "be >= 1", heads)
        require(width >= 1 and width % heads == 0, "width", f"be a multiple of {heads}", width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.after = nn.LayerNorm(width, eps=NORM_EPSILON)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the states of the tokens.

        Args:
            tokens: One per exit [B, E, width].

        Returns:
            States [B, E, width].
        """
        for block in self.blocks:
            tokens = block(tokens)
        states: Tensor = self.after(tokens)
        return states
