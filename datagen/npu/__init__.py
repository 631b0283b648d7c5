"""Batching accelerators: layers, processing arrays, how long a batch takes, who is in it."""

from datagen.npu.accelerator import Npu
from datagen.npu.arrays import ARRAYS, ProcessingArray, processing_array
from datagen.npu.batch_policies import BatchPolicy, batch_policy
from datagen.npu.batching import BATCH_POLICIES, LARGEST_BATCH, BatchConfig
from datagen.npu.latency import VARIANTS, layer_seconds, layer_utilization, segment_seconds
from datagen.npu.layers import Block, Layer, Network, convolution, dense
from datagen.npu.networks import NETWORKS, network
from datagen.npu.setting import BatchSetting
from datagen.npu.tables import BatchTable, read_table

__all__ = [
    "ARRAYS",
    "BATCH_POLICIES",
    "LARGEST_BATCH",
    "NETWORKS",
    "VARIANTS",
    "BatchConfig",
    "BatchPolicy",
    "BatchSetting",
    "BatchTable",
    "Block",
    "Layer",
    "Network",
    "Npu",
    "ProcessingArray",
    "batch_policy",
    "convolution",
    "dense",
    "layer_seconds",
    "layer_utilization",
    "network",
    "processing_array",
    "read_table",
    "segment_seconds",
]
