"""On a GPU a network predicts what it predicts on the CPU, and learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest
import torch

from datagen.evaluation import pack
from surrogate.features.arrays import flow_arrays
from surrogate.features.labels import Example, LabelTable
from surrogate.models import MODELS, DeploymentNetwork
from surrogate.training.losses import DeploymentLoss
from tests.contracts.models import CHAIN_MEASURES, scatter_weights
from tests.surrogate.cases import close, made_up_labels, random_deployments

pytestmark = pytest.mark.gpu


@pytest.fixture(params=sorted(MODELS))
def build(request: pytest.FixtureRequest) -> Callable[[], DeploymentNetwork]:
    return MODELS[request.param]


@pytest.fixture(params=[1, 2], ids=["one path", "two paths"])
def example(request: pytest.FixtureRequest) -> Example:
    batch = pack(random_deployments(30, seed=21, paths=request.param))
    return LabelTable(batch, made_up_labels(batch)).example(range(len(batch)))


def test_predicts_what_the_cpu_does(
    build: Callable[[], DeploymentNetwork], example: Example
) -> None:
    network = scatter_weights(build()).eval()
    with torch.no_grad():
        expected = network(example.arrays)
        found = network.cuda()(example.arrays.to("cuda"))
    for name in (*CHAIN_MEASURES, "step_log_passed", "step_sojourn"):
        assert getattr(found, name).is_cuda
        close(getattr(found, name).cpu(), getattr(expected, name))
    close(found.law.log_quantiles.cpu(), expected.law.log_quantiles)


def test_a_training_step_goes_downhill(
    build: Callable[[], DeploymentNetwork], example: Example
) -> None:
    torch.manual_seed(0)
    network, loss, moved = build().cuda(), DeploymentLoss(), example.to("cuda")
    network.fit_features(moved.arrays)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    before = loss(network(moved.arrays), moved.targets)["total"]
    before.backward()
    optimizer.step()
    after = loss(network(moved.arrays), moved.targets)["total"]
    assert after.item() < before.item()


def test_only_the_sizes_of_packed_sequences_stay_behind() -> None:
    moved = flow_arrays(pack(random_deployments(3))).to("cuda")
    tensors = {
        item.name: value
        for item in fields(moved)
        if isinstance(value := getattr(moved, item.name), torch.Tensor)
    }
    assert {name for name, value in tensors.items() if not value.is_cuda} == {"flow_sizes"}
