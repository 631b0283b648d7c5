"""Estimated effects of moves: against the true ones, and where there are none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from datagen.errors import NotSupportedError
from datagen.evaluation import Evaluator
from datagen.scenarios import PlacementScenario
from surrogate.evaluator import SurrogateEvaluator, load_surrogate
from surrogate.features.arrays import flow_arrays
from surrogate.optimizers import (
    Energy,
    Latency,
    Mix,
    Objective,
    PlacementSpace,
    SystemLoss,
    Throughput,
)
from surrogate.optimizers.baselines import least_loaded, random_placements
from surrogate.optimizers.sensitivity import (
    differentiable_values,
    move_effects,
    require_differentiable,
)
from surrogate.optimizers.space import Placements
from tests.surrogate.optimizers.problems import poor_start, small_problem

OBJECTIVES: list[Objective] = [
    SystemLoss(),
    Latency({"c1": 2.0, "c2": 1.0}),
    Throughput(),
    Mix({SystemLoss(): 1.0, Latency(): 0.1}),
]


@pytest.fixture(scope="module")
def surrogate() -> SurrogateEvaluator:
    return load_surrogate("chainnet")


def true_effects(
    evaluator: Evaluator, space: PlacementSpace, placement: Placements
) -> NDArray[np.float64]:
    """Change of the loss by each move [F, D]; infinity where there is none."""
    slots, devices = np.nonzero(space.allowed & (np.arange(space.devices) != placement[:, None]))
    rows = np.tile(placement, (len(slots) + 1, 1))
    rows[np.arange(len(slots)) + 1, slots] = devices
    loss = evaluator.evaluate(space.candidates(rows)).deployment["loss_ratio"]
    effects = np.full(space.allowed.shape, np.inf)
    effects[slots, devices] = loss[1:] - loss[0]
    return effects


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_values_are_those_of_the_objective(
    surrogate: SurrogateEvaluator, objective: Objective
) -> None:
    space = PlacementSpace(poor_start(small_problem()))
    rows = random_placements(space, 5, np.random.default_rng(0))
    batch = space.candidates(rows).batch(laws=False)
    with torch.no_grad():
        prediction = surrogate.release.network(flow_arrays(batch))
    values = differentiable_values(objective, batch, prediction)
    expected = objective.values(surrogate.evaluate(space.candidates(rows)))
    assert values.numpy() == pytest.approx(expected, rel=1e-4)
    require_differentiable(objective)


@pytest.mark.parametrize("objective", [Energy(), Mix({SystemLoss(): 1.0, Energy(): 1.0})])
def test_what_networks_do_not_say_has_no_gradient(objective: Objective) -> None:
    with pytest.raises(NotSupportedError, match="the gradient search: energy"):
        require_differentiable(objective)


@pytest.mark.parametrize("place", ["random", "balanced"])
def test_effects_rank_moves_as_they_turn_out(surrogate: SurrogateEvaluator, place: str) -> None:
    scenario = PlacementScenario(chains=(4, 8), devices=(8, 20), load=(0.4, 1.0))
    correlations, gains = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        space = PlacementSpace(scenario.draw(rng))
        row = random_placements(space, 1, rng)[0] if place == "random" else least_loaded(space)
        estimated = move_effects(surrogate.release.network, SystemLoss(), space, row[None])[0]
        true = true_effects(surrogate, space, row)
        possible = np.isfinite(true)
        assert (np.isfinite(estimated) == possible).all()
        correlations.append(spearmanr(estimated[possible], true[possible])[0])
        first = np.argsort(estimated[possible])[: possible.sum() // 10]
        gains.append((true[possible][first] < 0).mean() - (true[possible] < 0).mean())
    assert np.mean(correlations) > 0.35
    assert np.mean(gains) > 0.05


def test_rows_do_not_depend_on_their_neighbours(surrogate: SurrogateEvaluator) -> None:
    space = PlacementSpace(poor_start(small_problem()))
    rows = random_placements(space, 3, np.random.default_rng(1))
    network = surrogate.release.network
    together = move_effects(network, Latency(), space, rows)
    for row, effects in zip(rows, together, strict=True):
        alone = move_effects(network, Latency(), space, row[None])[0]
        possible = np.isfinite(alone)
        assert effects[possible] == pytest.approx(alone[possible], rel=1e-3, abs=1e-6)
    assert np.isinf(together[:, ~space.allowed]).all()


def test_the_best_move_leaves_an_overloaded_device(surrogate: SurrogateEvaluator) -> None:
    space = PlacementSpace(poor_start(small_problem(memory=None)))
    crowded = np.full(space.slots, 1, dtype=np.int32)
    effects = move_effects(surrogate.release.network, SystemLoss(), space, crowded[None])[0]
    slot, device = np.unravel_index(np.argmin(effects), effects.shape)
    moved = crowded.copy()
    moved[slot] = device
    loss = surrogate.evaluate(space.candidates(np.stack([crowded, moved]))).deployment["loss_ratio"]
    assert effects[slot, device] < 0
    assert loss[1] < loss[0]
