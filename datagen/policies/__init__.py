"""Policies that need no more than what they decide upon: how accelerators form batches."""

from datagen.policies.batch_policies import BatchPolicy, batch_policy
from datagen.policies.batching import BATCH_POLICIES, LARGEST_BATCH, BatchConfig

__all__ = [
    "BATCH_POLICIES",
    "LARGEST_BATCH",
    "BatchConfig",
    "BatchPolicy",
    "batch_policy",
]
