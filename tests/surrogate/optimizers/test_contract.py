"""The laws that every search obeys, whatever it does inside."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.evaluation import DeploymentBatch, Evaluator, Measures
from surrogate.evaluator import load_surrogate
from surrogate.optimizers import (
    Annealing,
    BayesianSearch,
    Budget,
    GeneticSearch,
    GradientSearch,
    LocalSearch,
    NondominatedSearch,
    PlacementSpace,
    RandomSearch,
    ScreenedAnnealing,
    Search,
    SearchResult,
    SearchState,
    SystemLoss,
    optimize,
)
from surrogate.optimizers.archive import Improvement
from surrogate.optimizers.goal import penalized
from surrogate.optimizers.proof import Proof
from surrogate.optimizers.selection import RUNS
from tests.surrogate.optimizers.problems import poor_start, small_problem

SEARCHES: dict[str, Callable[[], Search]] = {
    "annealing": Annealing,
    "bayesian": BayesianSearch,
    "genetic": lambda: GeneticSearch(population=12),
    "gradient": lambda: GradientSearch(load_surrogate("chainnet"), refresh=128),
    "local": LocalSearch,
    "nondominated": lambda: NondominatedSearch(population=12),
    "random": RandomSearch,
    "screened": lambda: ScreenedAnnealing(screened=20),
}

NO_LIMIT = Budget(evaluations=1)
"""A budget whose selection may take its time."""

CHILD = """
import json, sys
from tests.surrogate.optimizers.problems import short_proof
from tests.surrogate.optimizers.test_contract import SEARCHES, run_of
short_proof()
json.dump({name: run_of(name) for name in SEARCHES}, sys.stdout)
"""


class SlowEvaluator(Evaluator):
    """The analytic evaluator, but every deployment takes a while."""

    seconds = 0.02

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        time.sleep(self.seconds * len(batch))
        return AnalyticEvaluator().evaluate_batch(batch)


def run_of(name: str) -> str:
    """Result of one short run, without its times."""
    result = short_run(SEARCHES[name]())
    answer = result.to_dict()
    kept = {key: answer[key] for key in ("placement", "predicted", "verified", "evaluations")}
    return json.dumps(kept | {"values": [step.value for step in result.history]})


def short_run(search: Search, *, evaluations: int = 400, seed: int = 5) -> SearchResult:
    start = poor_start(small_problem())
    budget = Budget(evaluations=evaluations)
    return optimize(start, AnalyticEvaluator(), search, budget=budget, seed=seed)


def selection_loss(result: SearchResult) -> tuple[float, float]:
    """Loss of the start and of the chosen placement on the seeds of the selection."""
    from surrogate.optimizers.driver import _seeds

    space = PlacementSpace(result.start_deployment)
    chosen = PlacementSpace(result.deployment).start
    _, seed_a, seed_b = _seeds(result.seed)
    proof = Proof(space, selection_seed=seed_a, verification_seed=seed_b, budget=NO_LIMIT)
    rows = np.stack([space.start, chosen])
    assert result.selection is not None
    runs = [
        proof._simulated(rows, proof.events / RUNS, 1, proof.run_seed(run))
        for run in range(result.selection.runs)
    ]
    loss = np.mean([run.deployment["loss_ratio"] for run in runs], axis=0)
    return float(loss[0]), float(loss[1])


@pytest.fixture(scope="module")
def runs_of_another_process() -> dict[str, str]:
    child = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, check=True
    )
    runs: dict[str, str] = json.loads(child.stdout)
    return runs


@pytest.mark.parametrize("name", SEARCHES)
class TestEverySearch:
    def test_candidates_are_in_bounds_and_fit(self, name: str) -> None:
        space = PlacementSpace(poor_start(small_problem()))
        search = SEARCHES[name]()
        search.begin(space, np.random.default_rng(3))
        for round_ in range(12):
            search.progress = round_ / 12
            count = (8, 8, 3, 1, 16, 8)[round_ % 6]
            candidates = search.ask(count)
            assert len(candidates) == count
            placement = candidates.placement
            assert placement.min() >= 0
            assert placement.max() < space.devices
            assert space.allowed[np.arange(space.slots), placement].all()
            assert (space.excess(placement) == candidates.memory_excess()).all()
            # Here every random placement is found a fit within a few draws, and what a fitting one
            # turns into fits.
            assert (space.excess(placement) == 0).all()
            loss = AnalyticEvaluator().evaluate(candidates)
            values = penalized(SystemLoss().values(loss), space.excess(placement))
            search.tell(candidates, values)

    def test_the_start_is_asked_for_first(self, name: str) -> None:
        space = PlacementSpace(poor_start(small_problem()))
        search = SEARCHES[name]()
        search.begin(space, np.random.default_rng(0))
        assert (search.ask(4).placement[0] == space.start).all()

    def test_batches_of_any_size_are_answered(self, name: str) -> None:
        space = PlacementSpace(poor_start(small_problem()))
        search = SEARCHES[name]()
        search.begin(space, np.random.default_rng(0))
        for count in (1, 2, 70, 3, 200, 1, 64):
            candidates = search.ask(count)
            assert len(candidates) == count
            search.tell(candidates, candidates.placement.sum(axis=1).astype(float))

    def test_it_finds_much_better_than_it_began_with(self, name: str) -> None:
        result = short_run(SEARCHES[name](), evaluations=1000)
        assert result.verified.loss_ratio < 0.35 * result.start.loss_ratio

    def test_the_result_fits_and_is_not_worse_than_the_start(self, name: str) -> None:
        result = short_run(SEARCHES[name]())
        assert result.feasible
        start, chosen = selection_loss(result)
        assert chosen <= start
        assert result.verified.loss_ratio < 0.5 * result.start.loss_ratio

    def test_a_start_that_cannot_be_beaten_stays(self, name: str) -> None:
        best = short_run(Annealing(), evaluations=2000).deployment
        budget = Budget(evaluations=20)
        result = optimize(best, AnalyticEvaluator(), SEARCHES[name](), budget=budget, seed=1)
        start, chosen = selection_loss(result)
        assert chosen <= start

    def test_same_seed_same_run_in_another_process(
        self, name: str, runs_of_another_process: dict[str, str]
    ) -> None:
        here = run_of(name)
        assert run_of(name) == here
        assert runs_of_another_process[name] == here

    def test_another_seed_is_another_run(self, name: str) -> None:
        first, second = (short_run(SEARCHES[name](), evaluations=60, seed=s) for s in (1, 2))
        assert first.history != second.history

    def test_evaluations_are_respected_exactly(self, name: str) -> None:
        result = short_run(SEARCHES[name](), evaluations=130)
        assert result.evaluations == 130
        assert result.status == "evaluation_limit"

    def test_seconds_are_respected_within_one_batch(self, name: str) -> None:
        start = poor_start(small_problem())
        budget = Budget(seconds=0.4)
        result = optimize(start, SlowEvaluator(), SEARCHES[name](), budget=budget)
        slack = 0.6  # a batch, perhaps with a gradient, the error of estimates, busy neighbours
        assert result.seconds <= 0.4 + SlowEvaluator.seconds + slack
        assert 0 < result.evaluations <= 0.4 / SlowEvaluator.seconds + 1
        assert result.status == "time_limit"

    def test_ctrl_c_returns_the_incumbent(self, name: str) -> None:
        def press(progress: Improvement) -> None:
            if progress.evaluations >= 100:
                raise KeyboardInterrupt

        result = optimize(
            poor_start(small_problem()),
            AnalyticEvaluator(),
            SEARCHES[name](),
            budget=Budget(evaluations=4000),
            callback=press,
        )
        assert result.status == "interrupted"
        assert 100 <= result.evaluations < 300
        assert result.feasible
        assert result.verified.loss_ratio < result.start.loss_ratio

    def test_an_interrupted_run_resumes_exactly(self, name: str) -> None:
        whole = resumable(name, Budget(evaluations=100))
        first = resumable(name, Budget(evaluations=50, planned=100))
        assert first.evaluations == 50
        saved = SearchState.from_json(first.state.to_json())
        second = resumable(name, Budget(evaluations=50), saved)
        assert outcome_of(second) == outcome_of(whole)
        assert outcome_of(first) != outcome_of(whole)

    def test_ctrl_c_inside_a_batch_resumes_exactly(self, name: str) -> None:
        class Pressed(AnalyticEvaluator):
            """Ctrl-C comes while the 40th batch is evaluated."""

            calls = 0

            def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
                self.calls += 1
                if self.calls == 40:
                    raise KeyboardInterrupt
                return super().evaluate_batch(batch)

        whole = resumable(name, Budget(evaluations=100))
        first = resumable(name, Budget(evaluations=100), evaluator=Pressed())
        assert first.status == "interrupted"
        assert 0 < first.state.evaluations < 40
        left = Budget(evaluations=100 - first.state.evaluations)
        second = resumable(name, left, SearchState.from_json(first.state.to_json()))
        assert outcome_of(second) == outcome_of(whole)


def resumable(
    name: str,
    budget: Budget,
    state: SearchState | None = None,
    evaluator: Evaluator | None = None,
) -> SearchResult:
    start = poor_start(small_problem())
    evaluator = evaluator or AnalyticEvaluator()
    return optimize(start, evaluator, SEARCHES[name](), budget=budget, seed=11, resume=state)


def outcome_of(result: SearchResult) -> dict[str, object]:
    """Everything about a result but its times."""
    answer = result.to_dict()
    for entry in answer["history"]:
        del entry["seconds"]
    return {key: value for key, value in answer.items() if not key.startswith("seconds")}
