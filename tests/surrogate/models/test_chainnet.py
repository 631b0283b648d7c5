"""Settings of the network, and the scale of its features."""

from __future__ import annotations

import pytest
import torch

from datagen.errors import InvalidInputError
from datagen.evaluation import pack
from surrogate.features.arrays import flow_arrays
from surrogate.models import ChainNet
from tests.surrogate.cases import random_deployments, single


@pytest.mark.parametrize(
    ("settings", "field"),
    [({"hidden": 7}, "hidden"), ({"hidden": 0}, "hidden"), ({"iterations": 0}, "iterations")],
)
def test_refuses_settings_by_name(settings: dict[str, int], field: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{field} must .*, got {field}="):
        ChainNet(**settings)


def test_takes_the_scale_of_features_from_a_sample() -> None:
    network = ChainNet(hidden=8, iterations=1)
    arrays = flow_arrays(pack(random_deployments(50, seed=2)))
    network.fit_features(arrays)
    features = network.features(arrays)
    for encoder, values in (
        (network.step_encoder, features.step),
        (network.device_encoder, features.device),
        (network.flow_encoder, features.flow),
    ):
        scaled = (values - encoder.mean) / encoder.std
        assert scaled.mean(dim=0).abs().max() < 1e-3
        spread = scaled.std(dim=0, correction=0)
        assert ((spread < 1e-3) | ((spread - 1).abs() < 1e-3)).all()


def test_a_sample_without_spread_leaves_features_as_they_are() -> None:
    network = ChainNet(hidden=8, iterations=1)
    deployment = random_deployments(1)
    network.fit_features(flow_arrays(pack(deployment * 3)))
    assert torch.isfinite(network(flow_arrays(pack(deployment))).latency).all()


def test_one_sample_row_is_enough() -> None:
    network = ChainNet(hidden=8, iterations=1)
    arrays = flow_arrays(pack([single()]))
    network.fit_features(arrays)
    assert torch.isfinite(network(arrays).latency).all()
