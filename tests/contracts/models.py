"""Laws of every surrogate network: what holds for any weights, and what holds for a fresh one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from datagen.analytic.tabulated import loss_and_jobs
from datagen.deployment import Deployment
from datagen.evaluation import pack
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.features import FeatureFunction
from surrogate.features.labels import LabelTable
from surrogate.models import DeploymentNetwork, Prediction
from surrogate.models.readout import wait_bound
from surrogate.training.losses import DeploymentLoss
from tests.surrogate.cases import (
    close,
    extremes,
    in_batch_order,
    made_up_labels,
    random_deployments,
    single,
)

CHAIN_MEASURES = ("log_throughput_ratio", "latency", "latency_ratio", "loss_ratio")


def predict(network: DeploymentNetwork, deployments: list[Deployment]) -> Prediction:
    with torch.no_grad():
        return network(flow_arrays(pack(deployments)))  # type: ignore[no-any-return]


def scatter_weights(network: DeploymentNetwork, seed: int = 0) -> DeploymentNetwork:
    """Give a network weights that no training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(0.4 * torch.randn(weights.shape, generator=generator))
    return network


class ModelContract:
    """Subclass it with a fixture ``build`` that makes a fresh network."""

    build: Callable[[], DeploymentNetwork]

    @pytest.fixture
    def fresh(self, build: Callable[[], DeploymentNetwork]) -> DeploymentNetwork:
        torch.manual_seed(0)
        return build().eval()

    @pytest.fixture
    def wild(self, build: Callable[[], DeploymentNetwork]) -> DeploymentNetwork:
        return scatter_weights(build()).eval()

    @pytest.fixture(params=[1, 2], ids=["one path", "two paths"])
    def deployments(self, request: pytest.FixtureRequest) -> list[Deployment]:
        return random_deployments(15, seed=21, paths=request.param)

    def test_the_order_of_devices_means_nothing(
        self, wild: DeploymentNetwork, deployments: list[Deployment]
    ) -> None:
        turned = [
            replace(item, problem=replace(item.problem, devices=item.problem.devices[::-1]))
            for item in deployments
        ]
        expected, found = predict(wild, deployments), predict(wild, turned)
        for name in CHAIN_MEASURES:
            close(getattr(found, name), getattr(expected, name))

    def test_the_order_of_chains_means_nothing(
        self, wild: DeploymentNetwork, deployments: list[Deployment]
    ) -> None:
        turned = [
            replace(item, problem=replace(item.problem, chains=item.problem.chains[::-1]))
            for item in deployments
        ]
        sizes = [len(item.problem.chains) for item in deployments]
        starts = np.cumsum([0, *sizes[:-1]])
        back = np.concatenate([
            np.arange(size)[::-1] + start for start, size in zip(starts, sizes, strict=True)
        ])
        expected, found = predict(wild, deployments), predict(wild, turned)
        for name in CHAIN_MEASURES:
            close(getattr(found, name)[back], getattr(expected, name))

    def test_neighbours_in_a_batch_mean_nothing(
        self, wild: DeploymentNetwork, deployments: list[Deployment]
    ) -> None:
        together = predict(wild, deployments)
        alone = [predict(wild, [deployment]) for deployment in deployments]
        for name in CHAIN_MEASURES:
            close(torch.cat([getattr(item, name) for item in alone]), getattr(together, name))
        close(torch.cat([item.law.log_quantiles for item in alone]), together.law.log_quantiles)
        arrays = flow_arrays(pack(deployments))
        singles = [flow_arrays(pack([deployment])) for deployment in deployments]
        for name in ("step_log_passed", "step_sojourn"):
            parts = [
                in_batch_order(own, getattr(item, name))
                for own, item in zip(singles, alone, strict=True)
            ]
            close(torch.cat(parts), in_batch_order(arrays, getattr(together, name)))

    def test_the_unit_of_time_means_nothing(
        self, wild: DeploymentNetwork, deployments: list[Deployment]
    ) -> None:
        arrays = flow_arrays(pack(deployments))
        scaled = replace(
            arrays, step_mean=arrays.step_mean * 64.0, flow_rate=arrays.flow_rate / 64.0
        )
        with torch.no_grad():
            expected, found = wild(arrays), wild(scaled)
        close(found.log_throughput_ratio, expected.log_throughput_ratio)
        close(found.latency, expected.latency * 64.0)
        close(found.law.log_quantiles.exp(), 64.0 * expected.law.log_quantiles.exp())

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_stays_physical_for_any_weights(
        self, build: Callable[[], DeploymentNetwork], seed: int
    ) -> None:
        network = scatter_weights(build(), seed).eval()
        deployments = random_deployments(30, seed=seed, paths=1 + seed)
        self.check_physical(network, flow_arrays(pack(deployments)))

    def test_stays_physical_at_the_edges(
        self, wild: DeploymentNetwork, fresh: DeploymentNetwork
    ) -> None:
        for network in (wild, fresh):
            self.check_physical(network, flow_arrays(extremes()))

    @staticmethod
    def check_physical(network: DeploymentNetwork, arrays: FlowArrays) -> None:
        with torch.no_grad():
            found = network(arrays)
            bound = wait_bound(arrays)[arrays.step_device]
        assert found.log_throughput_ratio.shape == (arrays.chains,)
        assert torch.isfinite(found.log_throughput_ratio).all()
        assert (found.log_throughput_ratio <= 0).all()
        assert ((found.throughput_ratio >= 0) & (found.throughput_ratio <= 1)).all()
        assert ((found.loss_ratio >= 0) & (found.loss_ratio <= 1)).all()
        close(found.throughput_ratio + found.loss_ratio, torch.ones(arrays.chains))
        assert ((found.latency_ratio > 0) & (found.latency_ratio <= 1 + 1e-6)).all()
        assert (found.step_log_passed <= 0).all()
        wait = found.step_sojourn - arrays.step_mean
        assert (wait >= 0).all()
        slack = 1e-5 * (bound + arrays.step_mean)  # the sum with the service is rounded
        assert (wait <= bound + slack).all()
        assert torch.isfinite(found.latency).all()
        longest = arrays.sum_to_flows(arrays.step_mean)
        least = torch.full((arrays.chains,), torch.inf).scatter_reduce(
            0, arrays.flow_chain, longest, "amin"
        )
        assert (found.latency >= least * (1 - 1e-5)).all()
        quantiles = found.law.log_quantiles
        assert torch.isfinite(quantiles).all()
        assert (quantiles.diff(dim=-1) >= 0).all()
        met = found.law.attainment(2.0 * found.latency)
        assert ((met >= 0) & (met <= found.throughput_ratio + 1e-6)).all()

    def test_a_fresh_network_repeats_the_prior(
        self, fresh: DeploymentNetwork, deployments: list[Deployment]
    ) -> None:
        arrays = flow_arrays(pack(deployments))
        with torch.no_grad():
            found, prior = fresh(arrays), FeatureFunction()(arrays).prior
        loss = prior.step_loss.clamp(1e-7, 1 - 1e-7)  # as far as logits tell apart
        close(-torch.expm1(found.step_log_passed), loss)
        wait = torch.minimum(prior.step_wait, wait_bound(arrays)[arrays.step_device])
        close(found.step_sojourn, arrays.step_mean + wait)

    @pytest.mark.parametrize("capacity", [1, 2, 5, 20])
    def test_a_fresh_network_knows_a_single_queue(
        self, fresh: DeploymentNetwork, capacity: int
    ) -> None:
        rates = [0.3, 0.8, 1.0, 1.5, 4.0]
        found = predict(fresh, [single(rate=r, means=(1.0,), capacity=capacity) for r in rates])
        loss, jobs = loss_and_jobs(np.array(rates), 0.0, capacity, 1)
        close(found.loss_ratio, np.maximum(loss, 1e-7))
        close(found.latency, jobs / (np.array(rates) * (1 - loss)))

    def test_weights_and_settings_are_the_whole_network(self, wild: DeploymentNetwork) -> None:
        twin = type(wild)(**wild.settings).eval()
        twin.load_state_dict(wild.state_dict())
        deployments = random_deployments(5)
        expected, found = predict(wild, deployments), predict(twin, deployments)
        assert torch.equal(found.latency, expected.latency)
        assert torch.equal(found.log_throughput_ratio, expected.log_throughput_ratio)

    def test_learns(self, fresh: DeploymentNetwork, deployments: list[Deployment]) -> None:
        batch = pack(deployments)
        example = LabelTable(batch, made_up_labels(batch)).example(range(len(batch)))
        fresh.fit_features(example.arrays)
        loss = DeploymentLoss()
        optimizer = torch.optim.Adam(
            fresh.parameters(), lr=1e-4
        )  # small enough to go downhill at once
        before = loss(fresh(example.arrays), example.targets)["total"]
        before.backward()
        gradients: list[Tensor | None] = [weights.grad for weights in fresh.parameters()]
        assert any(gradient is not None and gradient.any() for gradient in gradients)
        optimizer.step()
        after = loss(fresh(example.arrays), example.targets)["total"]
        assert after.item() < before.item()

    @pytest.mark.parametrize("name", ["flow_rate", "step_mean", "step_scv"])
    def test_gradients_to_inputs_are_finite_at_the_edges(
        self, wild: DeploymentNetwork, name: str
    ) -> None:
        arrays = flow_arrays(extremes())
        values = getattr(arrays, name).clone().requires_grad_()
        found = wild(replace(arrays, **{name: values}))
        (found.log_throughput_ratio + found.loss_ratio + found.latency_ratio).sum().backward()
        assert values.grad is not None
        assert torch.isfinite(values.grad).all()

    def test_gradients_reach_every_weight(
        self, wild: DeploymentNetwork, deployments: list[Deployment]
    ) -> None:
        found = wild.train()(flow_arrays(pack(deployments)))
        quantiles = found.law.log_quantiles
        (found.log_throughput_ratio.sum() + found.latency.log().sum() + quantiles.sum()).backward()
        for name, weights in wild.named_parameters():
            assert weights.grad is not None, name
            assert torch.isfinite(weights.grad).all(), name
