"""Annealing in two stages: who is asked when, and what is shown to the judge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.deployment import Deployment
from datagen.errors import InvalidInputError
from datagen.evaluation import DeploymentBatch, Evaluator, Measures
from datagen.simulator import SimulationEvaluator, SimulationOptions
from surrogate.optimizers import (
    Annealing,
    Budget,
    Energy,
    NondominatedSearch,
    PlacementSpace,
    ScreenedAnnealing,
    SystemLoss,
    optimize,
)
from surrogate.optimizers.goal import Goal
from surrogate.optimizers.screening import default_search
from tests.surrogate.optimizers.problems import poor_start, small_problem

JUDGE = SimulationEvaluator(SimulationOptions(events=2e3, replications=1, seed=8))


class Noting(Evaluator):
    """The analytic evaluator, noting how many it was asked about."""

    def __init__(self) -> None:
        self.asked = 0

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        self.asked += len(batch)
        return AnalyticEvaluator().evaluate_batch(batch)


@pytest.fixture
def space() -> PlacementSpace:
    return PlacementSpace(poor_start(small_problem()))


def rounds(
    search: ScreenedAnnealing, space: PlacementSpace, shares: list[float]
) -> list[np.ndarray]:
    asked = []
    search.begin(space, np.random.default_rng(1))
    for search.progress in shares:
        candidates = search.ask(10)
        asked.append(candidates.placement)
        loss = JUDGE.evaluate(candidates).deployment["loss_ratio"]
        search.tell(candidates, np.asarray(loss))
    return asked


def test_the_screen_is_asked_in_the_first_stage_only(space: PlacementSpace) -> None:
    screen = Noting()
    search = ScreenedAnnealing(screen, share=0.5, screened=20)
    rounds(search, space, [0.0, 0.2, 0.4])
    first = screen.asked
    assert first >= 3 * 10 * 20
    assert search._first.progress > 0.95  # cooled by the end of its stage
    for search.progress in (0.5, 0.7, 0.9):
        candidates = search.ask(10)
        search.tell(candidates, np.asarray(JUDGE.evaluate(candidates).deployment["loss_ratio"]))
    assert screen.asked == first


def test_the_judge_is_shown_the_start_and_then_the_best_screened(space: PlacementSpace) -> None:
    shown = rounds(ScreenedAnnealing(screened=40), space, [0.0, 0.1, 0.2])
    assert (shown[0][0] == space.start).all()
    everything = np.concatenate(shown)
    assert len(np.unique(everything, axis=0)) == len(everything)
    loss = AnalyticEvaluator().evaluate(space.candidates(everything)).deployment["loss_ratio"]
    assert np.median(loss[1:]) < 0.2 * loss[0]


def test_the_second_stage_goes_on_from_what_the_judge_found_best(space: PlacementSpace) -> None:
    search = ScreenedAnnealing(share=0.5, screened=40)
    shown = np.concatenate(rounds(search, space, [0.0, 0.2, 0.4]))
    search.progress = 0.5
    neighbours = search.ask(16).placement
    changed = (neighbours[:, None] != shown[None]).sum(axis=2).min(axis=1)
    assert changed.max() <= 3  # one move from something that was shown


def test_few_evaluations_of_a_dear_judge_suffice() -> None:
    start = poor_start(small_problem())
    losses = [
        optimize(start, JUDGE, search, budget=Budget(evaluations=40), seed=3).verified.loss_ratio
        for search in (ScreenedAnnealing(), Annealing())
    ]
    assert losses[0] < 0.7 * losses[1]


def with_links(start: Deployment) -> Deployment:
    from datagen.deployment import Link

    link = Link(source="d0", target="d1", bandwidth=1e6)
    return replace(start, problem=replace(start.problem, links=(link,)))


def test_the_default_is_screened_where_formulas_know_the_answer(space: PlacementSpace) -> None:
    one = Goal()
    assert isinstance(default_search(space, JUDGE, one), ScreenedAnnealing)
    assert isinstance(default_search(space, AnalyticEvaluator(), one), Annealing)
    linked = PlacementSpace(with_links(space.base))
    assert isinstance(default_search(linked, JUDGE, one), Annealing)
    assert isinstance(default_search(space, JUDGE, Goal(objectives=(Energy(),))), Annealing)
    several = Goal(objectives=(SystemLoss(), Energy()))
    assert isinstance(default_search(space, JUDGE, several), NondominatedSearch)


def test_settings_are_checked() -> None:
    with pytest.raises(InvalidInputError, match="share must lie in"):
        ScreenedAnnealing(share=1.0)
    with pytest.raises(InvalidInputError, match="screened must be >= 1"):
        ScreenedAnnealing(screened=0)
