"""A small released checkpoint for tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from datagen.evaluation import Effect, pack
from surrogate.checkpoints import save_release
from surrogate.coverage import Coverage
from surrogate.error_scale import Chains
from surrogate.features.arrays import flow_arrays
from surrogate.intervals import Intervals
from surrogate.models import ChainNet
from tests.contracts.models import scatter_weights
from tests.surrogate.cases import random_deployments

METRICS = {"held_out": {"tiny": {"deployments": 3}}}


def small_network() -> ChainNet:
    """A network with weights of its own."""
    network = ChainNet(hidden=8, iterations=2, groups=["spacing"], companions=True)
    return scatter_weights(network).eval()


def some_intervals(network: ChainNet) -> Intervals:
    """Intervals fitted to made-up truths."""
    arrays = flow_arrays(pack(random_deployments(60, seed=61)))
    with torch.no_grad():
        features = network.features(arrays)
        chains = Chains.of(arrays, features, network.predict(arrays, features))
    return Intervals.fit(chains, {name: 0.9 * value for name, value in chains.predicted.items()})


def release(folder: Path, *, also: Effect = Effect.NONE, network: ChainNet | None = None) -> Path:
    """Write a checkpoint of a network, the small one by default; it covers random deployments."""
    network = network or small_network()
    batch = pack(random_deployments(60, seed=61))
    arrays = flow_arrays(batch)
    features = network.features(arrays)
    coverage = Coverage.of(batch, arrays, features).calibrated([[(arrays, features)]])
    coverage = replace(coverage, effects=coverage.effects | also)
    save_release(
        folder, network, coverage, some_intervals(network), metrics=METRICS, card="# tiny\n"
    )
    return folder
