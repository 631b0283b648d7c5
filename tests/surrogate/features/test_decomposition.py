"""The prior: exact where queues are single, consistent with itself, near the analytic evaluator."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from datagen.analytic import decomposition as analytic_module
from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic, Exponential, Law
from datagen.evaluation import pack
from surrogate.features import decomposition as decomposition_module
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.decomposition import Decomposition
from surrogate.features.prior import PACING, Prior
from tests.surrogate.cases import as_double, close, extremes, random_deployments, single

SETTLED = 0.02
"""What the last round may still move: the rounds are few, for features need no more."""

SETTLED_ALIKE = {"rtol": 1e-4, "atol": 1e-6}
"""The table in torch is in float32, and its exponents and loads are clipped."""

THROUGHPUT_GAP, LATENCY_GAP = 3e-4, 1e-3
"""Mean distances that the fixed number of rounds leaves."""


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


def said_by(prior: Prior, arrays: FlowArrays) -> tuple[Tensor, Tensor]:
    """Throughput ratio and latency of each chain of one path, by the prior."""
    passed = arrays.sum_to_flows(torch.log1p(-prior.step_loss)).exp()
    latency = arrays.sum_to_flows(prior.step_wait + arrays.step_mean)
    order = arrays.flow_chain.argsort()
    return passed[order], latency[order]


def test_settles_where_the_analytic_evaluator_settles(monkeypatch: pytest.MonkeyPatch) -> None:
    many = PACING._replace(rounds=80)
    monkeypatch.setattr(decomposition_module, "PACING", many)
    monkeypatch.setattr(analytic_module, "TOLERANCE", 1e-7)
    batch = pack(random_deployments(60, seed=12))
    arrays = as_double(flow_arrays(batch))
    with torch.no_grad():
        prior = Decomposition().double().differentiable(arrays)
    assert float((1 - prior.step_remaining).max()) > 0.5
    expected = AnalyticEvaluator(rounds=500).evaluate_batch(batch).chain
    passed, latency = said_by(prior, arrays)
    close(passed, expected["throughput_ratio"], **SETTLED_ALIKE)
    close(
        latency[~expected_lost(expected)],
        expected["latency"][~expected_lost(expected)],
        **SETTLED_ALIKE,
    )


def expected_lost(chain: Mapping[str, np.ndarray]) -> np.ndarray:
    """Chains without a latency, for no job completes."""
    return np.isnan(chain["latency"])


def test_a_few_rounds_come_near() -> None:
    batch = pack(random_deployments(150, seed=11))
    arrays = flow_arrays(batch)
    passed, latency = said_by(Decomposition()(arrays), arrays)
    expected = AnalyticEvaluator().evaluate_batch(batch).chain
    gap = np.abs(passed.numpy() - expected["throughput_ratio"])
    assert gap.mean() < THROUGHPUT_GAP
    assert np.nanmean(np.abs(latency.numpy() / expected["latency"] - 1)) < LATENCY_GAP


def test_is_finite_at_the_edges() -> None:
    prior = Decomposition()(flow_arrays(extremes()))
    for item in dataclasses.fields(Prior):
        values = getattr(prior, item.name)
        if values is None:
            assert item.name in ("unbounded", "lossless")
        elif item.name == "capacity":
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
