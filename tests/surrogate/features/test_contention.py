"""The feature group ``contention``: nothing new for plain networks, theory's word for others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from datagen.analytic import mmck_slowed
from datagen.analytic.processor_sharing import mgck_ps
from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic, Exponential, HyperExponential, Law
from datagen.evaluation import pack
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.contention import ContentionGroup
from surrogate.features.features import FeatureFunction, Features
from surrogate.models import ChainNet
from tests.surrogate.cases import as_double, close, random_deployments
from tests.surrogate.forks import contended


def described(*deployments: Deployment) -> tuple[FlowArrays, Features]:
    arrays = flow_arrays(pack(deployments))
    return arrays, FeatureFunction([ContentionGroup()])(arrays)


def on_one(streams: dict[str, tuple[float, Law, int]], **device: Any) -> Deployment:
    """Chains of (rate, service, priority) on one device d."""
    chains = tuple(
        Chain(
            name=name,
            arrivals=Poisson(rate=rate),
            fragments=(Fragment(name="f", service=law),),
            priority=priority,
        )
        for name, (rate, law, priority) in streams.items()
    )
    problem = Problem(devices=(Device(name="d", **device),), chains=chains)
    return Deployment(problem=problem, placement=dict.fromkeys(streams, (("d",),)))


def line(overflow: Any, *means: float, rate: float = 1.0, capacity: int = 5) -> Deployment:
    """One chain over devices in a row."""
    names = [f"d{number}" for number in range(len(means))]
    fragments = tuple(
        Fragment(name=f"f{number}", service=Deterministic(mean=mean))
        for number, mean in enumerate(means)
    )
    problem = Problem(
        devices=tuple(Device(name=name, capacity=capacity) for name in names),
        chains=(Chain(name="c", arrivals=Poisson(rate=rate), fragments=fragments),),
        overflow=overflow,
    )
    return Deployment(problem=problem, placement={"c": (tuple(names),)})


def test_plain_networks_have_the_plain_prior_and_empty_columns() -> None:
    arrays = flow_arrays(pack(random_deployments(16, seed=9)))
    plain, more = FeatureFunction()(arrays), FeatureFunction([ContentionGroup()])(arrays)
    for name in ("step_loss", "step_wait", "load", "waiting"):
        close(getattr(more.prior, name), getattr(plain.prior, name))
    names = ContentionGroup.names
    assert not more.step[:, -len(names.step) :].abs().gt(1e-6).any()
    assert not more.device[:, -len(names.device) :].abs().gt(1e-6).any()
    assert not more.flow[:, -len(names.flow) :].abs().gt(1e-6).any()


@pytest.mark.parametrize("load", [0.4, 0.8, 1.3])
def test_processor_sharing_is_insensitive(load: float) -> None:
    streams: dict[str, tuple[float, Law, int]] = {
        "short": (0.5 * load, Deterministic(mean=0.5), 0),
        "long": (0.25 * load, HyperExponential(mean=3.0, scv=4.0), 0),
    }
    arrays, features = described(on_one(streams, discipline="ps", capacity=8))
    exact = mgck_ps([0.5 * load, 0.25 * load], [0.5, 3.0], 1, 8)
    loss = torch.tensor([one.loss_probability for one in exact])
    stay = torch.tensor([one.mean_latency for one in exact])
    close(features.prior.step_loss, loss, rtol=0.1, atol=3e-3)
    close(arrays.step_mean + features.prior.step_wait, stay, rtol=0.1)


def test_busy_cores_slow_services_down() -> None:
    table = (1.0, 0.8, 0.6)
    law = Exponential(mean=1.0)
    for rate in (0.3, 1.2, 2.5):
        deployment = on_one({"c": (rate, law, 0)}, servers=3, speedup=table, capacity=8)
        arrays, features = described(deployment)
        exact = mmck_slowed(rate, 1.0, table, 8)
        stay = float(arrays.step_mean + features.prior.step_wait)
        assert stay == pytest.approx(exact.mean_latency, rel=0.2)
        assert float(features.prior.step_loss) == pytest.approx(exact.loss_probability, abs=0.02)


def test_the_unloaded_service_is_that_of_one_busy_core() -> None:
    law = Deterministic(mean=3.0)
    deployment = on_one({"c": (0.1, law, 0)}, servers=2, speedup=(0.5, 0.25), capacity=8)
    arrays, _ = described(deployment)
    assert float(arrays.step_mean) == pytest.approx(6.0)


def test_priorities_share_the_wait_out() -> None:
    law = Exponential(mean=1.0)
    streams = {"high": (0.3, law, 5), "middle": (0.3, law, 1), "low": (0.3, law, -2)}
    _, plain = described(on_one(dict.fromkeys(streams, (0.3, law, 0)), capacity=30))
    _, ranked = described(on_one(streams, capacity=30, discipline="priority"))
    high, middle, low = ranked.prior.step_wait.tolist()
    assert high < middle < low
    assert low > 5.0 * high
    assert high + middle + low == pytest.approx(float(plain.prior.step_wait.sum()), rel=1e-4)
    assert ranked.prior.unbounded is not None
    assert bool(ranked.prior.unbounded.all())


def test_who_waits_for_room_ahead_is_lost_at_the_entrance_only() -> None:
    arrays, blocking = described(line("block", 0.2, 0.2, 1.5))
    _, dropping = described(line("drop", 0.2, 0.2, 1.5))
    prior = blocking.prior
    assert prior.lossless is not None
    assert prior.lossless.tolist() == [False, True, True]
    assert prior.step_loss[1:].tolist() == [0.0, 0.0]
    assert float(prior.step_loss[0]) == pytest.approx(1.0 - 1.0 / 1.5, abs=0.1)
    assert float(dropping.prior.step_loss[0]) < 0.01
    assert bool((prior.step_wait > dropping.prior.step_wait - 1e-6).all())
    assert float(prior.step_wait[1]) > 3.0 * float(dropping.prior.step_wait[1])


def test_a_network_keeps_inner_steps_lossless() -> None:
    network = ChainNet(hidden=4, iterations=1, groups=["contention"])
    network.head[-1].bias.data.fill_(9.0)  # type: ignore[index, union-attr, operator]
    with torch.no_grad():
        found = network(flow_arrays(pack([line("block", 0.2, 0.2, 1.5)])))
    assert found.step_log_passed[1:].tolist() == [0.0, 0.0]
    assert float(found.step_log_passed[0]) < -2.0


def test_features_are_finite_and_scale_free() -> None:
    deployments = [contended(deployment) for deployment in random_deployments(16, seed=21)]
    arrays = flow_arrays(pack(deployments))
    network = ChainNet(hidden=4, iterations=1, groups=["contention"])
    features = network.features(arrays)
    slow = replace(arrays, flow_rate=0.1 * arrays.flow_rate, step_mean=10.0 * arrays.step_mean)
    scaled = network.features(slow)
    for level in ("step", "device", "flow"):
        values = getattr(features, level)
        assert values.shape[1] == len(getattr(features.names, level))
        assert bool(values.isfinite().all())
        close(getattr(scaled, level), values, rtol=1e-2, atol=1e-2)
    found = network(arrays)
    assert bool((found.log_throughput_ratio <= 0.0).all())
    assert bool((found.latency_ratio <= 1.0 + 1e-6).all())
    assert bool(found.law.log_quantiles.isfinite().all())


def test_gradients_reach_the_rates() -> None:
    deployments = [contended(deployment) for deployment in random_deployments(4, seed=22)]
    arrays = as_double(flow_arrays(pack(deployments)))
    rate = arrays.flow_rate.requires_grad_()
    network = ChainNet(hidden=4, iterations=1, groups=["contention"]).double()
    found = network(replace(arrays, flow_rate=rate))
    (found.latency.sum() + found.log_throughput_ratio.sum()).backward()
    assert rate.grad is not None
    assert bool(rate.grad.isfinite().all())
    assert bool((rate.grad != 0).any())
