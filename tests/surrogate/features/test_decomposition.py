"""The prior: exact where queues are single, consistent with itself, near the analytic evaluator."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.evaluation import pack
from surrogate.features.arrays import flow_arrays
from surrogate.features.decomposition import Decomposition, Prior
from tests.surrogate.cases import as_double, close, extremes, random_deployments, single

SETTLED = 0.02
"""What the last round may still move: the rounds are few, for features need no more."""

TYPICAL_GAP = 0.03
"""Mean distance in throughput ratio of two approximations that differ in their handling of the
variability of streams."""


def test_one_queue_is_that_of_the_analytic_evaluator() -> None:
    batch = pack([
        single(rate=rate, capacity=capacity, servers=servers)
        for rate in (0.1, 0.5, 1.0, 1.9, 2.5, 10.0)
        for capacity in (1, 2, 5, 50)
        for servers in (1, 3)
    ])
    arrays = flow_arrays(batch)
    prior = Decomposition()(arrays)
    expected = AnalyticEvaluator().evaluate_batch(batch)
    close(1 - prior.loss, expected.chain["throughput_ratio"])
    sojourn = prior.wait[arrays.step_device] + arrays.step_mean
    close(sojourn[arrays.step_row.argsort()], expected.step["sojourn"])


@pytest.mark.parametrize("paths", [1, 2])
def test_rates_loads_and_mixes_follow_from_the_losses(paths: int) -> None:
    batch = pack(random_deployments(10, seed=3, paths=paths))
    arrays = flow_arrays(batch)
    prior = Decomposition()(arrays)
    loss = prior.loss.double().numpy()
    row_rate = np.empty(len(batch.step_mean))
    row_rate[arrays.step_row.numpy()] = prior.step_rate
    devices = batch.step_device_row
    chain_of_path = np.repeat(np.arange(len(batch.chain_rate)), batch.counts("path"))
    for path, chain in enumerate(chain_of_path):
        rate = batch.chain_rate[chain] * batch.path_probability[path]
        for step in range(batch.step_start[path], batch.step_start[path + 1]):
            close(torch.tensor(row_rate[step]).float(), torch.tensor(rate))
            rate *= 1 - loss[devices[step]]
    for device in range(arrays.devices):
        here = devices == device
        if not here.any():
            assert prior.load[device] == 0
            continue
        rate, mean = row_rate[here], batch.step_mean[here]
        load = (rate * mean).sum() / batch.device_servers[device]
        # The losses that made these loads are one round older than the rates.
        close(prior.load[device], torch.tensor(load), rtol=SETTLED)
        share = rate / rate.sum()
        close(prior.mean[device], torch.tensor((share * mean).sum()), rtol=SETTLED)
        second = (share * mean**2 * (1 + batch.step_scv[here])).sum()
        scv = second / (share * mean).sum() ** 2 - 1
        close(prior.scv[device], torch.tensor(scv), rtol=SETTLED, atol=SETTLED)


def test_throughput_is_near_the_analytic_evaluator() -> None:
    batch = pack(random_deployments(150, seed=11))
    arrays = flow_arrays(batch)
    prior = Decomposition()(arrays)
    passed = torch.log1p(-prior.loss)[arrays.step_device]
    ratio = arrays.sum_to_flows(passed).exp()[arrays.flow_chain.argsort()].numpy()
    fits = np.minimum.reduceat(
        batch.step_demand <= batch.device_capacity[batch.step_device_row], batch.step_start[:-1]
    )
    expected = AnalyticEvaluator().evaluate_batch(batch).chain["throughput_ratio"]
    gap = np.abs(ratio - expected)[fits]
    assert gap.mean() < TYPICAL_GAP


def test_is_finite_at_the_edges() -> None:
    prior = Decomposition()(flow_arrays(extremes()))
    for item in dataclasses.fields(Prior):
        values = getattr(prior, item.name)
        if item.name == "capacity":
            assert not values.isnan().any()
        else:
            assert torch.isfinite(values).all(), item.name
    assert ((prior.loss >= 0) & (prior.loss <= 1)).all()
    assert (prior.wait >= 0).all()


def test_gradients_are_those_of_the_function() -> None:
    arrays = as_double(flow_arrays(pack(random_deployments(3, seed=7))))
    decomposition = Decomposition().double()

    def ratio(rate: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        changed = dataclasses.replace(arrays, flow_rate=rate, step_mean=mean)
        prior = decomposition(changed)
        return arrays.sum_to_flows(torch.log1p(-prior.loss)[arrays.step_device])

    given = (arrays.flow_rate.requires_grad_(), arrays.step_mean.requires_grad_())
    # The tabulated ratios are piecewise linear: a step across a kink would not be smooth.
    assert torch.autograd.gradcheck(ratio, given, eps=1e-7, rtol=1e-3, atol=1e-5)
