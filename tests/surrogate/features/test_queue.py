"""The torch formula is the tabulated one, and its gradients are those of what it computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from datagen.analytic.tabulated import loss_and_jobs
from surrogate.features.queue import QueueFormula
from tests.surrogate.cases import close

LOADS = np.concatenate([np.geomspace(1e-4, 50, 25), [0.999, 0.9999999, 1.0, 1.0000001, 1.001]])
CAPACITIES = [1, 2, 3, 5, 10, 17.5, 50, 100, 200, np.inf]
SCVS = [0.0, 0.1, 0.5, 1.0, 2.0, 4.0]
SERVERS = [1, 2, 3, 4]

LEAST_LOSS = 1e-9
"""Losses below need not agree in any digit."""


def grid() -> tuple[np.ndarray, ...]:
    axes = np.meshgrid(LOADS, SCVS, CAPACITIES, SERVERS, indexing="ij")
    return tuple(axis.ravel() for axis in axes)


def tensors(*arrays: np.ndarray, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    return [torch.tensor(array, dtype=dtype) for array in arrays]


def test_equals_the_tabulated_formula() -> None:
    load, scv, capacity, servers = grid()
    loss, waiting = QueueFormula()(*tensors(load, scv, capacity, servers))
    expected_loss, jobs = loss_and_jobs(load, scv, capacity, servers)
    # Float32 takes an unlimited room for one of a million places, which shows close to load 1 only;
    # above it an unlimited device has no steady state.
    limited = np.isfinite(capacity)
    judged = limited | (np.abs(load - 1) > 1e-4)
    close(loss[judged], expected_loss[judged], atol=LEAST_LOSS)
    judged = limited | (load < 0.9999)
    in_service = load[judged] * servers[judged] * (1 - expected_loss[judged])
    close(waiting[judged], np.maximum(jobs[judged] - in_service, 0.0), atol=1e-4)


def test_is_physical_everywhere() -> None:
    load, scv, capacity, servers = grid()
    loss, waiting = QueueFormula()(*tensors(load, scv, capacity, servers))
    assert torch.isfinite(loss).all()
    assert torch.isfinite(waiting).all()
    assert ((loss >= 0) & (loss < 1)).all()
    assert (waiting >= 0).all()
    room = np.maximum(capacity - np.minimum(servers, capacity), 0.0)
    assert (waiting.numpy() <= np.minimum(room, 1e6) + 1e-5).all()
    fluid = 1 - 1 / np.maximum(load * servers / np.minimum(servers, capacity), 1.0)
    assert (loss.numpy() >= fluid - 1e-5).all()


@pytest.mark.parametrize("variability", [-0.9, -0.5, -0.2])
def test_regular_arrivals_stay_physical(variability: float) -> None:
    load, _, capacity, servers = grid()
    scv = np.full_like(load, variability)
    loss, waiting = QueueFormula()(*tensors(load, scv, capacity, servers))
    assert torch.isfinite(loss).all()
    assert ((loss >= 0) & (loss < 1)).all()
    assert torch.isfinite(waiting).all()
    assert (waiting >= 0).all()


def test_gradients_are_finite_everywhere() -> None:
    values = [value.requires_grad_() for value in tensors(*grid())[:3]]
    values[2] = values[2].detach()  # an unlimited capacity has no neighbour to differ from
    loss, waiting = QueueFormula()(*values, tensors(grid()[3])[0])
    (loss + torch.log1p(waiting)).sum().backward()
    for value in values[:2]:
        assert value.grad is not None
        assert torch.isfinite(value.grad).all()


def test_gradients_are_those_of_the_function() -> None:
    formula = QueueFormula().double()
    # Away from the grid's lines, where the interpolated ratios have kinks.
    load, scv, capacity, servers = tensors(
        np.array([0.313, 0.777, 1.31, 2.23]),
        np.array([0.3, 1.1, 0.7, 2.0]),
        np.array([3.3, 7.7, 12.6, 30.1]),
        np.array([1.0, 2.0, 1.0, 3.0]),
        dtype=torch.float64,
    )
    inputs = tuple(value.requires_grad_() for value in (load, scv, capacity))
    assert torch.autograd.gradcheck(lambda *given: formula(*given, servers), inputs, eps=1e-7)
