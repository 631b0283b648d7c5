"""Companions against a loop over pairs of steps, and their offsets against the simulated ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from datagen.evaluation import pack
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.companion_features import COMPANION_FEATURES, companion_features
from surrogate.features.decomposition import Decomposition
from tests.surrogate.cases import close, random_deployments


def way(arrays: FlowArrays, step: int) -> list[int]:
    """Earlier steps of the flow, the latest first."""
    earlier = []
    while arrays.step_position[step] > 0:
        step = int(arrays.step_previous[step])
        earlier.append(step)
    return earlier


@pytest.mark.parametrize("paths", [1, 3])
def test_companions_share_a_device_now_and_before(paths: int) -> None:
    arrays = flow_arrays(pack(random_deployments(12, seed=4, paths=paths)))
    device, position = arrays.step_device.tolist(), arrays.step_position.tolist()
    found = {
        (step, companion): (own, its)
        for step, companion, own, its in zip(*(v.tolist() for v in arrays.companions), strict=True)
    }
    assert len(found) == len(arrays.companions.step) > 0
    for step in range(len(device)):
        for companion in range(len(device)):
            common = [
                (own, its)
                for own in way(arrays, step)
                for its in way(arrays, companion)
                if device[own] == device[its]
            ]
            if step == companion or device[step] != device[companion] or not common:
                assert (step, companion) not in found
                continue
            own, its = found[step, companion]
            assert (own, its) in common
            latest = max(position[a] + position[b] for a, b in common)
            assert position[own] + position[its] == latest


def test_the_lead_is_what_the_other_flow_gains_on_the_way() -> None:
    arrays = flow_arrays(pack(random_deployments(12, seed=4)))
    prior = Decomposition()(arrays)
    lead = companion_features(arrays, prior)[:, 0].sinh()
    sojourn = (prior.step_wait + arrays.step_mean).tolist()
    position = arrays.step_position.tolist()
    for pair, (step, companion, own, its) in enumerate(
        zip(*(v.tolist() for v in arrays.companions), strict=True)
    ):
        times = [
            sum(sojourn[k] for k in way(arrays, end) if position[k] > position[start])
            for end, start in ((step, own), (companion, its))
        ]
        expected = (times[0] - times[1]) / float(prior.mean[arrays.step_device[step]])
        assert float(lead[pair]) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_features_have_names_and_a_gradient() -> None:
    arrays = flow_arrays(pack(random_deployments(12, seed=4)))
    arrays.step_mean.requires_grad_()
    features = companion_features(arrays, Decomposition()(arrays))
    assert features.shape == (len(arrays.companions.step), len(COMPANION_FEATURES))
    (gradient,) = torch.autograd.grad(features.sum(), arrays.step_mean)
    assert torch.isfinite(gradient).all()
    assert (gradient[arrays.companions.step_common] != 0).any()


def test_a_batch_finds_what_each_deployment_finds_alone() -> None:
    deployments = random_deployments(6, seed=9)
    together = flow_arrays(pack(deployments))
    features = companion_features(together, Decomposition()(together))
    alone = [flow_arrays(pack([deployment])) for deployment in deployments]
    parts = torch.cat([companion_features(a, Decomposition()(a)) for a in alone])
    order = [np.lexsort(rows.T) for rows in (features.numpy(), parts.numpy())]
    close(features[order[0]], parts[order[1]])


def test_flows_of_one_step_have_no_companions() -> None:
    arrays = flow_arrays(pack(random_deployments(1)))
    device = arrays.step_device[:1].repeat(3)
    lonely = FlowArrays(**{
        **vars(arrays),
        "step_device": device,
        "step_previous": torch.arange(3),
        "step_position": torch.zeros(3, dtype=torch.int64),
    })
    assert len(lonely.companions.step) == 0
