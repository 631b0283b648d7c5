"""Conformal intervals: they cover what they promise, bin by bin, and stay physical."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from datagen.evaluation import pack
from surrogate.error_scale import Chains
from surrogate.features.arrays import flow_arrays
from surrogate.intervals import LEVEL, SHAPE, Intervals, crossed_coverage
from surrogate.targets import TARGETS
from tests.surrogate.cases import random_deployments
from tests.surrogate.releases import small_network

Ratios = dict[str, torch.Tensor]


def made_up(count: int, seed: int) -> tuple[Chains, Ratios]:
    """Chains and truths that are off by more on busy chains."""
    arrays = flow_arrays(pack(random_deployments(count, seed=seed)))
    network = small_network()
    with torch.no_grad():
        features = network.features(arrays)
        chains = Chains.of(arrays, features, network.predict(arrays, features))
    generator = torch.Generator().manual_seed(seed)
    true = {}
    for name, target in TARGETS.items():
        noise = torch.randn(arrays.chains, generator=generator)
        centre = target.scale.spread(chains.predicted[name])
        true[name] = target.scale.unspread(centre + (0.02 + 0.3 * (chains.load > 1)) * noise)
    return chains, true


def covered(intervals: Intervals, chains: Chains, true: Ratios) -> tuple[np.ndarray, np.ndarray]:
    low, high = intervals.bounds(chains)["latency_ratio"]
    value = true["latency_ratio"]
    return ((low <= value) & (value <= high)).numpy(), (high - low).numpy()


def test_new_chains_are_covered_in_every_regime() -> None:
    intervals = Intervals.fit(*made_up(900, seed=1))
    chains, true = made_up(900, seed=2)
    inside, width = covered(intervals, chains, true)
    assert LEVEL - 0.02 <= inside.mean() <= LEVEL + 0.04
    busy = (chains.load > 1).numpy()
    for regime in (busy, ~busy, (chains.length > 3).numpy(), (chains.length < 3).numpy()):
        assert LEVEL - 0.05 <= inside[regime].mean() <= LEVEL + 0.06
    assert width[busy].mean() > 4 * width[~busy].mean()


def test_hard_chains_get_wider_intervals_within_a_bin() -> None:
    chains, true = made_up(900, seed=3)
    name = "throughput_ratio"
    scale = TARGETS[name].scale
    # One bin, and an error that one input tells exactly.
    chains = replace(chains, load=torch.ones_like(chains.load), count=torch.ones_like(chains.count))
    hard = chains.inputs[:, 3] > chains.inputs[:, 3].median()
    centre = scale.spread(chains.predicted[name])
    noise = torch.randn(len(hard), generator=torch.Generator().manual_seed(9))
    true[name] = scale.unspread(centre + torch.where(hard, 1.0, 0.05) * noise)
    reach = Intervals.fit(chains, true).scale.expected(name, chains.inputs)
    assert reach[hard].median() > 3 * reach[~hard].median()


def test_bounds_hold_the_prediction_and_are_physical() -> None:
    chains, true = made_up(60, seed=3)
    intervals = Intervals.fit(chains, true)
    for values in chains.predicted.values():
        values[:4] = torch.tensor([0.0, 1.0, 1e-9, 1 - 1e-7])
    for name, (low, high) in intervals.bounds(chains).items():
        assert (low >= 0).all()
        assert name == "p95" or (high <= 1).all()
        assert (low <= chains.predicted[name]).all()
        assert (chains.predicted[name] <= high).all()


def test_undefined_labels_do_not_count() -> None:
    chains, true = made_up(60, seed=4)
    whole = Intervals.fit(chains, true)
    true["latency_ratio"][::2] = torch.nan
    half = Intervals.fit(chains, true)
    assert torch.equal(whole.radius["throughput_ratio"], half.radius["throughput_ratio"])
    assert torch.isfinite(half.radius["latency_ratio"]).all()
    true["latency_ratio"][:] = torch.nan
    none = Intervals.fit(chains, true)
    assert set(none.bounds(chains)) == {"throughput_ratio", "p95"}
    assert set(Intervals.from_json(json.loads(json.dumps(none.as_json()))).radius) == {
        "throughput_ratio",
        "p95",
    }


def test_coverage_is_told_of_deployments_that_no_fit_saw() -> None:
    chains, true = made_up(900, seed=7)
    found = crossed_coverage(chains, true)
    assert set(found) == set(TARGETS)
    for shares in found.values():
        assert LEVEL - 0.02 <= (shares["covered"] or 0) <= LEVEL + 0.04
        for name in ("least_of_any_load", "least_of_any_length"):
            least = shares[name]
            assert least is not None
            # Of about ten bins of a hundred chains each: three standard errors of a share.
            assert LEVEL - 0.1 <= least <= (shares["covered"] or 0) + 0.02
    # What differs between deployments as a whole is never seen beforehand, and so never covered.
    name = "throughput_ratio"
    scale = TARGETS[name].scale
    shift = torch.where(chains.deployment == 3, 9.0, 0.0)
    true[name] = scale.unspread(scale.spread(chains.predicted[name]) + shift)
    shares = crossed_coverage(chains, true)[name]
    covered = 1.0 - float((chains.deployment == 3).float().mean())
    assert shares["covered"] == pytest.approx(covered, abs=1e-6)


def test_coverage_of_few_chains_is_left_open() -> None:
    chains, true = made_up(12, seed=8)
    shares = crossed_coverage(chains, true)["latency_ratio"]
    assert shares["covered"] is not None
    assert shares["least_of_any_load"] is None


def test_joined_chains_keep_their_deployments_apart() -> None:
    chains, _ = made_up(10, seed=6)
    both = Chains.joined([chains, chains])
    assert len(torch.unique(both.deployment)) == 2 * len(torch.unique(chains.deployment))
    assert torch.equal(both.inputs, torch.cat([chains.inputs, chains.inputs]))
    assert torch.equal(
        both.predicted["latency_ratio"][: len(chains.load)],
        both.predicted["latency_ratio"][len(chains.load) :],
    )


def test_survives_a_file_and_refuses_another() -> None:
    chains, true = made_up(60, seed=5)
    intervals = Intervals.fit(chains, true)
    document = json.loads(json.dumps(intervals.as_json(), allow_nan=False))
    found = Intervals.from_json(document)
    for name, (low, high) in intervals.bounds(chains).items():
        again = found.bounds(chains)[name]
        assert torch.equal(low, again[0])
        assert torch.equal(high, again[1])
    with pytest.raises(ValueError, match="level"):
        Intervals.from_json(document | {"level": 0.5})
    radius = document["radius"] | {"latency_ratio": [[1.0]]}
    with pytest.raises(ValueError, match=r"latency_ratio must have shape .*\(1, 1\)"):
        Intervals.from_json(document | {"radius": radius})
    weights = document["scale"]["weights"] | {"latency_ratio": [1.0]}
    with pytest.raises(ValueError, match="latency_ratio must hold"):
        Intervals.from_json(document | {"scale": document["scale"] | {"weights": weights}})
    assert found.radius["latency_ratio"].shape == SHAPE
