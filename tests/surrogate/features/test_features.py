"""Features have no unit, a name each, and a finite value and gradient wherever they are asked."""

from __future__ import annotations

import dataclasses

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
    logit,
)
from tests.surrogate.cases import as_double, close, extremes, random_deployments, single

LEVELS = {"step": STEP_FEATURES, "device": DEVICE_FEATURES, "flow": FLOW_FEATURES}


def features_of(arrays: FlowArrays) -> Features:
    return FeatureFunction()(arrays)


def column(level: str, name: str, features: Features) -> torch.Tensor:
    names = LEVELS[level]
    (place,) = [k for k, known in enumerate(names) if known.startswith(name)]
    return getattr(features, level)[:, place]


@pytest.mark.parametrize("unit", [1e-3, 1.0, 60.0])
def test_have_no_unit(unit: float) -> None:
    arrays = as_double(flow_arrays(pack(random_deployments(20, seed=1, paths=2))))
    scaled = dataclasses.replace(
        arrays, step_mean=arrays.step_mean * unit, flow_rate=arrays.flow_rate / unit
    )
    function = FeatureFunction().double()
    expected, found = function(arrays), function(scaled)
    for level in LEVELS:
        close(getattr(found, level), getattr(expected, level), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("level", LEVELS)
def test_have_one_name_each(level: str) -> None:
    arrays = flow_arrays(pack(random_deployments(4)))
    rows = {"step": len(arrays.step_row), "device": arrays.devices, "flow": len(arrays.flow_chain)}
    assert getattr(features_of(arrays), level).shape == (rows[level], len(LEVELS[level]))
    assert len(set(LEVELS[level])) == len(LEVELS[level])


def test_say_what_their_names_say() -> None:
    arrays = flow_arrays(
        pack([single(rate=0.5, means=(1.0, 0.5), hosts=(0, 1), capacity=4, servers=2)])
    )
    found = features_of(arrays)
    expected = {
        ("step", "load: rate"): [0.25, 0.125],
        ("step", "service / previous"): [1.0, 0.5],
        ("step", "service x rate"): [0.5, 0.25],
        ("device", "load without"): [0.25, 0.125],
        ("device", "servers"): [2.0, 2.0],
        ("device", "capacity in jobs"): [4.0, 4.0],
        ("flow", "unloaded latency x rate"): [0.75],
    }
    for (level, name), values in expected.items():
        close(column(level, name, found).exp(), torch.tensor(values))
    plain = {
        ("step", "share of the device's load"): [1.0, 1.0],
        ("step", "demand"): [0.25, 0.25],
        ("step", "position"): [0.0, 0.5],
        ("step", "steps left"): [0.2, 0.1],
        ("device", "1 / capacity"): [0.25, 0.25],
        ("device", "number of steps"): [0.1, 0.1],
        ("flow", "length"): [0.2],
        ("flow", "share of the chain's jobs"): [1.0],
    }
    for (level, name), values in plain.items():
        close(column(level, name, found), torch.tensor(values))


def test_shares_of_a_device_add_up_to_one() -> None:
    arrays = flow_arrays(pack(random_deployments(20, seed=2)))
    found = features_of(arrays)
    used = arrays.sum_to_devices(torch.ones_like(arrays.step_mean)) > 0
    for name in ("share of the device's load", "share of the device's arrivals"):
        total = arrays.sum_to_devices(column("step", name, found))
        close(total[used], torch.ones_like(total[used]))


def test_longest_earlier_service_and_largest_earlier_load() -> None:
    arrays = flow_arrays(pack(random_deployments(10, seed=4)))
    found = features_of(arrays)
    for place, (flow, position) in enumerate(
        zip(arrays.step_flow.tolist(), arrays.step_position.tolist(), strict=True)
    ):
        earlier = (arrays.step_flow == flow) & (arrays.step_position < position)
        service = column("step", "service / longest earlier", found)[place]
        load = column("step", "largest load of the earlier", found)[place]
        if position == 0:
            assert (float(service), float(load)) == (0.0, -3.0)
        else:
            longest = arrays.step_mean[earlier].max()
            close(service, (arrays.step_mean[place] / longest).log(), atol=1e-5)
            close(load, found.prior.load[arrays.step_device[earlier]].max().log())


def test_are_finite_at_the_edges() -> None:
    found = features_of(flow_arrays(extremes()))
    for level, names in LEVELS.items():
        finite = torch.isfinite(getattr(found, level)).all(dim=0)
        assert finite.all(), [name for name, good in zip(names, finite, strict=True) if not good]


def test_gradients_are_finite_at_the_edges() -> None:
    arrays = flow_arrays(extremes())
    for name in ("flow_rate", "step_mean", "step_scv"):
        values = getattr(arrays, name).clone().requires_grad_()
        found = features_of(dataclasses.replace(arrays, **{name: values}))
        sum(getattr(found, level).sum() for level in LEVELS).backward()
        assert values.grad is not None
        assert torch.isfinite(values.grad).all(), name


def test_idle_devices_change_nothing() -> None:
    alone, beside = single(hosts=(0,)), single(hosts=(1,))
    expected = features_of(flow_arrays(pack([alone])))
    found = features_of(flow_arrays(pack([beside])))
    close(found.step, expected.step)
    close(found.device[1:], expected.device)
    close(found.flow, expected.flow)


def test_logit_is_bounded_and_inverts_the_sigmoid() -> None:
    x = torch.linspace(-10, 10, 21)
    close(logit(torch.sigmoid(x)), x, rtol=5e-3)
    assert torch.isfinite(logit(torch.tensor([0.0, 1.0]))).all()
