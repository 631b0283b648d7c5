"""Networks of released checkpoints that are given further features to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from datagen.errors import NotSupportedError
from datagen.evaluation import pack
from datagen.scenarios import Type1Scenario
from surrogate import load_surrogate
from surrogate.checkpoints import extended_network, released_network
from surrogate.features.arrays import flow_arrays
from surrogate.features.labels import Targets
from surrogate.models import GIN, ChainNet
from surrogate.training.losses import DeploymentLoss
from tests.contracts.models import scatter_weights
from tests.surrogate.cases import close, random_deployments
from tests.surrogate.forks import contended, forked
from tests.surrogate.releases import release

GROUPS = ["contention"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A release of a network that reads the plain features and nothing else."""
    plain = scatter_weights(ChainNet(hidden=8, iterations=2)).eval()
    return release(tmp_path / "tiny", network=plain)


@pytest.mark.parametrize(
    "more",
    [
        {"groups": GROUPS},
        {"groups": ["spacing"]},
        {"companions": True},
        {"groups": GROUPS, "companions": True},
    ],
)
def test_says_what_the_released_one_says_of_plain_networks(
    folder: Path, more: dict[str, Any]
) -> None:
    known = released_network(str(folder)).eval()
    network = extended_network(str(folder), **more).eval()
    arrays = flow_arrays(pack(random_deployments(12, seed=31)))
    network.fit_features(arrays)
    with torch.no_grad():
        said, expected = network(arrays), known(arrays)
    for name in ("step_log_passed", "step_sojourn", "latency", "log_throughput_ratio"):
        close(getattr(said, name), getattr(expected, name))
    close(said.law.log_quantiles, expected.law.log_quantiles)
    columns = len(known.features.names.step)
    assert torch.equal(network.step_encoder.mean[:columns], known.step_encoder.mean)
    further = len(network.features.names.step) - columns
    assert (further > 0) == ("groups" in more)
    assert network.settings == known.settings | more


def test_is_ready_to_be_trained(folder: Path) -> None:
    assert extended_network(str(folder)).training
    assert extended_network(str(folder), GROUPS).training


def test_is_of_the_same_kind(folder: Path) -> None:
    with pytest.raises(ValueError, match="known must have weights of this network only"):
        GIN(hidden=8, layers=1).extend(released_network(str(folder)))


def test_learns_from_what_is_new(folder: Path) -> None:
    """Gradients reach the new columns and the outputs that join branches."""
    network = extended_network(str(folder), GROUPS)
    with torch.no_grad():  # a fresh head corrects nothing, and passes no gradient on
        for head in (network.head, network.law_head):
            head[-1].weight += 0.01 * torch.ones_like(head[-1].weight)  # type: ignore[index]
    arrays = flow_arrays(pack([contended(d) for d in random_deployments(8, seed=32)]))
    chains, steps = arrays.chains, len(arrays.step_mean)
    sure = {"throughput_error": chains, "latency_error": chains}
    counts = {
        "offered": chains,
        "completed": chains,
        "step_offered": steps,
        "step_completed": steps,
    }
    targets = Targets(
        log_throughput_ratio=torch.full((chains,), -0.2),
        log_latency_ratio=torch.full((chains,), -0.5),
        loss_ratio=torch.full((chains,), 0.2),
        log_quantile=torch.zeros(chains, 3),
        deadline=torch.full((chains,), torch.nan),
        attainment=torch.full((chains,), torch.nan),
        step_log_passed=torch.full((steps,), -0.1),
        step_log_sojourn=torch.zeros(steps),
        **{name: torch.zeros(size) for name, size in sure.items()},
        **{name: torch.full((size,), 1e3) for name, size in counts.items()},
    )
    total = DeploymentLoss()(network(arrays), targets)["total"]
    total.backward()  # type: ignore[no-untyped-call]
    assert bool(total.isfinite())
    for encoder, names in (
        (network.step_encoder, network.features.groups[0].names.step),
        (network.device_encoder, network.features.groups[0].names.device),
        (network.flow_encoder, network.features.groups[0].names.flow),
    ):
        slope = encoder.layers[0].weight.grad  # type: ignore[index, union-attr]
        assert slope is not None
        assert bool((slope[:, -len(names) :].abs().sum(dim=0) > 0).all())
    joins = network.law_head[-1].weight.grad  # type: ignore[index, union-attr, operator]
    assert bool((joins[-2:].abs().sum(dim=1) > 0).all())


def test_models_without_the_group_refuse_contention_by_name() -> None:
    plain = Type1Scenario(chains=(3, 3)).sample(0, 0)
    with pytest.raises(NotSupportedError, match=r"chainnet: parallel=true"):
        load_surrogate("chainnet").evaluate([forked(plain)])
