"""A part that is switched off has no influence left, and all variants are trained and judged."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch

from datagen.evaluation import pack
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.features import (
    DEVICE_FEATURES,
    FLOW_FEATURES,
    STEP_FEATURES,
    FeatureFunction,
    Features,
)
from tests.contracts.models import scatter_weights
from tests.surrogate.cases import close, random_deployments, write_dataset

NAMES = {"step": STEP_FEATURES, "device": DEVICE_FEATURES, "flow": FLOW_FEATURES}


@pytest.fixture
def networks() -> ModuleType:
    return import_module("ablation_networks")


@pytest.fixture
def arrays() -> FlowArrays:
    return flow_arrays(pack(random_deployments(12, seed=5)))


@pytest.fixture
def features(arrays: FlowArrays) -> Features:
    return FeatureFunction()(arrays)


def another_prior(features: Features) -> Features:
    """The same features with a prior that errs."""
    prior = features.prior
    loss, wait = 0.5 + 0.5 * prior.step_loss, 1.0 + 3.0 * prior.step_wait
    return replace(features, prior=replace(prior, step_loss=loss, step_wait=wait))


def other_decomposition_features(words: tuple[str, ...], features: Features) -> Features:
    """The same features but for those that the decomposition tells."""
    changed = {}
    for level, names in NAMES.items():
        told = torch.tensor([any(word in name for word in words) for name in names])
        changed[level] = getattr(features, level) + 2.0 * told
    return replace(features, **changed)


def test_every_word_names_features_and_leaves_the_published_ones(networks: ModuleType) -> None:
    names = [name for group in NAMES.values() for name in group]
    told = {word: [name for name in names if word in name] for word in networks.DECOMPOSITION_WORDS}
    assert all(told.values()), told
    left = set(names) - {name for group in told.values() for name in group}
    assert {"share of the device's load", "demand / capacity"} <= left
    assert {"1 / capacity in jobs (0 if unlimited)", "length / 10"} <= left


@pytest.mark.parametrize(
    ("name", "without_base", "without_features"),
    [
        ("NoPriorBase", True, False),
        ("NoDecompositionFeatures", False, True),
        ("FromScratch", True, True),
        ("MeanOfSteps", False, False),
    ],
)
def test_what_is_switched_off_has_no_influence(
    networks: ModuleType,
    arrays: FlowArrays,
    features: Features,
    name: str,
    without_base: bool,
    without_features: bool,
) -> None:
    network = scatter_weights(getattr(networks, name)(hidden=8)).eval()
    words = networks.DECOMPOSITION_WORDS
    with torch.no_grad():
        known = network.predict(arrays, features).log_throughput_ratio
        rebased = network.predict(arrays, another_prior(features)).log_throughput_ratio
        changed = other_decomposition_features(words, features)
        reseen = network.predict(arrays, changed).log_throughput_ratio
    assert torch.equal(known, rebased) == without_base
    assert torch.equal(known, reseen) == without_features


def test_a_plain_read_out_has_only_its_range(
    networks: ModuleType, arrays: FlowArrays, features: Features
) -> None:
    network = scatter_weights(networks.PlainReadOut(hidden=8)).eval()
    with torch.no_grad():
        known = network.predict(arrays, features)
        rebased = network.predict(arrays, another_prior(features))
    for name in ("throughput_ratio", "latency_ratio"):
        values = getattr(known, name)
        assert ((values >= 0) & (values <= 1)).all()
        assert torch.equal(values, getattr(rebased, name))
    unloaded = arrays.sum_to_flows(arrays.step_mean)[arrays.flow_chain.argsort()]
    close(known.latency * known.latency_ratio, unloaded)


def test_devices_hear_a_mean(networks: ModuleType) -> None:
    layer = networks.DeviceMean(3, 4)
    step, device = torch.randn(5, 3), torch.tensor([0, 2, 0, 0, 2])
    found = layer(step, device, 4)
    for number in range(4):
        own = layer.message(step[device == number])
        close(found[number], own.mean(dim=0) if len(own) else torch.zeros(4))


@pytest.fixture
def _level_of_lightning() -> Iterator[None]:
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    yield
    log.setLevel(level)


@pytest.mark.usefixtures("_level_of_lightning")
def test_trains_judges_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, judged = (
        str(write_dataset(tmp_path / name, random_deployments(count, seed=count)))
        for name, count in (("train", 40), ("judged", 20))
    )
    words = [train, judged, "--rows", "32", "--epochs", "1", "--batch", "8", "--json"]
    words += ["--out", str(tmp_path), "--only", "one iteration", "--only", "gin"]
    assert import_module("ablation").main(words) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["name"] for row in rows] == ["prior alone", "one iteration", "gin"]
    errors = [row["errors"]["judged"]["throughput_ratio"]["mape"] for row in rows]
    assert len(set(errors)) == 3
    (file,) = tmp_path.glob("ablation_*.md")
    assert "| one iteration |" in file.read_text()
