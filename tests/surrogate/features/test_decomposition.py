"""The prior: exact where queues are single, consistent with itself, near the analytic evaluator."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from datagen.analytic import decomposition as analytic_module
from datagen.analytic import stream_kernel
from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.analytic.decomposition_kernel import SMALLEST_SUM
from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic, Exponential, Law
from datagen.evaluation import DeploymentBatch, concatenate, pack
from surrogate.features import decomposition as prior_module
from surrogate.features.arrays import flow_arrays
from surrogate.features.decomposition import Decomposition, Prior
from surrogate.features.queue import QueueFormula
from tests.surrogate.cases import as_double, close, extremes, random_deployments, single

SETTLED = 0.02
"""What the last round may still move: the rounds are few, for features need no more."""

TWINS = {"rtol": 1e-4, "atol": 1e-6}
"""The prior's table is in float32, and its exponents and loads are clipped."""

THROUGHPUT_GAP, LATENCY_GAP = 0.003, 0.004
"""Mean distances of both twins, whose differences the analytic evaluator describes."""


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
    close(1 - prior.step_loss[arrays.step_row.argsort()], expected.chain["throughput_ratio"])
    sojourn = prior.step_wait + arrays.step_mean
    close(sojourn[arrays.step_row.argsort()], expected.step["sojourn"])


@pytest.mark.parametrize("paths", [1, 2])
def test_rates_loads_and_mixes_follow_from_the_losses(paths: int) -> None:
    batch = pack(random_deployments(10, seed=3, paths=paths))
    arrays = flow_arrays(batch)
    prior = Decomposition()(arrays)
    loss = np.empty(len(batch.step_mean))
    loss[arrays.step_row.numpy()] = prior.step_loss
    row_rate = np.empty(len(batch.step_mean))
    row_rate[arrays.step_row.numpy()] = prior.step_rate
    devices = batch.step_device_row
    chain_of_path = np.repeat(np.arange(len(batch.chain_rate)), batch.counts("path"))
    for path, chain in enumerate(chain_of_path):
        rate = batch.chain_rate[chain] * batch.path_probability[path]
        for step in range(batch.step_start[path], batch.step_start[path + 1]):
            close(torch.tensor(row_rate[step]).float(), torch.tensor(rate))
            rate *= 1 - loss[step]
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


class ScaledQueue(QueueFormula):
    """The formula as the analytic evaluator reads it at small sums of both variabilities."""

    def forward(
        self, load: Tensor, scv: Tensor, capacity: Tensor, servers: Tensor
    ) -> tuple[Tensor, Tensor]:
        scale = (1.0 + scv).clamp(SMALLEST_SUM, 1.0)
        working = torch.minimum(servers, capacity.floor())
        longer = working + (capacity - working) / scale
        loss, waiting = super().forward(load, scv.clamp_min(0.0), longer, servers)
        return loss, torch.minimum(scale * waiting, capacity - working)


def evaluated_alike(count: int, seed: int) -> DeploymentBatch:
    """Deployments without what the evaluator deliberately treats in another way than the prior.

    That is smooth sources and jobs too large for their device.
    """
    drawn = [pack([one]) for one in random_deployments(count, seed=seed)]
    fitting = [
        batch
        for batch in drawn
        if (batch.step_demand <= batch.device_capacity[batch.step_device_row]).all()
    ]
    batch = concatenate(fitting)
    return dataclasses.replace(batch, chain_scv=np.maximum(batch.chain_scv, 1.0))


