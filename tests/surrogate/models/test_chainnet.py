"""Settings of the network, and the scale of its features."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence

from datagen import Chain, Deployment, Device, Fragment, Problem
from datagen.arrivals import Poisson
from datagen.distributions import Deterministic
from datagen.errors import InvalidInputError
from datagen.evaluation import pack
from surrogate.features.arrays import flow_arrays
from surrogate.models import ChainNet
from tests.contracts.models import scatter_weights
from tests.surrogate.cases import close, random_deployments, single


@pytest.mark.parametrize(
    ("settings", "field"),
    [({"hidden": 7}, "hidden"), ({"hidden": 0}, "hidden"), ({"iterations": 0}, "iterations")],
)
def test_refuses_settings_by_name(settings: dict[str, int], field: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{field} must .*, got {field}="):
        ChainNet(**settings)


def test_takes_the_scale_of_features_from_a_sample() -> None:
    network = ChainNet(hidden=8, iterations=1, companions=True)
    arrays = flow_arrays(pack(random_deployments(50, seed=2)))
    network.fit_features(arrays)
    assert network.companions is not None
    features = network.features(arrays)
    for encoder, values in (
        (network.step_encoder, features.step),
        (network.device_encoder, features.device),
        (network.flow_encoder, features.flow),
        (network.companions.encoder, features.companion),
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


@pytest.mark.parametrize("companions", [False, True])
def test_one_sample_row_is_enough(companions: bool) -> None:
    network = ChainNet(hidden=8, iterations=1, companions=companions)
    arrays = flow_arrays(pack([single()]))
    network.fit_features(arrays)
    assert torch.isfinite(network(arrays).latency).all()


def test_says_as_much_as_a_recurrent_layer_of_the_library() -> None:
    network = ChainNet(hidden=8, iterations=1)
    arrays = flow_arrays(pack(random_deployments(20, seed=3)))
    generator = torch.Generator().manual_seed(0)
    met = torch.randn(len(arrays.step_mean), 16, generator=generator)
    flow = torch.randn(len(arrays.flow_rate), 8, generator=generator)
    output, last = network.recurrence(PackedSequence(met, arrays.flow_sizes), flow.unsqueeze(0))
    passed, behind = network.along_flows(arrays, met, flow)
    close(passed, output.data)
    close(behind, last[0])


def test_only_companions_tell_flows_apart_that_differ_in_their_offset() -> None:
    """Two flows part behind a device and meet again; one takes a longer way round."""
    network = scatter_weights(ChainNet(hidden=8, iterations=1, companions=True)).eval()
    arrays = flow_arrays(pack([meeting()]))
    features = network.features(arrays)
    said = network.predict(arrays, features)
    later = replace(features, companion=features.companion + 1.0)
    changed = (network.predict(arrays, later).step_log_passed - said.step_log_passed).abs() > 1e-6
    meets = torch.bincount(arrays.companions.step, minlength=len(changed)) > 0
    assert meets.sum() == 2
    assert (changed == meets).all()


def meeting() -> Deployment:
    """Two chains over device 0; one goes straight to device 2, the other by device 1."""
    service = Deterministic(mean=0.1)
    chains = [
        Chain(
            name=name,
            arrivals=Poisson(rate=1.0),
            fragments=[Fragment(name=f"{name}{k}", service=service) for k in range(length)],
        )
        for name, length in (("round", 3), ("straight", 2))
    ]
    devices = [Device(name=str(k), capacity=4) for k in range(3)]
    placement = {"round": [["0", "1", "2"]], "straight": [["0", "2"]]}
    return Deployment(problem=Problem(devices=devices, chains=chains), placement=placement)
