"""A small released checkpoint for tests."""

from __future__ import annotations

from pathlib import Path

from datagen.evaluation import Effect, pack
from surrogate.checkpoints import save_release
from surrogate.coverage import Coverage
from surrogate.features.arrays import flow_arrays
from surrogate.models import ChainNet
from tests.contracts.models import scatter_weights
from tests.surrogate.cases import random_deployments

METRICS = {"held_out": {"tiny": {"deployments": 3}}}


def small_network() -> ChainNet:
    """A network with weights of its own."""
    return scatter_weights(ChainNet(hidden=8, iterations=2)).eval()


def release(folder: Path, *, also: Effect = Effect.NONE) -> Path:
    """Write a checkpoint of the small network, which covers what random deployments use."""
    network = small_network()
    batch = pack(random_deployments(60, seed=61))
    coverage = Coverage.of(batch, network.features(flow_arrays(batch)))
    coverage = Coverage(effects=coverage.effects | also, ranges=coverage.ranges)
    save_release(folder, network, coverage, metrics=METRICS, card="# tiny\n")
    return folder
