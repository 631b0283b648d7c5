"""The read-out: products, sums and bounds, whatever the corrections."""

from __future__ import annotations

import pytest
import torch

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.evaluation import pack
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.decomposition import Decomposition
from surrogate.models.readout import Prediction, read_out, wait_bound
from tests.surrogate.cases import close, in_batch_order, random_deployments, single


def read(arrays: FlowArrays, correction: float) -> Prediction:
    steps = torch.full((len(arrays.step_row), 2), correction)
    flows = torch.full((len(arrays.flow_chain), 3), correction)
    return read_out(arrays, Decomposition()(arrays), steps, flows)


@pytest.mark.parametrize("paths", [1, 3])
def test_chains_follow_from_their_steps(paths: int) -> None:
    batch = pack(random_deployments(8, seed=17, paths=paths))
    arrays = flow_arrays(batch)
    shape = (len(arrays.step_row), 2)
    correction = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    flows = torch.zeros(len(arrays.flow_chain), 3)
    found = read_out(arrays, Decomposition()(arrays), correction, flows)
    passed = in_batch_order(arrays, found.step_log_passed).double().exp()
    sojourn = in_batch_order(arrays, found.step_sojourn).double()
    path = 0
    for chain, count in enumerate(batch.counts("path").tolist()):
        completed = latency = unloaded = 0.0
        for _ in range(count):
            rows = slice(batch.step_start[path], batch.step_start[path + 1])
            share = batch.path_probability[path] * float(passed[rows].prod())
            completed += share
            latency += share * float(sojourn[rows].sum())
            unloaded += share * float(batch.step_mean[rows].sum())
            path += 1
        close(found.throughput_ratio[chain], torch.tensor(completed))
        close(found.latency[chain], torch.tensor(latency / completed))
        close(found.latency_ratio[chain], torch.tensor(unloaded / latency))


@pytest.mark.parametrize("paths", [1, 2])
def test_small_losses_keep_their_digits(paths: int) -> None:
    batch = pack(random_deployments(20, seed=4, paths=paths))
    arrays = flow_arrays(batch)
    found = read(arrays, -18.0)
    loss = -torch.expm1(found.step_log_passed.double())
    of_flow = torch.zeros(len(arrays.flow_chain), dtype=torch.float64)
    of_flow.index_add_(0, arrays.step_flow, loss)
    expected = torch.zeros(arrays.chains, dtype=torch.float64)
    expected.index_add_(0, arrays.flow_chain, of_flow * arrays.flow_probability)
    small = expected < 1e-4
    assert small.float().mean() > 0.5
    close(found.loss_ratio[small], expected[small], atol=0.0)


@pytest.mark.parametrize("correction", [-1e4, 1e4])
def test_no_correction_leaves_the_physical_range(correction: float) -> None:
    arrays = flow_arrays(pack(random_deployments(20, seed=6, paths=2)))
    found = read(arrays, correction)
    assert torch.isfinite(found.log_throughput_ratio).all()
    assert (found.log_throughput_ratio <= 0).all()
    assert torch.isfinite(found.latency).all()
    assert (found.latency_ratio > 0).all()
    assert (found.latency_ratio <= 1 + 1e-6).all()


def test_nobody_waits_where_every_admitted_job_is_served() -> None:
    arrays = flow_arrays(pack([single(rate=5.0, capacity=2, servers=3), single(capacity=1)]))
    assert (wait_bound(arrays) == 0).all()
    found = read(arrays, 100.0)
    close(found.step_sojourn, arrays.step_mean)


def test_a_job_waits_for_those_before_it_and_no_longer() -> None:
    arrays = flow_arrays(pack([single(means=(2.0, 0.5), hosts=(0, 0), capacity=5)]))
    bound = wait_bound(arrays)
    # At most four before it, the longest class each, and the rest of one long service.
    close(bound, torch.tensor([4 * 2.0 + 1.0]))
    found = read(arrays, 100.0)
    close(found.step_sojourn, arrays.step_mean + bound[0])


def test_the_bound_holds_for_the_analytic_evaluator() -> None:
    batch = pack([
        single(rate=rate, means=(1.0,), capacity=capacity, servers=servers)
        for rate in (0.5, 1.5, 50.0)
        for capacity in (1, 2, 7, 100)
        for servers in (1, 2, 4)
    ])
    arrays = flow_arrays(batch)
    bound = wait_bound(arrays).numpy()
    wait = AnalyticEvaluator().evaluate_batch(batch).step["sojourn"] - batch.step_mean
    assert (wait <= bound + 1e-6).all()


def test_unlimited_waits_have_no_bound() -> None:
    arrays = flow_arrays(pack([single(capacity=None)]))
    assert wait_bound(arrays).isinf().all()
    assert torch.isfinite(read(arrays, 50.0).latency).all()
