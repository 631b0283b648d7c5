"""The compiled prior says what the differentiable one says."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from datagen.evaluation import DeploymentBatch, pack
from surrogate.features.arrays import flow_arrays
from surrogate.features.compiled_prior import compiled_prior
from surrogate.features.decomposition import Decomposition
from surrogate.features.prior import Prior
from tests.surrogate.cases import as_double, close, extremes, random_deployments

IN_DOUBLE = {"rtol": 1e-5, "atol": 1e-7}
"""The table of the queue in torch is in float32, and its exponents and loads are clipped."""

IN_FLOAT = {"rtol": 2e-3, "atol": 1e-4}
"""Rounds add up roundings; capacities of some hundred jobs near load 1 amplify them."""


@pytest.fixture(scope="module", params=[1, 3], ids=["one path", "three paths"])
def batch(request: pytest.FixtureRequest) -> DeploymentBatch:
    return pack(random_deployments(80, seed=21, paths=request.param))


DECOMPOSED = [f.name for f in dataclasses.fields(Prior) if f.default is dataclasses.MISSING]
"""What the decomposition itself says; the rest is left to groups of features."""


@pytest.mark.parametrize("name", DECOMPOSED)
def test_every_value_is_that_of_torch(batch: DeploymentBatch, name: str) -> None:
    arrays = flow_arrays(batch)
    double = as_double(arrays)
    decomposition = Decomposition()
    found = getattr(compiled_prior(arrays), name)
    assert found.dtype == torch.float32
    close(getattr(decomposition.differentiable(arrays), name), found, **IN_FLOAT)
    precise = getattr(Decomposition().double().differentiable(double), name)
    close(precise, getattr(compiled_prior(double), name), **IN_DOUBLE)


def test_is_near_torch_at_the_edges() -> None:
    arrays = flow_arrays(extremes())
    found, expected = compiled_prior(arrays), Decomposition().differentiable(arrays)
    for name in ("step_loss", "step_rate", "step_remaining", "load", "loss", "offered"):
        close(getattr(found, name), getattr(expected, name), **IN_FLOAT)


@pytest.mark.parametrize("name", ["flow_rate", "step_mean", "step_scv", "flow_probability"])
def test_gives_way_where_a_gradient_is_asked_for(batch: DeploymentBatch, name: str) -> None:
    arrays = flow_arrays(batch)
    decomposition = Decomposition()
    assert not decomposition(arrays).step_loss.requires_grad
    values = getattr(arrays, name).clone().requires_grad_()
    asking = dataclasses.replace(arrays, **{name: values})
    assert decomposition(asking).step_wait.requires_grad
    with torch.no_grad():
        assert not decomposition(asking).step_wait.requires_grad


def test_does_not_look_for_hops(batch: DeploymentBatch) -> None:
    arrays = flow_arrays(batch)
    Decomposition()(arrays)
    assert "hops" not in vars(arrays)
