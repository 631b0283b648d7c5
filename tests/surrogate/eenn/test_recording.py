from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from datagen.errors import InvalidInputError
from surrogate.eenn.recording import measure_latency, record_trace


class Doubling(nn.Module):
    """Two exits, the second twice as sure; counts how it was run."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.dropout = nn.Dropout(0.9)

    def forward(self, inputs: Tensor) -> list[Tensor]:
        assert not torch.is_grad_enabled()
        logits = self.dropout(inputs) * self.scale
        return [logits, 2 * logits]


INPUTS = torch.tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
LABELS = torch.tensor([1, 2, 2])


def test_records_what_is_answered_and_how_sure() -> None:
    model = Doubling()
    batches = [
        (INPUTS[:2], LABELS[:2], torch.tensor([0, 1]), torch.tensor([8, 8])),
        (INPUTS[2:], LABELS[2:], torch.tensor([0]), torch.tensor([3])),
    ]
    trace = record_trace(model, batches, name="mine", cost=[1.0, 3.0])
    assert model.training
    assert trace.name == "mine"
    expected = torch.stack([INPUTS, 2 * INPUTS], dim=1).double().softmax(dim=2).amax(dim=2)
    np.testing.assert_allclose(trace.confidences, expected.numpy(), rtol=1e-12)
    assert trace.correct.tolist() == [[True] * 2, [False] * 2, [True] * 2]
    assert trace.context is not None
    assert trace.group is not None
    assert trace.cost is not None
    assert trace.context.tolist() == [0, 1, 0]
    assert trace.group.tolist() == [8, 8, 3]
    assert trace.cost.tolist() == [1.0, 3.0]
    bare = record_trace(model, [(INPUTS, LABELS)])
    assert bare.context is bare.group is bare.cost is None
    assert np.array_equal(bare.confidences, trace.confidences)


def test_what_cannot_be_recorded_is_refused() -> None:
    class Single(nn.Module):
        def forward(self, inputs: Tensor) -> Any:
            return inputs

    class Lost(nn.Module):
        def forward(self, inputs: Tensor) -> Any:
            return [inputs / 0.0 * 0.0]

    for model, batches, message in (
        (Single(), [(INPUTS, LABELS)], "model must return a list of logits, got model='Tensor'"),
        (Lost(), [(INPUTS, LABELS)], "model must return finite logits"),
        (Doubling(), [], "loader must give at least one batch"),
        (Doubling(), [(INPUTS,)], "loader must give inputs, labels, context, group, got loader=1"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            record_trace(model, batches)


def test_latency_grows_with_the_exit() -> None:
    def answer(inputs: Tensor, exits: int) -> None:
        time.sleep(0.002 * exits)

    found = measure_latency(answer, INPUTS[:1], 3, repeats=5)
    assert len(found) == 3
    assert found == sorted(found)
    assert found[0] >= 0.002
    assert found[2] >= 0.006
    with pytest.raises(InvalidInputError, match="repeats must be >= 1"):
        measure_latency(answer, INPUTS, 1, repeats=0)
