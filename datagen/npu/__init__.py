"""Batching accelerators: layers, processing arrays, and how long a batch takes."""

from datagen.npu.accelerator import Npu
from datagen.npu.arrays import ARRAYS, ProcessingArray, processing_array
from datagen.npu.latency import VARIANTS, layer_seconds, layer_utilization, segment_seconds
from datagen.npu.layers import Block, Layer, Network, convolution, dense
from datagen.npu.networks import NETWORKS, network
from datagen.npu.tables import BatchTable, read_table

__all__ = [
    "ARRAYS",
    "NETWORKS",
    "VARIANTS",
    "BatchTable",
    "Block",
    "Layer",
    "Network",
    "Npu",
    "ProcessingArray",
    "convolution",
    "dense",
    "layer_seconds",
    "layer_utilization",
    "network",
    "processing_array",
    "read_table",
    "segment_seconds",
]
