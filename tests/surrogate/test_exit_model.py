"""Counts over a trace: exact values, levels and thresholds that agree, gradients that are right."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from datagen.evaluation.packing import DeploymentTables
from datagen.exits import ExitTrace
from surrogate.exit_model import TraceExits
from tests.surrogate.exit_cases import gateway, small_trace


def test_counts_are_those_of_the_thresholds() -> None:
    model, rng = TraceExits(small_trace()), np.random.default_rng(0)
    levels = np.concatenate([rng.uniform(size=(20, 3)), [[0, 0, 0], [1, 1, 1], [1, 0, 0.5]]])
    with torch.no_grad():
        leaving = model(torch.tensor(levels, dtype=torch.float32))
    tables = DeploymentTables(gateway()).leaving
    chain = gateway().problem.chains[0]
    outcomes = tables.outcomes_by(chain, model.thresholds(levels))
    shares = tables.shares(chain, outcomes, 8).reshape(len(levels), 4, 2)
    assert leaving.mix.numpy() == pytest.approx(shares.sum(axis=2), abs=1e-6)
    assert leaving.right.numpy() == pytest.approx(shares[:, :, 1], abs=1e-6)


def test_fast_counts_are_the_values_that_carry_gradients() -> None:
    model = TraceExits(small_trace())
    levels = torch.rand(10, 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        fast = model(levels)
    slow = model(levels.clone().requires_grad_())
    assert torch.allclose(fast.mix, slow.mix, atol=1e-6)
    assert torch.allclose(fast.right, slow.right, atol=1e-6)
    assert slow.mix.requires_grad


def test_answers_may_be_likely_instead_of_right() -> None:
    trace = small_trace()
    likely = np.random.default_rng(4).uniform(size=trace.correct.shape)
    model = TraceExits(trace, right=likely)
    levels = torch.rand(10, 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        fast = model(levels)
    slow = model(levels.clone().requires_grad_())
    assert torch.allclose(fast.right, slow.right, atol=1e-6)
    assert (fast.right <= fast.mix).all()


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_counts_of_a_handful_of_samples(samples: int) -> None:
    trace = ExitTrace(
        name="t", confidences=np.full((samples, 2), 0.5), correct=np.ones((samples, 2))
    )
    with torch.no_grad():
        leaving = TraceExits(trace)(torch.tensor([[0.0], [1.0]]))
    assert leaving.mix.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert leaving.right.tolist() == leaving.mix.tolist()


def test_equal_confidences_leave_together() -> None:
    trace = ExitTrace(
        name="t", confidences=[[0.5, 1], [0.5, 1], [0.9, 1], [0.2, 1]], correct=np.ones((4, 2))
    )
    model = TraceExits(trace)
    with torch.no_grad():
        mix = model(torch.tensor([[0.0], [0.3], [0.7], [1.0]])).mix[:, 0]
    assert mix.tolist() == [1.0, 0.75, 0.25, 0.0]
    # Halfway below the least confidence that leaves, so that rounding cannot lose it.
    found = model.thresholds(np.array([[0.0], [0.3], [0.7], [1.0]])).ravel()
    assert found == pytest.approx([0.0, 0.35, 0.7, 1.01])


def test_gradients_of_smooth_counts() -> None:
    model = TraceExits(small_trace(60), straight_through=False, width=0.1).double()
    levels = torch.rand(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def both(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        leaving = model(values)
        return leaving.mix, leaving.right

    assert torch.autograd.gradcheck(both, (levels.requires_grad_(),))


def test_rough_counts_are_those_of_evenly_spread_samples() -> None:
    model = TraceExits(small_trace())
    levels = torch.rand(5, model.exits - 1, generator=torch.Generator().manual_seed(3))
    levels.requires_grad_()
    whole, rough = model.roughly(levels, len(model.rank)), model.roughly(levels, 100)
    assert torch.equal(whole.mix, model(levels).mix)
    assert not torch.equal(rough.mix, whole.mix)
    assert (rough.mix - whole.mix).abs().max() < 0.1
    assert torch.allclose(rough.mix.sum(dim=1), torch.ones(5))
    torch.autograd.backward(rough.right.sum())
    assert levels.grad is not None
    assert (levels.grad != 0).any()
