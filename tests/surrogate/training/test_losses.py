"""The loss: nothing where the prediction is the label, and a way downhill everywhere else."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from datagen.evaluation import pack
from surrogate.features.labels import Example, LabelTable, Targets
from surrogate.models import ChainNet, Prediction
from surrogate.models.latency_law import LatencyLaw
from surrogate.training.losses import DeploymentLoss
from tests.surrogate.cases import close, made_up_labels, random_deployments, single

PARTS = (
    "throughput",
    "latency",
    "step_passed",
    "step_sojourn",
    "rare_loss",
    "quantiles",
    "attainment",
)


@pytest.fixture(scope="module")
def example() -> Example:
    batch = pack(random_deployments(10, seed=31))
    found = LabelTable(batch, made_up_labels(batch)).example(range(len(batch)))
    deadline = 1.2 * found.targets.log_quantile[:, 0].exp()
    attained = law(found.targets.log_quantile).attainment(deadline)
    targets = dataclasses.replace(found.targets, deadline=deadline, attainment=attained)
    return dataclasses.replace(found, targets=targets)


def exact(targets: Targets) -> Prediction:
    """What a perfect model would say."""
    return Prediction(
        step_log_passed=targets.step_log_passed.clone(),
        step_sojourn=targets.step_log_sojourn.exp(),
        log_throughput_ratio=torch.log1p(-targets.loss_ratio),
        latency=torch.ones_like(targets.loss_ratio),
        latency_ratio=targets.log_latency_ratio.exp(),
        law=law(targets.log_quantile),
    )


def law(log_quantile: Tensor) -> LatencyLaw:
    """One flow per chain."""
    chains = len(log_quantile)
    return LatencyLaw(
        log_quantile=log_quantile,
        log_least=torch.full((chains,), -torch.inf),
        completed=torch.ones(chains),
        chain=torch.arange(chains),
        chains=chains,
    )


def shifted(prediction: Prediction, shift: float) -> Prediction:
    """The same prediction, off by a factor in everything."""
    return Prediction(
        step_log_passed=prediction.step_log_passed - shift,
        step_sojourn=prediction.step_sojourn * (1 + shift),
        log_throughput_ratio=prediction.log_throughput_ratio - shift,
        latency=prediction.latency * (1 + shift),
        latency_ratio=prediction.latency_ratio / (1 + shift),
        law=law(prediction.law.log_quantile + shift),
    )


def test_is_zero_at_the_labels(example: Example) -> None:
    parts = DeploymentLoss()(exact(example.targets), example.targets)
    assert set(parts) == {*PARTS, "total"}
    for name, value in parts.items():
        assert abs(value.item()) < 1e-4, name


def test_grows_with_the_error(example: Example) -> None:
    best = exact(example.targets)
    near = DeploymentLoss()(shifted(best, 0.05), example.targets)
    far = DeploymentLoss()(shifted(best, 0.5), example.targets)
    for name in PARTS:
        assert 0 < near[name].item() < far[name].item(), name


def test_forgives_what_is_noise(example: Example) -> None:
    targets = example.targets
    sharp = dataclasses.replace(
        targets,
        throughput_error=torch.zeros_like(targets.throughput_error),
        latency_error=torch.zeros_like(targets.latency_error),
    )
    off = shifted(exact(targets), 0.01)
    for name in ("throughput", "latency"):
        noisy, exactly = (DeploymentLoss()(off, t)[name].item() for t in (targets, sharp))
        assert noisy < exactly


def masked(values: Tensor, rows: Tensor, other: Tensor | float) -> Tensor:
    """Other values in some rows."""
    shape = (len(rows), *(1 for _ in values.shape[1:]))
    return torch.where(rows.reshape(shape), other, values)


def without(targets: Targets, rows: Tensor, steps: Tensor) -> Targets:
    """Targets that are undefined in some rows."""
    return dataclasses.replace(
        targets,
        **{
            item.name: masked(
                getattr(targets, item.name),
                steps if item.name.startswith("step_") else rows,
                torch.nan,
            )
            for item in dataclasses.fields(Targets)
            if item.name not in ("step_offered", "step_completed", "offered", "completed")
        },
    )


def test_undefined_labels_do_not_count(example: Example) -> None:
    arrays, targets = example.arrays, example.targets
    chain_out = torch.arange(arrays.chains) < arrays.chains // 2
    step_out = chain_out[arrays.flow_chain][arrays.step_flow]
    some = without(targets, chain_out, step_out)
    off = shifted(exact(targets), 0.3)
    wrong: dict[str, Any] = {
        item.name: masked(
            getattr(off, item.name),
            step_out if item.name.startswith("step_") else chain_out,
            0.5 * getattr(off, item.name),
        )
        for item in dataclasses.fields(Prediction)
        if item.name != "law"
    }
    quantiles = off.law.log_quantile
    wrong["law"] = law(masked(quantiles, chain_out, quantiles - 1.0))
    expected = DeploymentLoss()(off, some)
    found = DeploymentLoss()(Prediction(**wrong), some)
    for name, value in expected.items():
        assert value.item() > 0
        close(found[name], value)


def test_no_label_at_all_is_no_loss(example: Example) -> None:
    targets = without(
        example.targets,
        torch.ones(example.arrays.chains, dtype=torch.bool),
        torch.ones(len(example.arrays.step_row), dtype=torch.bool),
    )
    found = DeploymentLoss()(shifted(exact(example.targets), 0.1), targets)
    assert found["total"].item() == 0


def test_gradients_flow_past_undefined_labels_and_idle_steps(example: Example) -> None:
    batch = pack([
        single(means=(0.0,)),
        single(means=(1.0, 0.0), hosts=(0, 1), capacity=1),
        single(rate=50.0, means=(1.0, 1.0, 1.0), hosts=(0, 1, 2), capacity=None),
    ])
    with torch.no_grad():
        known = LabelTable(batch, made_up_labels(batch)).example([0, 1, 2])
    torch.manual_seed(0)
    network = ChainNet(hidden=8, iterations=1)
    DeploymentLoss()(network(known.arrays), known.targets)["total"].backward()
    for name, weights in network.named_parameters():
        assert weights.grad is not None, name
        assert torch.isfinite(weights.grad).all(), name


def test_quick_steps_count_like_slow_ones(example: Example) -> None:
    targets = example.targets
    quick = dataclasses.replace(targets, step_log_sojourn=targets.step_log_sojourn - 12.0)
    off = shifted(exact(targets), 0.3)
    best = exact(quick)
    wrong = dataclasses.replace(off, step_sojourn=best.step_sojourn * 1.3)
    slow, fast = (
        DeploymentLoss()(p, t)["step_sojourn"] for p, t in ((off, targets), (wrong, quick))
    )
    close(fast, slow)


def test_a_latency_of_nothing_is_no_label(example: Example) -> None:
    quantile = example.targets.log_quantile.clone()
    quantile[0] = -torch.inf
    targets = dataclasses.replace(example.targets, log_quantile=quantile)
    network = ChainNet(hidden=4, iterations=1, quick_jobs=True)
    DeploymentLoss()(network(example.arrays), targets)["quantiles"].backward()
    for weights in network.law_head.parameters():
        assert weights.grad is not None
        assert weights.grad.isfinite().all()


def test_weights_are_those_asked_for(example: Example) -> None:
    off = shifted(exact(example.targets), 0.2)
    weights = {
        "latency": 2.0,
        "step_passed": 0.0,
        "step_sojourn": 3.0,
        "rare_loss": 0.1,
        "quantiles": 0.7,
        "attainment": 0.4,
    }
    found = DeploymentLoss(**weights)(off, example.targets)
    expected = sum(({"throughput": 1.0} | weights)[name] * found[name] for name in PARTS)
    close(found["total"], torch.as_tensor(expected))
