"""Attention is a weighted mean of what a device hosts."""

from __future__ import annotations

import torch

from surrogate.models.attention import DeviceAttention
from tests.surrogate.cases import close


def attention() -> DeviceAttention:
    torch.manual_seed(0)
    return DeviceAttention(6, 8, heads=2)


def test_equals_a_softmax_per_device() -> None:
    layer = attention()
    steps, device = torch.randn(7, 6), torch.tensor([0, 2, 2, 0, 2, 0, 3])
    with torch.no_grad():
        found = layer(steps, device, 4)
        message = layer.message(steps)
    values = message[:, :-2].unflatten(1, (2, 4))
    logits = 4 * torch.tanh(message[:, -2:] / 4)
    for row in (0, 2, 3):
        weights = torch.softmax(logits[device == row], dim=0)
        close(found[row], (weights.unsqueeze(-1) * values[device == row]).sum(dim=0).flatten())
    assert (found[1] == 0).all()


def test_is_finite_for_any_input() -> None:
    layer = attention()
    steps = (1e6 * torch.randn(5, 6)).requires_grad_()
    found = layer(steps, torch.zeros(5, dtype=torch.int64), 2)
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert steps.grad is not None
    assert torch.isfinite(steps.grad).all()
