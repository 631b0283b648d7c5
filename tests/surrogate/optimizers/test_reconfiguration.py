"""Reconfiguration: cheapest moves that simulation agrees with."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.arrivals import Renewal
from datagen.deployment import Deployment
from datagen.errors import InvalidInputError
from datagen.evaluation import DeploymentBatch, Measures
from datagen.evaluation.measures import Columns
from surrogate.optimizers import (
    Budget,
    PlacementSpace,
    Reconfiguration,
    reconfiguration,
    reconfigure,
)
from surrogate.optimizers.baselines import least_loaded_start
from surrogate.optimizers.cheapest_moves import cheapest_moves
from surrogate.optimizers.judge import Judge
from surrogate.optimizers.lookup import scaled
from surrogate.optimizers.migration import Migration
from tests.surrogate.optimizers.problems import UNIT, poor_start, small_problem

TARGET = 0.03


@pytest.fixture(autouse=True)
def _short_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconfiguration, "PHASE_REQUESTS", 5e3)


@pytest.fixture
def running() -> Deployment:
    """A good placement at four fifths of the load that is to come."""
    return scaled(least_loaded_start(small_problem()), 0.8)


def moved(running: Deployment, **options: object) -> Reconfiguration:
    settings: dict[str, object] = {
        "loss_target": TARGET,
        "bandwidth": UNIT,
        "budget": Budget(evaluations=20_000),
        "seed": 2,
        "across": False,
    }
    return reconfigure(
        running,
        scaled(running, 1.5).problem,
        AnalyticEvaluator(),
        **(settings | options),  # type: ignore[arg-type]
    )


def test_the_target_is_kept_by_the_cheapest_moves(running: Deployment) -> None:
    result = moved(running)
    assert result.start.loss_ratio > TARGET
    assert result.feasible
    assert result.verified.loss_ratio <= TARGET
    assert result.cheapest
    assert result.status == "completed"
    space = PlacementSpace(replace(running, problem=result.deployment.problem))
    clock = Budget(evaluations=100_000).start()
    judge = Judge(Migration(space, UNIT), AnalyticEvaluator(), clock)
    again = cheapest_moves(judge, result.aimed)
    assert result.bytes == judge.migration.bytes(again.placement[None])[0]
    assert sum(move.bytes for move in result.moves) == result.bytes
    assert result.refused == pytest.approx(judge.migration.refused(again.placement[None])[0])


def test_a_target_that_is_kept_anyway_moves_nothing(running: Deployment) -> None:
    result = moved(running, loss_target=0.5)
    assert result.moves == ()
    assert result.bytes == result.refused == 0
    assert result.feasible
    assert result.placement == {chain: list(paths[0]) for chain, paths in running.placement.items()}


def test_what_cannot_be_reached_is_said(running: Deployment) -> None:
    result = moved(running, loss_target=1e-6)
    assert not result.feasible
    assert not result.cheapest
    assert result.verified.loss_ratio < result.start.loss_ratio


class Hopeful(AnalyticEvaluator):
    """Believes that a third of what is lost is lost."""

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        measures = super().evaluate_batch(batch)
        columns = dict(measures.deployment)
        columns["loss_ratio"] = columns["loss_ratio"] / 3
        return replace(
            measures, deployment=Columns("deployment", measures.deployment.rows, columns)
        )


def test_an_evaluator_that_is_too_hopeful_is_asked_for_less(running: Deployment) -> None:
    problem = scaled(running, 1.5).problem
    result = reconfigure(
        running,
        problem,
        Hopeful(),
        loss_target=TARGET,
        bandwidth=UNIT,
        budget=Budget(evaluations=40_000),
        across=False,
    )
    assert result.aimed < TARGET
    assert result.predicted.loss_ratio <= result.aimed
    assert result.feasible


def test_the_change_is_played_beside_doing_nothing(running: Deployment) -> None:
    result = moved(running, across=True, bandwidth=UNIT / 10)
    assert result.changes is not None
    new, old = result.changes["moved"], result.changes["nothing"]
    assert new.phases[0] == old.phases[0]
    assert new.phases[1].refused == pytest.approx(result.refused)
    assert old.phases[1].refused == 0
    assert new.phases[1].loss_ratio > old.phases[1].loss_ratio
    assert new.phases[2].loss_ratio < old.phases[2].loss_ratio
    assert new.since.loss_ratio < old.since.loss_ratio
    assert new.phases[2].loss_ratio == pytest.approx(
        result.verified.loss_ratio, abs=5 * new.phases[2].standard_error
    )


def test_json_is_strict_and_whole(running: Deployment) -> None:
    result = moved(running, across=True)
    answer = json.loads(result.to_json(), parse_constant=lambda name: pytest.fail(name))
    assert answer["bytes"] == sum(move["bytes"] for move in answer["moves"])
    assert set(answer["changes"]) == {"moved", "nothing"}
    assert set(answer["changes"]["moved"]) == {"before", "moving", "after", "since"}
    assert moved(running).to_dict()["changes"] is None


def test_the_same_seed_gives_the_same_answer(running: Deployment) -> None:
    first, second = moved(running).to_dict(), moved(running).to_dict()
    for answer in (first, second):
        del answer["seconds"], answer["seconds_total"]
    assert first == second


def test_a_budget_of_seconds_is_kept(running: Deployment) -> None:
    result = moved(running, budget=Budget(seconds=0.3), loss_target=1e-6)
    assert result.seconds < 1.5  # the last simulation, and busy neighbours
    assert result.status == "time_limit"


def test_wrong_questions_are_refused(running: Deployment) -> None:
    with pytest.raises(InvalidInputError, match=r"loss_target must lie in \[0, 1\]"):
        moved(running, loss_target=1.5)
    after = running.problem
    fewer = replace(after, chains=after.chains[:2])
    with pytest.raises(InvalidInputError, match=r"after\.chains must be"):
        reconfigure(running, fewer, AnalyticEvaluator(), **settings())  # type: ignore[arg-type]
    lighter = tuple(
        replace(chain, fragments=tuple(replace(f, weights=1.0) for f in chain.fragments))
        for chain in after.chains
    )
    other = replace(after, chains=lighter)
    with pytest.raises(InvalidInputError, match=r"after\.c0\.fragments must be those that run"):
        reconfigure(running, other, AnalyticEvaluator(), **settings())  # type: ignore[arg-type]
    clocks = tuple(replace(chain, arrivals=Renewal(mean=1.0, scv=0.5)) for chain in after.chains)
    calm = replace(after, chains=clocks)
    with pytest.raises(InvalidInputError, match=r"c0\.arrivals must be Poisson"):
        reconfigure(running, calm, AnalyticEvaluator(), **settings())  # type: ignore[arg-type]


def settings() -> dict[str, object]:
    return {"loss_target": 0.5, "bandwidth": UNIT, "budget": Budget(evaluations=50)}


def test_memory_is_kept(running: Deployment) -> None:
    start = scaled(poor_start(small_problem()), 0.8)
    result = moved(start)
    space = PlacementSpace(result.deployment)
    assert result.violations == ()
    assert space.excess(space.start[None])[0] == 0
    assert np.isfinite(result.verified.loss_ratio)
