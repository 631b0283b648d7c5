"""Predictions of a :class:`~surrogate.exits.trace_network.TraceNet` by its compiled form.

Affine parts of normalizations, and what parameters start from, go into the products beside them;
weights are filled up with zeros to the sizes that the kernel multiplies.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from surrogate.exits.tables import ConfidenceTable
from surrogate.exits.trace_arrays import Found, Scratch, Weights
from surrogate.exits.trace_kernel import INPUTS_TOGETHER, OUTPUTS_TOGETHER, TILE, predict
from surrogate.exits.trace_network import TraceNet
from surrogate.exits.trunk import Block
from surrogate.parallel import in_threads

__all__ = ["LEAST_PER_THREAD", "compiled_prediction"]

LEAST_PER_THREAD = 256
"""Vectors that are worth a thread of their own: a few milliseconds of work."""


def compiled_prediction(
    network: TraceNet,
    thresholds: NDArray[np.float64],
    row: NDArray[np.int64],
    table: ConfidenceTable | None = None,
) -> Found:
    """Predict, on as many threads as torch uses.

    Args:
        network: The network.
        thresholds: Thresholds [B, E - 1]; finite, >= 0.
        row: Row of the table for each vector [B].
        table: Table of other contexts; the network's own by default.

    Returns:
        What the network itself predicts in single precision.
    """
    weights = _weights(network, network.table if table is None else table)
    tau = np.ascontiguousarray(thresholds, dtype=np.float32)
    found = Found(*(np.empty((len(tau), network.exits), np.float32) for _ in Found._fields))
    settings = (network.settings["width"], network.settings["heads"])

    def work(part: slice) -> None:
        own = Found(*(values[part] for values in found))
        predict(tau[part], row[part], *settings, weights, _scratch(network.exits, weights), own)

    threads = max(1, min(torch.get_num_threads(), len(tau) // LEAST_PER_THREAD))
    size = TILE * -(-len(tau) // (threads * TILE))  # whole tiles, but for the last thread
    parts = [slice(first, first + size) for first in range(0, len(tau), max(size, 1))]
    in_threads(work, parts)
    return found


def _weights(network: TraceNet, table: ConfidenceTable) -> Weights:
    """Return the network as the kernel reads it."""
    with torch.no_grad():
        blocks = [_block(cast(Block, block)) for block in network.trunk.blocks]
        joint, attended, wide, narrow = (torch.stack(own) for own in zip(*blocks, strict=True))
        values = (
            *table,
            network.rates_of(table),
            network.tokens_of(table),
            _product(network.embedded)[None],
            joint,
            attended,
            wide,
            narrow,
            _product(network.parameters_of, network.trunk.after, network.start())[None],
        )
        return Weights(*(np.ascontiguousarray(own.float().numpy()) for own in values))


def _block(block: Block) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        _product(block.query_key_value, block.before_attention),
        _product(block.attended),
        _product(block.wide, block.before_widening),
        _product(block.narrow),
    )


def _product(
    linear: nn.Linear, norm: nn.LayerNorm | None = None, start: Tensor | None = None
) -> Tensor:
    """Return weights and, last, biases of a layer, filled up.

    Args:
        linear: The layer.
        norm: The normalization before it, whose affine part it takes over.
        start: Added to its outputs.
    """
    weight: Tensor = linear.weight
    bias: Tensor = linear.bias
    if norm is not None:
        weight, bias = weight * norm.weight, bias + weight @ norm.bias
    if start is not None:
        bias = bias + start
    outputs = OUTPUTS_TOGETHER * -(-linear.out_features // OUTPUTS_TOGETHER)
    inputs = INPUTS_TOGETHER * -(-linear.in_features // INPUTS_TOGETHER)
    filled = weight.new_zeros(outputs, inputs + 1)
    filled[: linear.out_features, : linear.in_features] = weight
    filled[: linear.out_features, -1] = bias
    return filled


def _scratch(exits: int, weights: Weights) -> Scratch:
    """Return room for a tile of a network."""

    def room(*shape: int) -> NDArray[np.float32]:
        return np.zeros((*shape, TILE), dtype=np.float32)

    # What a product reads has the rows of its filled-up inputs, and what it writes those of its
    # filled-up outputs: features and tokens are both.
    width = max(weights.attended.shape[1], weights.joint.shape[2] - 1)
    return Scratch(
        tau=room(exits - 1),
        logits=room(exits - 1, 2),
        reached=room(exits - 1, 2),
        features=room(weights.embedded.shape[2] - 1),
        tokens=room(exits, weights.static.shape[2]),
        moments=room(2),
        normal=room(width),
        joint=room(exits, weights.joint.shape[1]),
        score=room(exits + 1),
        mixed=room(width),
        wide=room(max(weights.wide.shape[1], weights.narrow.shape[2] - 1)),
        rise=room(width),
        outputs=room(weights.outputs.shape[1]),
        mixture=room(3),
        staying=room(),
    )
