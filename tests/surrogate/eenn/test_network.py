from __future__ import annotations

from typing import Any

import pytest
import torch

from datagen.errors import InvalidInputError
from surrogate.eenn.network import MultiExitNetwork


@pytest.fixture
def network() -> MultiExitNetwork:
    torch.manual_seed(0)
    return MultiExitNetwork(widths=(2, 3, 4), strides=(1, 2, 1), classes=5)


def test_has_logits_at_every_exit(network: MultiExitNetwork) -> None:
    images = torch.rand(6, 1, 8, 8)
    network.eval()
    answers = network(images)
    assert [tuple(logits.shape) for logits in answers] == [(6, 5)] * 3
    assert network.exits == 3
    # Going less far gives the same answers.
    for given, whole in zip(network(images, 2), answers, strict=False):
        assert torch.equal(given, whole)
    assert len(network(images, 2)) == 2
    # And samples do not meet each other.
    assert torch.allclose(network(images[2:3])[2], answers[2][2:3], atol=1e-6)


def test_every_exit_teaches_the_blocks_before_it_and_no_later_one(
    network: MultiExitNetwork,
) -> None:
    network(torch.rand(4, 1, 8, 8))[1].sum().backward()
    touched = [any(p.grad is not None for p in block.parameters()) for block in network.blocks]
    assert touched == [True, True, False]


def test_work_is_counted_and_leaves_no_traces(network: MultiExitNetwork) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    work = network.multiply_accumulates(8, 8)
    # Block 0: 3 x 3 from 1 to 2 and from 2 to 2 channels and 1 x 1 from 1 to 2, 64 pixels each.
    assert work[0] == 64 * (9 * 2 + 9 * 4 + 2) + 2 * 4 * 5
    # Block 1 at half the size: 2 to 3, 3 to 3, and the shortcut.
    assert work[1] - work[0] == 16 * (9 * 6 + 9 * 9 + 6) + 3 * 4 * 5
    assert work == sorted(work)
    assert network.training
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": (4,)}, "widths must hold at least two"),
        ({"widths": (4, 0)}, "widths must hold at least two numbers >= 1"),
        ({"strides": (1, 1)}, "strides must hold 7 numbers >= 1"),
        ({"classes": 1}, "classes must be >= 2"),
        ({"grid": 0}, "grid must be >= 1"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        MultiExitNetwork(**settings)
