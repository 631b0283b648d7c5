"""Devices lose what they cannot serve, and nothing else changes."""

from __future__ import annotations

import torch

from datagen.evaluation import pack
from surrogate.features.arrays import flow_arrays
from surrogate.features.decomposition import Decomposition
from surrogate.models import ChainNet
from surrogate.models.capacity import within_capacity
from surrogate.models.readout import read_out
from tests.surrogate.cases import close, random_deployments, single


def test_an_overloaded_device_passes_what_it_can_serve() -> None:
    arrays = flow_arrays(pack([single(rate=4.0, means=(0.5,)), single(rate=1.0, means=(0.5,))]))
    found = within_capacity(arrays, torch.zeros(2)).exp()
    close(found, torch.tensor([0.5, 1.0]))


def test_those_behind_get_what_is_left() -> None:
    deployment = single(rate=4.0, means=(0.5, 0.4), hosts=(0, 1))
    arrays = flow_arrays(pack([deployment]))
    # Two a second reach the second device, which can serve two and a half.
    close(within_capacity(arrays, torch.zeros(2)).exp(), torch.tensor([0.5, 1.0]))


def test_devices_whose_jobs_share_their_time_are_left_alone() -> None:
    arrays = flow_arrays(pack([single(rate=4.0, means=(0.5,))]))
    assert not within_capacity(arrays, torch.zeros(1), torch.tensor([True])).any()
    unlimited = flow_arrays(pack([single(rate=4.0, means=(0.5,), capacity=None)]))
    assert not within_capacity(unlimited, torch.zeros(1)).any()


def test_whatever_the_corrections_nobody_works_overtime() -> None:
    arrays = flow_arrays(pack(random_deployments(20, seed=4)))
    prior = Decomposition()(arrays)
    steps, flows = len(arrays.step_mean), len(arrays.flow_rate)
    corrections = torch.full((steps, 2), -6.0)
    told = read_out(arrays, prior, corrections, torch.zeros(flows, 3), held=True)
    free = read_out(arrays, prior, corrections, torch.zeros(flows, 3))

    def busy(log_passed: torch.Tensor) -> torch.Tensor:
        coming = arrays.of_flows(arrays.flow_rate) * arrays.running_product(log_passed.exp())
        work = coming * log_passed.exp() * arrays.step_mean
        return arrays.sum_to_devices(work) / arrays.device_servers

    assert busy(free.step_log_passed).max() > 1.05
    assert busy(told.step_log_passed).max() < 1.02
    assert (told.step_log_passed <= free.step_log_passed).all()


def test_only_trained_networks_that_read_of_batches_hold() -> None:
    plain, batching = ChainNet(hidden=4), ChainNet(hidden=4, groups=["batching"])
    assert not plain.holds
    assert batching.holds
    arrays = flow_arrays(pack([single(rate=8.0, means=(0.5,))]))
    last = batching.head[-1]  # type: ignore[index]
    torch.nn.init.constant_(last.bias, -8.0)
    loose = batching.train()(arrays).throughput_ratio
    held = batching.eval()(arrays).throughput_ratio
    assert loose > 0.9
    close(held, torch.tensor([0.25]))
