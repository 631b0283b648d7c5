"""Distances to the steps a model was trained on."""

from __future__ import annotations

import pytest
import torch

from surrogate.neighbours import Neighbourhood


def two_clouds(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    cloud = torch.randn(count, 3, generator=generator)
    return torch.cat([cloud[: count // 2] - 10.0, cloud[count // 2 :] + 10.0])


def test_most_training_steps_are_within_a_radius() -> None:
    steps = two_clouds(4000, seed=1)
    near = Neighbourhood.of(steps)
    assert (near.distance(steps) <= 1).float().mean() > 0.9


def test_between_the_clouds_is_far() -> None:
    near = Neighbourhood.of(two_clouds(4000, seed=1))
    assert float(near.distance(torch.zeros(1, 3))) > 4 * float(near.distance(two_clouds(2, 5))[0])


def test_does_not_depend_on_units() -> None:
    steps, scale = two_clouds(1000, seed=2), torch.tensor([1e-2, 1.0, 1e3])
    there = two_clouds(10, seed=3)
    distance = Neighbourhood.of(steps).distance(there)
    scaled = Neighbourhood.of(steps * scale).distance(there * scale)
    torch.testing.assert_close(distance, scaled, rtol=0.02, atol=0.02)


def test_few_steps_and_constant_features_do() -> None:
    near = Neighbourhood.of(torch.ones(5, 2))
    assert torch.isfinite(near.distance(torch.ones(3, 2))).all()


def test_refuses_shapes_that_do_not_fit() -> None:
    document = Neighbourhood.of(two_clouds(100, seed=4)).as_json()
    with pytest.raises(ValueError, match="centres must have shape"):
        Neighbourhood.from_json(document | {"radius": [1.0]})
