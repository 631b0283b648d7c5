"""Tuning accelerators: what is chosen, what is kept, and that a run can be broken off."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.errors import InvalidInputError
from datagen.evaluation import DeploymentBatch, Evaluator, Measures
from datagen.simulator import SimulationEvaluator, SimulationOptions, simulate
from surrogate import load_surrogate
from surrogate.optimizers import (
    AccuracyFloor,
    AttainmentFloor,
    Budget,
    Latency,
    LossLimit,
    PlacementSpace,
    SearchResult,
    SearchState,
    TailLatency,
    VariationSearch,
    tune_jointly,
    tune_npu,
    tuning,
)
from surrogate.optimizers.archive import Improvement
from surrogate.optimizers.decision_space import DecisionSpace
from tests.surrogate.optimizers.hubs import array_hub, hub
from tests.surrogate.optimizers.problems import poor_start, small_problem


@pytest.fixture(autouse=True)
def _short_screening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "SCREENING_EVENTS", 3e3)
    monkeypatch.setattr(tuning, "FINALISTS", 4)


def tuned(evaluations: int = 90, **more: Any) -> SearchResult:
    return tune_npu(hub(), budget=Budget(evaluations=evaluations), seed=2, **more)


@pytest.fixture(scope="module")
def usual() -> SearchResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "SCREENING_EVENTS", 3e3)
        patch.setattr(tuning, "FINALISTS", 4)
        return tuned(constraints=[LossLimit(0.01), AccuracyFloor(0.75)])


def test_it_batches_where_one_by_one_is_too_slow(usual: SearchResult) -> None:
    start, found = usual.start.chains["camera"], usual.verified.chains["camera"]
    assert start["loss_ratio"] > 0.05
    assert usual.feasible
    assert found["loss_ratio"] < 0.01
    assert found["accuracy_offered"] >= 0.75
    assert found["latency"] < 0.4 * start["latency"]
    assert usual.deployment.batch_config("hub").max_batch > 1
    assert usual.deployment.placement == hub().placement


def test_the_shipped_surrogate_of_accelerators_guides_it_to_as_good_an_answer(
    usual: SearchResult,
) -> None:
    limits = [LossLimit(0.01), AccuracyFloor(0.75)]
    found = tune_npu(
        hub(), load_surrogate("npu"), budget=Budget(evaluations=300), seed=2, constraints=limits
    )
    assert found.feasible
    assert found.predicted.chains["camera"]["latency"] == pytest.approx(
        found.verified.chains["camera"]["latency"], rel=0.2
    )
    latency = [result.verified.chains["camera"]["latency"] for result in (found, usual)]
    assert latency[0] < 1.1 * latency[1]


def test_the_answer_is_told_as_the_contract_says(usual: SearchResult) -> None:
    told = json.loads(usual.to_json())
    assert told["npu"]["hub"]["policy"] == usual.deployment.batch_config("hub").policy
    assert set(told["npu"]["hub"]) == {
        "policy", "max_batch", "timeout", "compaction", "survivors",
    }  # fmt: skip
    assert told["thresholds"] == {"camera": list(usual.deployment.exits["camera"].tau)}
    assert told["start"]["npu"]["hub"]["policy"] == "serial"
    assert told["placement"] == {"camera": ["hub", "hub"]}
    assert told["objectives"]["verified"]["values"].keys() == {"latency"}
    assert told["verified"]["devices"]["hub"]["batch"] > 1
    assert "routing" not in told


def test_verification_is_of_what_was_chosen(usual: SearchResult) -> None:
    again = simulate([usual.deployment], events=3e5, seed=77)
    latency = float(again.chain["latency"][0])
    assert usual.objectives["verified"].values["latency"] == pytest.approx(latency, rel=0.05)


def test_the_same_seed_gives_the_same_run_and_parts_give_the_whole() -> None:
    whole = tuned(80)
    first = tune_npu(hub(), budget=Budget(evaluations=32, planned=80), seed=2)
    assert first.state is not None
    state = SearchState.from_json(first.state.to_json())
    rest = tune_npu(hub(), budget=Budget(evaluations=80 - first.evaluations), seed=2, resume=state)
    assert rest.evaluations == whole.evaluations == 80
    assert rest.deployment == whole.deployment
    assert [step.value for step in rest.history] == [step.value for step in whole.history]
    assert rest.verified.to_dict() == whole.verified.to_dict()


def test_ctrl_c_keeps_the_incumbent() -> None:
    def stop(found: Improvement) -> None:
        if found.evaluations >= 20:
            raise KeyboardInterrupt

    result = tuned(callback=stop)
    assert result.status == "interrupted"
    assert 20 <= result.evaluations < 90
    assert result.verified.chains["camera"]["latency"] <= result.start.chains["camera"]["latency"]


def test_limits_that_nothing_keeps_are_named() -> None:
    result = tuned(40, constraints=[AttainmentFloor(0.999), AccuracyFloor(0.99)])
    assert not result.feasible
    assert result.least_infeasible == {"camera": ["hub", "hub"]}
    (violation,) = [v for v in result.violations if getattr(v, "measure", "") != "attainment"]
    assert str(violation).startswith("camera has a accuracy_offered of 0.")
    assert str(violation).endswith("and has to have 0.99")


class Told(Evaluator):
    """A stand-in for a surrogate: latencies that a short simulation gives, rounded."""

    needs_laws = True

    def __init__(self) -> None:
        self.asked = 0

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        self.asked += len(batch)
        options = SimulationOptions(horizon=100.0, replications=1, seed=9)
        found = SimulationEvaluator(options).evaluate_batch(batch)
        return replace(found, source="surrogate")


def test_a_surrogate_screens_and_simulation_selects() -> None:
    judge = Told()
    result = tuned(60, evaluator=judge, objective=TailLatency())
    assert judge.asked >= 60
    assert result.predicted.source == "surrogate"
    assert result.verified.source == "simulation"
    assert result.selection is not None
    assert result.selection.finalists == tuning.FINALISTS + 1
    assert result.objectives["verified"].values.keys() == {"p95"}


def test_what_is_not_decided_stays() -> None:
    result = tuned(40, decide=("batching",))
    assert result.deployment.exits == hub().exits
    fixed = tune_npu(array_hub("fluid"), budget=Budget(evaluations=30), decide=("batching",))
    assert fixed.deployment.problem == fixed.start_deployment.problem


def test_variants_are_chosen_where_arrays_are_modelled() -> None:
    result = tune_npu(array_hub(), budget=Budget(evaluations=60), seed=1)
    npu = result.deployment.problem.devices[0].npu
    assert npu is not None
    assert npu.variant in ("fluid", "fluid+stackable")
    assert json.loads(result.to_json())["npu"]["hub"]["array"] == "narrow"


def test_everything_is_decided_together() -> None:
    base = hub(cpus=2)
    result = tune_jointly(
        base, budget=Budget(evaluations=150), seed=3, constraints=[LossLimit(0.02)]
    )
    told = result.to_dict()
    assert {"placement", "thresholds", "routing", "npu"} <= told.keys()
    assert sum(told["routing"]["camera"]) == pytest.approx(1.0)
    assert result.verified.chains["camera"]["latency"] < result.start.chains["camera"]["latency"]


def test_without_an_accelerator_the_rest_is_decided() -> None:
    result = tune_jointly(
        poor_start(small_problem()), budget=Budget(evaluations=60), objective=Latency(), seed=1
    )
    assert "npu" not in result.to_dict()
    assert result.feasible


def test_a_problem_is_started_one_by_one() -> None:
    result = tune_npu(hub().problem, budget=Budget(evaluations=20))
    assert result.start_deployment.placement == {"camera": (("hub", "hub"),)}
    assert result.start_deployment.batch_config("hub").policy == "serial"


def test_what_cannot_be_tuned_is_refused() -> None:
    budget = Budget(evaluations=5)
    with pytest.raises(InvalidInputError, match="devices must hold an accelerator"):
        tune_npu(poor_start(small_problem()), budget=budget)
    with pytest.raises(InvalidInputError, match="space must be one of decisions"):
        VariationSearch().begin(
            PlacementSpace(poor_start(small_problem())), np.random.default_rng(0)
        )
    with pytest.raises(InvalidInputError, match="elite must be >= 2"):
        VariationSearch(elite=1)


def test_a_small_space_is_asked_about_once_and_then_left() -> None:
    space = DecisionSpace(hub(capacity=1), ("thresholds",))
    search = VariationSearch()
    search.begin(space, np.random.default_rng(0))
    seen: list[int] = []
    while not search.finished:
        candidates = search.ask(4)
        seen += space.rows(candidates)[:, 0].tolist()
        search.tell(candidates, np.arange(4, dtype=float))
    assert set(seen) == set(range(int(space.counts[0])))


def test_screening_tells_of_slow_chains_too() -> None:
    base = hub()
    slow = replace(base.problem.chains[0], name="door", arrivals=Poisson(rate=0.02))
    problem = replace(base.problem, chains=(*base.problem.chains, slow))
    result = tune_npu(problem, budget=Budget(evaluations=4))
    assert all(step.value < 10 for step in result.history)
    assert result.history
