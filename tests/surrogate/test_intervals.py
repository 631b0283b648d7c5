"""Conformal intervals: they cover what they promise, bin by bin, and stay physical."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from datagen.evaluation import pack
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.features import FeatureFunction, Features
from surrogate.intervals import LEVEL, TARGETS, Intervals
from tests.surrogate.cases import random_deployments

Ratios = dict[str, torch.Tensor]


def made_up(count: int, seed: int) -> tuple[FlowArrays, Features, Ratios, Ratios]:
    """Predictions that are off by more on busy chains."""
    arrays = flow_arrays(pack(random_deployments(count, seed=seed)))
    features = FeatureFunction()(arrays)
    load = arrays.at_steps(features.prior.offered)
    chain = arrays.flow_chain[arrays.step_flow]
    busiest = torch.zeros(arrays.chains).scatter_reduce(0, chain, load, "amax")
    generator = torch.Generator().manual_seed(seed)
    predicted, true = {}, {}
    for name in TARGETS:
        noise = torch.randn(arrays.chains, generator=generator)
        centre = torch.rand(arrays.chains, generator=generator) * 6 - 3
        predicted[name] = torch.sigmoid(centre)
        true[name] = torch.sigmoid(centre + (0.02 + 0.3 * (busiest > 1)) * noise)
    return arrays, features, predicted, true


def covered(intervals: Intervals, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    arrays, features, predicted, true = made_up(count, seed)
    bounds = intervals.bounds(arrays, features, predicted)
    low, high = bounds["latency_ratio"]
    value = true["latency_ratio"]
    return ((low <= value) & (value <= high)).numpy(), (high - low).numpy()


def test_new_chains_are_covered_in_every_regime() -> None:
    arrays, features, predicted, true = made_up(900, seed=1)
    intervals = Intervals.fit(arrays, features, predicted, true)
    inside, width = covered(intervals, 900, seed=2)
    assert LEVEL - 0.03 <= inside.mean() <= LEVEL + 0.03
    new = made_up(900, seed=2)[0]
    busy = FeatureFunction()(new).prior.offered
    chain = new.flow_chain[new.step_flow]
    busiest = torch.zeros(new.chains).scatter_reduce(0, chain, new.at_steps(busy), "amax").numpy()
    for regime in (busiest > 1.0, busiest <= 1.0):
        assert LEVEL - 0.05 <= inside[regime].mean() <= LEVEL + 0.05
    assert width[busiest > 1.0].mean() > 4 * width[busiest <= 1.0].mean()


def test_bounds_hold_the_prediction_and_are_physical() -> None:
    arrays, features, predicted, true = made_up(60, seed=3)
    intervals = Intervals.fit(arrays, features, predicted, true)
    for name in TARGETS:
        predicted[name][:4] = torch.tensor([0.0, 1.0, 1e-9, 1 - 1e-7])
    for name, (low, high) in intervals.bounds(arrays, features, predicted).items():
        assert (low >= 0).all()
        assert (high <= 1).all()
        assert (low <= predicted[name]).all()
        assert (predicted[name] <= high).all()


def test_undefined_labels_do_not_count() -> None:
    arrays, features, predicted, true = made_up(60, seed=4)
    whole = Intervals.fit(arrays, features, predicted, true)
    true["latency_ratio"][::2] = torch.nan
    half = Intervals.fit(arrays, features, predicted, true)
    assert torch.equal(whole.radius["throughput_ratio"], half.radius["throughput_ratio"])
    assert torch.isfinite(half.radius["latency_ratio"]).all()
    true["latency_ratio"][:] = torch.nan
    nothing = Intervals.fit(arrays, features, predicted, true)
    low, high = nothing.bounds(arrays, features, predicted)["latency_ratio"]
    assert (low == 0).all()
    assert (high == 1).all()


def test_survives_a_file_and_refuses_another() -> None:
    intervals = Intervals.fit(*made_up(60, seed=5))
    document = json.loads(json.dumps(intervals.as_json(), allow_nan=False))
    found = Intervals.from_json(document)
    for name in TARGETS:
        assert torch.equal(found.radius[name], intervals.radius[name])
    with pytest.raises(ValueError, match="level"):
        Intervals.from_json(document | {"level": 0.5})
    with pytest.raises(ValueError, match="latency_ratio must have shape"):
        Intervals.from_json(document | {"latency_ratio": [[1.0]]})
