"""Coverage: what was trained on, in a form that survives a file."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from datagen.deployment import Deployment
from datagen.evaluation import DeploymentBatch, Effect, pack
from surrogate.coverage import FALSE_ALARMS, Coverage
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.features import (
    DEVICE_FEATURES,
    FLOW_FEATURES,
    STEP_FEATURES,
    FeatureFunction,
    Features,
)
from surrogate.ranges import Ranges
from tests.surrogate.cases import close, random_deployments, single


@pytest.fixture(scope="module")
def batch() -> DeploymentBatch:
    return pack(random_deployments(40, seed=51))


def seen(batch: DeploymentBatch) -> tuple[FlowArrays, Features]:
    arrays = flow_arrays(batch)
    return arrays, FeatureFunction()(arrays)


def test_training_data_are_inside(batch: DeploymentBatch) -> None:
    arrays, features = seen(batch)
    coverage = Coverage.of(batch, arrays, features)
    assert coverage.reasons(arrays, features) == [None] * len(batch)
    used = Effect(int(batch.effects.max()))
    assert used in coverage.effects
    assert coverage.effects >= Effect.RANDOM_SERVICE | Effect.DEADLINE


def test_rare_effects_do_not_count() -> None:
    plain = pack([single(capacity=5)] * 399 + [single(capacity=None)])
    coverage = Coverage.of(plain, *seen(plain))
    assert Effect.UNLIMITED_BUFFER not in coverage.effects


def test_says_what_lies_outside(batch: DeploymentBatch) -> None:
    coverage = Coverage.of(batch, *seen(batch))
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
    coverage = Coverage.of(short, *seen(short))
    ranges = {level: values.clone() for level, values in coverage.ranges.bounds.items()}
    for level, names in (
        ("step", STEP_FEATURES),
        ("device", DEVICE_FEATURES),
        ("flow", FLOW_FEATURES),
    ):
        for column, name in enumerate(names):
            if "/ 10" in name or name.startswith("position"):
                ranges[level][:, column] = torch.tensor([0.9, 0.9])
    narrow = replace(coverage, ranges=Ranges(bounds=ranges))
    assert narrow.reasons(*seen(short)) == [None] * len(short)


def test_much_longer_chains_are_a_reason() -> None:
    def of_length(steps: int) -> DeploymentBatch:
        rates = (0.2, 0.4, 0.6, 0.8)
        return pack([single(rate=r, means=(0.4,) * steps, hosts=range(steps)) for r in rates])

    coverage = Coverage.of(of_length(4), *seen(of_length(4)))
    far = coverage.reasons(*seen(of_length(10)))
    assert all(reason is not None for reason in far)


def test_a_combination_never_seen_is_a_reason() -> None:
    # Busy devices with large buffers and idle ones with small: never the other way round.
    def at(rate: float, capacity: int) -> Deployment:
        return single(rate=rate, means=(0.5,), capacity=capacity)

    rng = np.random.default_rng(3)
    busy = [at(rng.uniform(1.5, 1.9), int(rng.integers(40, 50))) for _ in range(150)]
    idle = [at(rng.uniform(0.05, 0.1), int(rng.integers(1, 4))) for _ in range(150)]
    known, other = pack(busy[:75] + idle[:75]), pack(busy[75:] + idle[75:])
    coverage = Coverage.of(known, *seen(known)).calibrated([[seen(other)]])
    flagged = [reason is not None for reason in coverage.reasons(*seen(other))]
    assert np.mean(flagged) <= 0.1
    swapped = pack([at(1.7, 2), at(0.07, 45)])
    reasons = coverage.reasons(*seen(swapped))
    assert all(reason is not None for reason in reasons)


def test_a_system_overloaded_as_a_whole_is_a_reason() -> None:
    # Either device may be busy or idle, never both busy: each alone is in its range.
    def two(first: float, second: float) -> Deployment:
        return single(rate=1.0, means=(first, second), hosts=(0, 1), capacity=9)

    rng = np.random.default_rng(4)
    loads = [(rng.uniform(0.05, 0.1), rng.uniform(1.2, 1.9)) for _ in range(200)]
    known = pack([two(*(pair if n % 2 else pair[::-1])) for n, pair in enumerate(loads)])
    coverage = Coverage.of(known, *seen(known))
    busy = pack([two(1.3, 1.6), two(0.07, 1.6)])
    reasons = list(coverage.ranges.reasons(*seen(busy)))
    assert {deployment for deployment, _ in reasons} == {0}
    assert any("mean over devices of load" in reason for _, reason in reasons)


def test_flags_one_in_a_hundred_of_every_distribution_alike() -> None:
    def drawn(count: int, seed: int) -> DeploymentBatch:
        rng = np.random.default_rng(seed)
        return pack([
            single(
                rate=float(rng.uniform(0.2, 2.0)),
                means=tuple(rng.uniform(0.1, 1.0, size=2).tolist()),
                hosts=(0, 1),
                capacity=int(rng.integers(2, 20)),
            )
            for _ in range(count)
        ])

    known = drawn(600, seed=1)
    coverage = Coverage.of(known, *seen(known)).calibrated([[seen(drawn(800, seed=2))]])
    reasons = coverage.reasons(*seen(drawn(800, seed=3)))
    flagged = np.mean([reason is not None for reason in reasons])
    assert FALSE_ALARMS / 4 <= flagged <= 3 * FALSE_ALARMS


def test_undefined_features_are_a_reason(batch: DeploymentBatch) -> None:
    arrays, features = seen(batch)
    coverage = Coverage.of(batch, arrays, features)
    broken = features.step.clone()
    broken[0, 0] = torch.nan
    reasons = coverage.reasons(arrays, replace(features, step=broken))
    owner = int(arrays.device_deployment[arrays.step_device[0]])
    assert "nan" in str(reasons[owner])
    assert sum(reason is not None for reason in reasons) == 1


def test_survives_a_file(batch: DeploymentBatch) -> None:
    coverage = Coverage.of(batch, *seen(batch)).calibrated([[seen(batch)]])
    document = json.loads(json.dumps(coverage.as_json(), allow_nan=False))
    found = Coverage.from_json(document)
    assert found.effects == coverage.effects
    assert found.ranges.bounds.keys() == coverage.ranges.bounds.keys()
    for level, values in coverage.ranges.bounds.items():
        assert torch.equal(found.ranges.bounds[level], values)
    assert found.near.limit == coverage.near.limit
    close(found.near.centres, coverage.near.centres, atol=1e-4)


def test_refuses_ranges_of_other_features(batch: DeploymentBatch) -> None:
    document = Coverage.of(batch, *seen(batch)).as_json()
    ranges: dict[str, list[list[float]]] = document["ranges"]  # type: ignore[assignment]
    shortened = {level: [row[1:] for row in rows] for level, rows in ranges.items()}
    with pytest.raises(ValueError, match="step"):
        Coverage.from_json(document | {"ranges": shortened})
    with pytest.raises((ValueError, KeyError)):
        Coverage.from_json(document | {"ranges": {}})
