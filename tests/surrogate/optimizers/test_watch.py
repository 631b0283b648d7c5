"""Stages are told from beginning to end, whoever works on them."""

from __future__ import annotations

import pytest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.evaluation import pack
from datagen.simulator import SimulationEvaluator, SimulationOptions
from surrogate.optimizers import Budget, place, proof, reconfigure, threshold_proof, tune_thresholds
from surrogate.optimizers.baselines import least_loaded_start
from surrogate.optimizers.lookup import scaled
from surrogate.optimizers.watch import PROOF, SEARCH, SELECTION, Steps
from tests.helpers import tandem
from tests.surrogate.exit_cases import gateway
from tests.surrogate.optimizers.problems import poor_start, small_problem


class Told:
    """Keeps what was told."""

    def __init__(self) -> None:
        self.shares: dict[str, list[float]] = {}

    def __call__(self, stage: str, share: float) -> None:
        self.shares.setdefault(stage, []).append(share)

    def assert_stages(self, *stages: str, least: int) -> None:
        """Every stage rises from 0 to 1 in so many steps at least."""
        assert list(self.shares) == list(stages)
        for shares in self.shares.values():
            assert shares == sorted(shares)
            assert (shares[0], shares[-1]) == (0.0, 1.0)
            assert len(set(shares)) >= least


@pytest.fixture(autouse=True)
def _short_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "VERIFICATION_EVENTS", 2e4)
    monkeypatch.setattr(proof, "SELECTION_EVENTS", 1e4)
    monkeypatch.setattr(threshold_proof, "VERIFICATION_EVENTS", 4e4)
    monkeypatch.setattr(threshold_proof, "SELECTION_EVENTS", 2e4)


def test_steps_add_up_to_a_stage_and_no_further() -> None:
    told = Told()
    steps = Steps("walk", told)
    steps.add(0.25)
    steps.reach(0.75)
    steps.reach(0.5)
    steps.add(0.75)
    steps.end()
    assert told.shares == {"walk": [0.0, 0.25, 0.75, 0.75, 1.0, 1.0]}


def test_simulations_tell_of_every_run() -> None:
    runs: list[None] = []
    options = SimulationOptions(events=400, replications=3)
    evaluator = SimulationEvaluator(options, lambda: runs.append(None))
    batch = pack([tandem(0, 1), tandem(0, 0)])
    watched = evaluator.evaluate(batch)
    assert len(runs) == 2 * 3
    evaluator.with_seed(1).evaluate(batch)
    assert len(runs) == 4 * 3
    alone = SimulationEvaluator(options).evaluate(batch)
    assert (watched.chain["latency"] == alone.chain["latency"]).all()


def test_the_proof_of_a_placement_is_told() -> None:
    told = Told()
    start = poor_start(small_problem())
    place(start.problem, AnalyticEvaluator(), Budget(evaluations=60), start=start, watch=told)
    told.assert_stages(PROOF, least=16)  # two placements of eight runs


def test_all_stages_of_thresholds_are_told() -> None:
    told = Told()
    tune_thresholds(gateway(), AnalyticEvaluator(), loss_target=0.05, watch=told)
    told.assert_stages(SEARCH, SELECTION, PROOF, least=8)


def test_a_search_for_moves_is_told() -> None:
    told = Told()
    running = scaled(least_loaded_start(small_problem()), 0.8)
    reconfigure(
        running,
        scaled(running, 1.5).problem,
        AnalyticEvaluator(),
        loss_target=0.03,
        bandwidth=1e7,
        budget=Budget(evaluations=600),
        across=False,
        watch=told,
    )
    assert set(told.shares) == {SEARCH, PROOF}
    assert told.shares[SEARCH] == sorted(told.shares[SEARCH])
    assert 0.0 < told.shares[SEARCH][-1] <= 1.0
