"""The judge of moves: no question twice, none beyond its budget."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.deployment import Link
from datagen.evaluation import DeploymentBatch, Evaluator, Measures
from surrogate.optimizers import Budget, PlacementSpace
from surrogate.optimizers.baselines import random_placements
from surrogate.optimizers.goal import MISFIT
from surrogate.optimizers.judge import BudgetSpentError, Judge
from surrogate.optimizers.migration import Migration
from tests.surrogate.optimizers.problems import UNIT, poor_start, small_problem


class Other(Evaluator):
    """The analytic evaluator by another name."""

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        return AnalyticEvaluator().evaluate_batch(batch)


@pytest.fixture
def migration() -> Migration:
    return Migration(PlacementSpace(poor_start(small_problem())), UNIT)


def test_nothing_is_asked_twice(migration: Migration) -> None:
    clock = Budget(evaluations=1000).start()
    judge = Judge(migration, AnalyticEvaluator(), clock)
    rows = np.concatenate([migration.start[None]] * 5)
    assert len(set(judge.loss(rows).tolist())) == 1
    assert clock.evaluations == 1
    assert (judge.best() == migration.start).all()


def test_a_share_of_the_budget_is_kept_for_later(migration: Migration) -> None:
    clock = Budget(evaluations=40).start()
    judge = Judge(migration, AnalyticEvaluator(), clock)
    rows = random_placements(migration.space, 60, np.random.default_rng(0))
    for share, asked in ((0.5, 20), (0.5, 30), (1.0, 40)):
        judge.spend(share)
        with pytest.raises(BudgetSpentError):
            judge.loss(rows)
        assert clock.evaluations == asked


def test_what_does_not_fit_is_worse_than_all_that_does(migration: Migration) -> None:
    judge = Judge(migration, AnalyticEvaluator(), Budget(evaluations=9).start())
    crowded = np.zeros((1, migration.space.slots), dtype=np.int32)
    assert judge.loss(crowded)[0] > MISFIT


def test_formulas_screen_for_other_judges_where_they_cover_the_problem(
    migration: Migration,
) -> None:
    clock = Budget(evaluations=9).start()
    judge = Judge(migration, Other(), clock)
    assert judge.screen is not None
    assert judge.screened(migration.start[None]) == pytest.approx(judge.loss(migration.start[None]))
    assert clock.evaluations == 1
    assert Judge(migration, AnalyticEvaluator(), clock).screen is None
    linked = replace(small_problem(), links=(Link(source="d0", target="d1", bandwidth=1e6),))
    far = Migration(PlacementSpace(poor_start(linked)), UNIT)
    assert Judge(far, Other(), clock).screen is None
