"""How long a batch takes on a processing array, layer by layer.

A batch of b samples is laid out as B_R x B_P >= b: B_R samples stacked along the rows, B_P side by
side along the dot products. With stacking k the tiles become T_R / k, T_P k, T_C / k, and a layer
takes

    ceil(B_R R / T_R') ceil(B_P P / T_P') ceil(C / T_C') T_R'   cycles,

once per group. Meanwhile its weights are read once and inputs and outputs moved for every sample;
the longer of both is the time of the layer. Three variants differ in what a batch may choose, layer
by layer and size by size:

- ``fixed``: B_P = 1 and k = 1.
- ``fluid``: any B_R and B_P; narrow groups of a grouped convolution share a dot product.
- ``fluid+stackable``: k = 1 or 2 besides.

Early layers have many rows and fill the tiles alone: batches gain little there. Late ones have few
rows and many weights, and gain most. No single straight line describes both.

Reference:
    Kouris, Venieris, Laskaridis and Lane, Fluid batching, 2022. Its cycle counts are not published;
    the formula is the usual one for such arrays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.npu.arrays import BYTES_PER_VALUE, ProcessingArray
from datagen.npu.layers import Layer, Network

__all__ = ["VARIANTS", "layer_seconds", "layer_utilization", "segment_seconds"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

VARIANTS = ("fixed", "fluid", "fluid+stackable")
"""What a batch may choose, from least to most."""

STACKINGS = {"fixed": (1,), "fluid": (1,), "fluid+stackable": (1, 2)}
"""Stacking factors of each variant."""


def layer_seconds(layer: Layer, array: ProcessingArray, variant: str, max_batch: int) -> Floats:
    """Return the time a layer takes for every batch size.

    Args:
        layer: The layer.
        array: Where it runs.
        variant: One of :data:`VARIANTS`.
        max_batch: Largest batch, >= 1.

    Returns:
        Seconds for batches of 1, 2, ..., non-decreasing [max_batch].

    Raises:
        InvalidInputError: If the variant is unknown or the batch is empty.
    """
    require(variant in VARIANTS, "variant", f"be one of {', '.join(VARIANTS)}", variant)
    require(max_batch >= 1, "max_batch", "be >= 1", max_batch)
    batch = np.arange(1, max_batch + 1)
    cycles = np.min(
        [_cycles(layer, array, variant, stacking, batch) for stacking in STACKINGS[variant]], axis=0
    )
    moved = layer.weights + batch * (layer.inputs + layer.outputs)
    seconds: Floats = np.maximum(cycles / array.clock, moved * BYTES_PER_VALUE / array.bandwidth)
    return seconds


def _cycles(
    layer: Layer, array: ProcessingArray, variant: str, stacking: int, batch: Ints
) -> Floats:
    """Cycles of the best layout of each batch at one stacking factor."""
    rows, columns = array.tile_rows // stacking, array.tile_columns // stacking
    depth = array.tile_depth * stacking
    beside = np.arange(1, batch[-1] + 1) if variant != "fixed" else np.ones(1, dtype=np.int64)
    stacked = _ceil(batch[:, None], beside)  # [batch, layouts]
    turns = layer.groups
    if variant != "fixed":
        turns = int(_ceil(layer.groups, max(depth // layer.depth, 1)))
    tiles = (
        _ceil(stacked * layer.rows, rows)
        * _ceil(beside * layer.depth, depth)
        * _ceil(layer.columns, columns)
    )
    # More samples side by side than there are is never better: such layouts only add work.
    cycles: Floats = tiles.min(axis=1) * float(rows * turns)
    return cycles


def _ceil(part: Ints | int, whole: Ints | int) -> Ints:
    return -(-np.asarray(part, dtype=np.int64) // np.asarray(whole, dtype=np.int64))


def layer_utilization(layer: Layer, array: ProcessingArray, variant: str, max_batch: int) -> Floats:
    """Return the share of the array's peak that a layer reaches for every batch size.

    Args:
        layer: The layer.
        array: Where it runs.
        variant: One of :data:`VARIANTS`.
        max_batch: Largest batch, >= 1.

    Returns:
        Useful operations per second over the peak, in (0, 1] [max_batch].

    Raises:
        InvalidInputError: If the variant is unknown or the batch is empty.
    """
    seconds = layer_seconds(layer, array, variant, max_batch)
    return np.arange(1, max_batch + 1) * layer.operations / (seconds * array.peak)


def segment_seconds(
    network: Network, exits: int, array: ProcessingArray, variant: str, max_batch: int
) -> Floats:
    """Return how long each segment between exits takes for every batch size.

    Args:
        network: The network.
        exits: Its exits, the last classifier included.
        array: Where it runs.
        variant: One of :data:`VARIANTS`.
        max_batch: Largest batch, >= 1.

    Returns:
        Seconds, non-decreasing along batches [exits, max_batch]. The exit's own classifier counts
        with the segment before it.

    Raises:
        InvalidInputError: If an argument is out of range.
    """
    return np.stack([
        _sum(segment, array, variant, max_batch) for segment in network.segments(exits)
    ])


def _sum(layers: Sequence[Layer], array: ProcessingArray, variant: str, max_batch: int) -> Floats:
    seconds = [layer_seconds(layer, array, variant, max_batch) for layer in layers]
    total: Floats = np.sum(seconds, axis=0)
    return total
