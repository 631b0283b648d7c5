"""The gradient search: what it needs, and what its moves are worth."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.errors import InvalidInputError, NotSupportedError
from datagen.evaluation import Evaluator
from datagen.scenarios import PlacementScenario
from datagen.simulator import SimulationEvaluator, SimulationOptions
from surrogate.evaluator import SurrogateEvaluator, load_surrogate
from surrogate.optimizers import Annealing, Energy, GradientSearch, PlacementSpace, SystemLoss
from surrogate.optimizers.baselines import random_placements
from surrogate.optimizers.moves import propose


@pytest.fixture(scope="module")
def surrogate() -> SurrogateEvaluator:
    return load_surrogate("chainnet")


@pytest.mark.parametrize(
    "evaluator", [AnalyticEvaluator(), SimulationEvaluator(SimulationOptions(events=1e3))]
)
def test_only_networks_guide(evaluator: Evaluator) -> None:
    with pytest.raises(InvalidInputError, match="guide must be a surrogate, whose network"):
        GradientSearch.driven_by(evaluator, SystemLoss())


def test_objectives_without_a_gradient_are_refused_at_once(surrogate: SurrogateEvaluator) -> None:
    with pytest.raises(NotSupportedError, match="the gradient search: energy"):
        GradientSearch.driven_by(surrogate, Energy())


def test_its_moves_are_better_than_random_ones(surrogate: SurrogateEvaluator) -> None:
    scenario = PlacementScenario(chains=(4, 8), devices=(8, 20), load=(0.4, 1.0))
    shares = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        space = PlacementSpace(scenario.draw(rng))
        row = random_placements(space, 1, rng)
        search = GradientSearch(surrogate)
        search.begin(space, rng)
        search.tell(space.candidates(row), np.zeros(1))
        moved = search.ask(200).placement
        assert ((moved != row).sum(axis=1) >= 1).mean() > 0.9
        random = propose(space, np.tile(row, (200, 1)), rng)
        loss = surrogate.evaluate(space.candidates(np.concatenate([row, moved, random])))
        change = loss.deployment["loss_ratio"][1:] - loss.deployment["loss_ratio"][0]
        shares.append([(half < 0).mean() for half in np.split(change, 2)])
    guided, blind = np.mean(shares, axis=0)
    assert guided > blind + 0.05


def test_it_is_annealing_otherwise(surrogate: SurrogateEvaluator) -> None:
    assert isinstance(Annealing.driven_by(surrogate, SystemLoss()), Annealing)
    guided = GradientSearch.driven_by(surrogate, SystemLoss())
    assert (guided.tries, guided.cycles) == (Annealing().tries, Annealing().cycles)