def test_the_analytic_evaluator_is_a_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the queue and the memory read alike, both settle at one fixed point."""
    monkeypatch.setattr(prior_module, "ROUNDS", 80)
    monkeypatch.setattr(prior_module, "MIN_VARIABILITY", -1.0)
    monkeypatch.setattr(prior_module, "SHORT_MEMORY", 0.0)
    monkeypatch.setattr(analytic_module, "SHORT_MEMORY", 0.0)
    monkeypatch.setattr(analytic_module, "TOLERANCE", 1e-7)
    batch = evaluated_alike(60, seed=12)
    arrays = as_double(flow_arrays(batch))
    decomposition = Decomposition()
    decomposition.queue = ScaledQueue()
    with torch.inference_mode():
        prior = decomposition.double()(arrays)
    assert float((1 - prior.step_remaining).max()) > 0.5
    expected = AnalyticEvaluator(rounds=500).evaluate_batch(batch)
    passed = arrays.sum_to_flows(torch.log1p(-prior.step_loss)).exp()
    close(passed[arrays.flow_chain.argsort()], expected.chain["throughput_ratio"], **TWINS)
    sojourn = (prior.step_wait + arrays.step_mean)[arrays.step_row.argsort()]
    close(sojourn, expected.step["sojourn"], **TWINS)


def test_the_same_constants_rule_both_twins() -> None:
    assert stream_kernel.SPACED_LOSS == prior_module.SPACED_LOSS
    assert stream_kernel.SPLIT_OFFSET == prior_module.SPLIT_OFFSET


def test_the_twins_are_near_as_they_are() -> None:
    batch = evaluated_alike(150, seed=11)
    arrays = flow_arrays(batch)
    prior = Decomposition()(arrays)
    passed = arrays.sum_to_flows(torch.log1p(-prior.step_loss)).exp()[arrays.flow_chain.argsort()]
    latency = arrays.sum_to_flows(prior.step_wait + arrays.step_mean)[arrays.flow_chain.argsort()]
    expected = AnalyticEvaluator().evaluate_batch(batch).chain
    gap = np.abs(passed.numpy() - expected["throughput_ratio"])
    assert gap.mean() < THROUGHPUT_GAP
    assert np.abs(latency.numpy() / expected["latency"] - 1).mean() < LATENCY_GAP


def test_is_finite_at_the_edges() -> None:
    prior = Decomposition()(flow_arrays(extremes()))
    for item in dataclasses.fields(Prior):
        values = getattr(prior, item.name)
        if item.name == "capacity":
            assert not values.isnan().any()
        else:
            assert torch.isfinite(values).all(), item.name
    for ratio in (prior.loss, prior.step_loss, prior.step_remaining, prior.elasticity):
        assert ((ratio >= 0) & (ratio <= 1)).all()
    assert (prior.step_wait >= 0).all()


def test_gradients_are_those_of_the_function() -> None:
    arrays = as_double(flow_arrays(pack(random_deployments(3, seed=7))))
    decomposition = Decomposition().double()

    def ratio(rate: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        changed = dataclasses.replace(arrays, flow_rate=rate, step_mean=mean)
        prior = decomposition(changed)
        return arrays.sum_to_flows(torch.log1p(-prior.step_loss))

    given = (arrays.flow_rate.requires_grad_(), arrays.step_mean.requires_grad_())
    # The tabulated ratios are piecewise linear: a step across a kink would not be smooth.
    assert torch.autograd.gradcheck(ratio, given, eps=1e-7, rtol=1e-3, atol=1e-5)


def chain(name: str, services: list[float], rate: float, law: type[Law] = Deterministic) -> Chain:
    fragments = tuple(
        Fragment(name=f"f{k}", service=law(mean=mean)) for k, mean in enumerate(services)
    )
    return Chain(name=name, arrivals=Poisson(rate=rate), fragments=fragments)


def prior_in_a_row(one: Chain) -> Prior:
    """The prior of a chain alone, each of its steps on a device of its own without limits."""
    names = tuple(f"device{k}" for k in range(len(one.fragments)))
    problem = Problem(devices=tuple(Device(name=name) for name in names), chains=(one,))
    deployment = Deployment(problem=problem, placement={one.name: (names,)})
    return Decomposition()(flow_arrays(pack([deployment])))


@pytest.mark.parametrize("rate", [0.01, 0.4, 0.9])
def test_a_tandem_waits_as_long_as_at_its_slowest_device(rate: float) -> None:
    # Friedman's law, exact for constant services: so is the prior where streams stay Poisson-like.
    waits = prior_in_a_row(chain("only", [0.3, 1.0, 0.5, 1.0, 0.2], rate)).step_wait
    assert waits[[2, 3, 4]].max() < 1e-4
    exact = rate / 2 / (1 - rate)
    # Between light and heavy traffic the variability that comes in is an approximation.
    close(waits.sum(), torch.tensor(exact), rtol=0.01 if rate < 0.1 else 0.15)


def test_random_service_spaces_nothing_out() -> None:
    random, constant = (
        prior_in_a_row(chain("only", [0.5, 0.5], 0.2, law)).step_spaced
        for law in (Exponential, Deterministic)
    )
    assert random.tolist() == [0, 0]
    close(constant, torch.tensor([0.0, 1.0]))


def test_jobs_of_a_shared_origin_wait_less_for_each_other() -> None:
    # Two flows meet at the last device, after the same device or after one of their own.
    def wait(second_origin: str) -> float:
        devices = tuple(Device(name=n) for n in ("a", "b", "last"))
        chains = (chain("x", [0.5, 0.6], rate=0.2), chain("y", [0.5, 0.6], rate=0.2))
        deployment = Deployment(
            problem=Problem(devices=devices, chains=chains),
            placement={"x": (("a", "last"),), "y": ((second_origin, "last"),)},
        )
        return float(Decomposition()(flow_arrays(pack([deployment]))).step_wait[-1])

    assert wait("a") < 0.8 * wait("b")


def test_a_regular_stream_loses_less_in_a_full_buffer() -> None:
    # An overloaded constant server sends a periodic stream; it meets a Poisson one.
    devices = (Device(name="first", capacity=2), Device(name="last", capacity=3))
    chains = (chain("regular", [1.0, 0.8], rate=5.0), chain("poisson", [0.8], rate=1.0))
    deployment = Deployment(
        problem=Problem(devices=devices, chains=chains),
        placement={"regular": (("first", "last"),), "poisson": (("last",),)},
    )
    arrays = flow_arrays(pack([deployment]))
    prior = Decomposition()(arrays)
    at_last = arrays.step_device == 1
    regular = prior.step_loss[at_last & (arrays.step_position == 1)]
    poisson = prior.step_loss[at_last & (arrays.step_position == 0)]
    assert float(regular) < 0.7 * float(poisson)
    total = arrays.sum_to_devices(prior.step_rate * prior.step_loss)[1]
    arriving = arrays.sum_to_devices(prior.step_rate)[1]
    close(total / arriving, prior.loss[1], rtol=SETTLED)
