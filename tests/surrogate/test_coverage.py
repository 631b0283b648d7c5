"""Coverage: what was trained on, in a form that survives a file."""

from __future__ import annotations

import json

import pytest
import torch

from datagen.evaluation import DeploymentBatch, Effect, pack
from surrogate.coverage import Coverage
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.features import (
    DEVICE_FEATURES,
    FLOW_FEATURES,
    STEP_FEATURES,
    FeatureFunction,
    Features,
)
from tests.surrogate.cases import random_deployments, single


@pytest.fixture(scope="module")
def batch() -> DeploymentBatch:
    return pack(random_deployments(40, seed=51))


def seen(batch: DeploymentBatch) -> tuple[FlowArrays, Features]:
    arrays = flow_arrays(batch)
    return arrays, FeatureFunction()(arrays)


def test_training_data_are_inside(batch: DeploymentBatch) -> None:
    arrays, features = seen(batch)
    coverage = Coverage.of(batch, features)
    assert coverage.reasons(arrays, features) == [None] * len(batch)
    used = Effect(int(batch.effects.max()))
    assert used in coverage.effects
    assert coverage.effects >= Effect.RANDOM_SERVICE | Effect.DEADLINE


def test_rare_effects_do_not_count() -> None:
    plain = pack([single(capacity=5)] * 399 + [single(capacity=None)])
    coverage = Coverage.of(plain, seen(plain)[1])
    assert Effect.UNLIMITED_BUFFER not in coverage.effects


def test_says_what_lies_outside(batch: DeploymentBatch) -> None:
    coverage = Coverage.of(batch, seen(batch)[1])
    strange = pack([single(), single(rate=1e-5), single(rate=900.0)])
    idle, drowned = coverage.reasons(*seen(strange))[1:]
    assert idle is not None
    assert drowned is not None
    assert "load" in drowned
    assert "outside [" in drowned


def test_longer_chains_alone_are_no_reason() -> None:
    short = pack([
        single(rate=rate, means=(0.4, 0.4), hosts=(0, 1)) for rate in (0.2, 0.4, 0.6, 0.8)
    ])
    coverage = Coverage.of(short, seen(short)[1])
    ranges = {level: values.clone() for level, values in coverage.ranges.items()}
    for level, names in (
        ("step", STEP_FEATURES),
        ("device", DEVICE_FEATURES),
        ("flow", FLOW_FEATURES),
    ):
        for column, name in enumerate(names):
            if "/ 10" in name or name.startswith("position"):
                ranges[level][:, column] = torch.tensor([0.9, 0.9])
    narrow = Coverage(effects=coverage.effects, ranges=ranges)
    assert narrow.reasons(*seen(short)) == [None] * len(short)


def test_survives_a_file(batch: DeploymentBatch) -> None:
    coverage = Coverage.of(batch, seen(batch)[1])
    document = json.loads(json.dumps(coverage.as_json(), allow_nan=False))
    found = Coverage.from_json(document)
    assert found.effects == coverage.effects
    assert found.ranges.keys() == coverage.ranges.keys()
    for level, values in coverage.ranges.items():
        assert torch.equal(found.ranges[level], values)


def test_refuses_ranges_of_other_features(batch: DeploymentBatch) -> None:
    document = Coverage.of(batch, seen(batch)[1]).as_json()
    ranges: dict[str, list[list[float]]] = document["ranges"]  # type: ignore[assignment]
    shortened = {level: [row[1:] for row in rows] for level, rows in ranges.items()}
    with pytest.raises(ValueError, match="step"):
        Coverage.from_json(document | {"ranges": shortened})
    with pytest.raises((ValueError, KeyError)):
        Coverage.from_json(document | {"ranges": {}})
