"""The driver: what is chosen, what is said of it, and what happens at the edges."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.deployment import Deployment, Device, Problem
from datagen.errors import InvalidInputError, NotSupportedError
from datagen.evaluation import DeploymentBatch, Evaluator, Measures
from datagen.simulator import SimulationEvaluator, SimulationOptions, simulate
from surrogate.evaluator import load_surrogate
from surrogate.optimizers import (
    Annealing,
    Budget,
    Energy,
    Latency,
    LatencyLimit,
    LocalSearch,
    MissedDeadlines,
    NondominatedSearch,
    PlacementSpace,
    SystemLoss,
    Throughput,
    optimize,
    place,
)
from surrogate.optimizers.decided import placement_of
from surrogate.optimizers.proof import FINALISTS, same_window
from surrogate.optimizers.result import violations
from tests.surrogate.optimizers.problems import UNIT, poor_start, small_problem


class CountingEvaluator(Evaluator):
    """The analytic evaluator, noting the sizes of its batches."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        self.sizes.append(len(batch))
        return AnalyticEvaluator().evaluate_batch(batch)


def test_verified_loss_agrees_with_an_independent_long_simulation() -> None:
    result = place(small_problem(), AnalyticEvaluator(), Budget(evaluations=600), seed=2)
    long = simulate([result.deployment], events=4e6, seed=12345)
    assert result.verified.ci95 is not None
    low, high = result.verified.ci95
    width = high - low
    assert low - width <= long.deployment["loss_ratio"][0] <= high + width
    assert low <= result.verified.loss_ratio <= high


def test_devices_tell_what_they_lose() -> None:
    result = place(small_problem(), AnalyticEvaluator(), Budget(evaluations=200), seed=2)
    outcome, deployment = result.verified, result.deployment
    long = simulate([deployment], events=2e6, seed=12345)
    devices = [step.device for chain in deployment.steps() for path in chain for step in path]
    for number, device in enumerate(deployment.problem.devices):
        here = np.array(devices) == number
        said = outcome.devices[device.name]["loss_ratio"]
        if not here.any():
            assert math.isnan(said)  # nothing arrives there
            continue
        lost, offered = (long.step[name][here].sum() for name in ("lost", "offered"))
        assert said == pytest.approx(lost / offered, rel=0.15, abs=1e-3)
    assert max(device["loss_ratio"] for device in outcome.devices.values()) > 0
    written = json.loads(result.to_json())["verified"]["devices"]
    assert all("loss_ratio" in device for device in written.values())


def test_any_evaluator_guides_the_search() -> None:
    start = poor_start(small_problem())
    simulator = SimulationEvaluator(SimulationOptions(events=3e3, seed=8))
    result = place(start.problem, simulator, Budget(evaluations=200), seed=1, start=start)
    assert result.predicted.source == "simulation"
    assert result.verified.loss_ratio < 0.7 * result.start.loss_ratio


def test_json_has_the_keys_of_the_contract_and_is_strict() -> None:
    result = place(small_problem(), AnalyticEvaluator(), Budget(evaluations=50))
    answer = json.loads(result.to_json())
    keys = "placement start predicted verified evaluations seconds seconds_total status feasible"
    assert set(answer) >= {*keys.split(), "violations"}
    assert set(answer["placement"]) == {"c0", "c1", "c2"}
    assert answer["placement"]["c0"] == list(result.deployment.placement["c0"][0])
    assert answer["verified"]["ci95"] == sorted(answer["verified"]["ci95"])
    assert answer["predicted"]["source"] == "analytic"
    assert answer["seconds"] <= answer["seconds_total"]


def test_without_a_start_the_search_begins_least_loaded() -> None:
    result = place(small_problem(), AnalyticEvaluator(), Budget(evaluations=5))
    hosts = {d for paths in result.start_deployment.placement.values() for d in paths[0]}
    assert hosts == {"d0", "d1", "d2", "d3"}


def test_memory_too_small_for_anything_gives_the_least_infeasible() -> None:
    problem = small_problem(memory=2 * UNIT)
    result = place(problem, AnalyticEvaluator(), Budget(evaluations=400))
    assert not result.feasible
    assert result.least_infeasible == result.placement
    space = PlacementSpace(result.deployment)
    excess = sum(v.needed - v.memory for v in result.violations)
    assert excess == pytest.approx(space.excess(space.start[None])[0])
    assert excess == pytest.approx(space.weights.sum() - space.memory.sum())
    assert result.to_dict()["feasible"] is False


def test_a_start_that_does_not_fit_is_left() -> None:
    problem = small_problem()
    everywhere = {f"c{c}": (("d0", "d0", "d0"),) for c in range(3)}
    start = Deployment(problem=problem, placement=everywhere)
    result = place(problem, AnalyticEvaluator(), Budget(evaluations=200), start=start)
    assert result.feasible
    assert result.start_deployment == start


def test_placements_without_a_steady_state_are_the_worst() -> None:
    devices = (Device(name="slow", speed=0.05), Device(name="fast", speed=2.0))
    problem = Problem(devices=devices, chains=small_problem(allowed=False).chains)
    slow = {f"c{c}": (("slow",) * 3,) for c in range(3)}
    start = Deployment(problem=problem, placement=slow)
    result = place(problem, AnalyticEvaluator(), Budget(evaluations=300), start=start)
    assert result.verified.loss_ratio == 0.0
    assert np.isnan(result.start.loss_ratio)
    assert result.to_dict()["start"]["loss_ratio"] is None


def test_a_start_of_another_problem_is_refused() -> None:
    start = poor_start(small_problem())
    other = small_problem(memory=None)
    with pytest.raises(InvalidInputError, match="start must be a deployment of the problem"):
        place(other, AnalyticEvaluator(), Budget(evaluations=5), start=start)


def test_fast_evaluators_get_large_batches() -> None:
    counting = CountingEvaluator()
    budget = Budget(seconds=1.0, time="processor")
    optimize(poor_start(small_problem()), counting, Annealing(), budget=budget)
    assert max(counting.sizes) >= 32


def several_paths() -> Deployment:
    problem = small_problem(allowed=False)
    placement = poor_start(problem).placement
    twice = {**placement, "c0": (("d3", "d3", "d3"), ("d3", "d2", "d2"))}
    return Deployment(problem=problem, placement=twice, routing={"c0": (0.5, 0.5)})


def test_what_cannot_be_proved_is_refused_by_name() -> None:
    base = several_paths()
    blocking = replace(base, problem=replace(base.problem, overflow="block"))
    with pytest.raises(NotSupportedError, match="overflow=block"):
        optimize(blocking, AnalyticEvaluator(), budget=Budget(evaluations=20))


def test_several_paths_are_searched_and_proved() -> None:
    result = optimize(several_paths(), AnalyticEvaluator(), budget=Budget(evaluations=20))
    assert 0.0 <= result.verified.loss_ratio <= 1.0
    assert [len(path) for path in result.placement["c0"]] == [3, 3]


def test_paths_of_a_chain_share_their_weights() -> None:
    space = PlacementSpace(several_paths())
    found = {v.device: v.needed for v in violations(space, space.start)}
    # d3 holds the first fragment of c0 once for both paths: 5 units in all, which just fit.
    assert found == {"d2": 8 * UNIT}
    assert space.excess(space.start[None])[0] == 3 * UNIT
    assert [len(path) for path in placement_of(space.base)["c0"]] == [3, 3]


def test_a_front_shows_the_trade_off_and_is_proved() -> None:
    result = optimize(
        poor_start(small_problem()),
        AnalyticEvaluator(),
        NondominatedSearch(),
        budget=Budget(evaluations=1500),
        objective=[Throughput(), Latency()],
    )
    front = result.to_dict()["front"]
    assert len(front) > 3
    for point in front:
        assert point["predicted"]["source"] == "analytic"
        assert point["verified"]["source"] == "simulation"
    throughput = [point["predicted"]["values"]["throughput"] for point in front]
    latency = [point["predicted"]["values"]["latency"] for point in front]
    assert throughput == sorted(throughput)
    assert latency == sorted(latency, reverse=True)
    simulated = [point["verified"]["values"]["latency"] for point in front]
    assert simulated[0] > simulated[-1]


def test_several_objectives_need_a_search_that_takes_them() -> None:
    with pytest.raises(InvalidInputError, match="objective must be one for Annealing"):
        optimize(
            small_problem(),
            AnalyticEvaluator(),
            Annealing(),
            budget=Budget(evaluations=5),
            objective=[SystemLoss(), Latency()],
        )


def test_another_objective_is_another_winner() -> None:
    start = poor_start(small_problem())
    budget = Budget(evaluations=900)
    quick = optimize(start, AnalyticEvaluator(), budget=budget, objective=Latency({"c2": 1.0}))
    usual = optimize(start, AnalyticEvaluator(), budget=budget)
    assert quick.verified.chains["c2"]["latency"] < usual.verified.chains["c2"]["latency"]
    assert usual.verified.loss_ratio < quick.verified.loss_ratio
    values = quick.to_dict()["objectives"]
    assert values["verified"]["source"] == "simulation"
    assert values["verified"]["values"]["latency"] < values["start"]["values"]["latency"]


def test_a_latency_that_can_be_kept_is_kept() -> None:
    start = poor_start(small_problem())
    budget = Budget(evaluations=900)
    usual = optimize(start, AnalyticEvaluator(), budget=budget)
    limit = 0.9 * usual.verified.chains["c2"]["latency"]
    kept = optimize(
        start, AnalyticEvaluator(), budget=budget, constraints=[LatencyLimit({"c2": limit})]
    )
    assert kept.feasible
    assert kept.verified.chains["c2"]["latency"] <= limit


def test_a_latency_that_cannot_be_kept_is_named() -> None:
    result = optimize(
        poor_start(small_problem()),
        AnalyticEvaluator(),
        budget=Budget(evaluations=200),
        constraints=[LatencyLimit({"c1": 1e-3})],
    )
    assert not result.feasible
    assert result.least_infeasible == result.placement
    (violation,) = result.to_dict()["violations"]
    assert violation["chain"] == "c1"
    assert violation["source"] == "simulation"
    assert violation["value"] > violation["limit"] == 1e-3
    assert result.to_dict()["history"][-1]["value"] is None


def test_what_the_evaluator_does_not_know_is_refused_before_the_search() -> None:
    with pytest.raises(NotSupportedError, match="the analytic evaluator: energy"):
        optimize(
            small_problem(), AnalyticEvaluator(), budget=Budget(evaluations=5), objective=Energy()
        )


def test_greedy_search_ends_by_itself() -> None:
    result = optimize(
        poor_start(small_problem()),
        AnalyticEvaluator(),
        LocalSearch(kicks=False),
        budget=Budget(evaluations=100_000),
    )
    assert result.status == "completed"
    assert result.evaluations < 50_000
    assert result.verified.loss_ratio < 0.7 * result.start.loss_ratio


def test_every_value_names_its_source() -> None:
    result = optimize(small_problem(), AnalyticEvaluator(), budget=Budget(evaluations=30))
    answer = result.to_dict()
    assert {entry["source"] for entry in answer["history"]} == {"analytic"}
    sources = {who: answer[who]["source"] for who in ("start", "predicted", "verified")}
    expected = {"start": "simulation", "predicted": "analytic", "verified": "simulation"}
    assert sources == expected
    assert {who: said["source"] for who, said in answer["objectives"].items()} == expected


def with_power(problem: Problem, watts: list[tuple[float, float] | None]) -> Problem:
    """The problem with the power of each device at rest and at work."""
    devices = tuple(
        replace(device, power=curve) for device, curve in zip(problem.devices, watts, strict=True)
    )
    return replace(problem, devices=devices)


def short_simulator(problem: Problem) -> SimulationEvaluator:
    return SimulationEvaluator(same_window(problem, events=4e3, replications=4, seed=3))


def test_energy_is_saved_and_proved() -> None:
    watts = [(1.0, 4.0), (1.0, 4.0), (4.0, 9.0), (4.0, 9.0)]
    start = poor_start(with_power(small_problem(), watts))
    result = optimize(
        start,
        short_simulator(start.problem),
        budget=Budget(evaluations=150),
        objective=Energy(),
    )
    values = result.to_dict()["objectives"]
    assert result.feasible
    assert values["verified"]["source"] == "simulation"
    assert values["verified"]["values"]["energy"] < 0.8 * values["start"]["values"]["energy"]
    again = simulate([result.deployment], events=1e6, seed=77)
    mean = again.chain["energy"].mean()
    assert values["verified"]["values"]["energy"] == pytest.approx(mean, rel=0.02)


def test_devices_of_unknown_power_are_not_taken_for_free() -> None:
    watts = [(1.0, 4.0), (1.0, 4.0), (2.0, 5.0), None]
    problem = with_power(small_problem(memory=None), watts)
    result = place(problem, short_simulator(problem), Budget(evaluations=200), objective=Energy())
    assert np.isfinite(result.objectives["verified"].values["energy"])
    hosts = {device for paths in result.deployment.placement.values() for device in paths[0]}
    assert "d3" not in hosts
    assert result.objectives["start"].to_dict()["values"]["energy"] is None


def test_deadlines_are_met_more_often_and_allowed_sets_kept() -> None:
    problem = small_problem()
    chains = tuple(
        replace(chain, deadline=deadline)
        for chain, deadline in zip(problem.chains, (1.5, None, 2.0), strict=True)
    )
    start = poor_start(replace(problem, chains=chains))
    result = optimize(
        start,
        short_simulator(start.problem),
        budget=Budget(evaluations=150),
        objective=MissedDeadlines({"c0": 1.0, "c2": 1.0}),
        constraints=[LatencyLimit({"c1": 3.0})],
    )
    missed = {who: valued.values["missed_deadlines"] for who, valued in result.objectives.items()}
    assert result.feasible
    assert missed["verified"] < missed["start"] - 0.1
    assert result.verified.chains["c1"]["latency"] <= 3.0
    assert result.placement["c1"][1] in ("d0", "d1", "d3")


def test_a_deadline_that_no_chain_has_is_refused() -> None:
    problem = small_problem()
    with pytest.raises(NotSupportedError, match="the simulation evaluator: missed_deadlines"):
        place(
            problem,
            short_simulator(problem),
            Budget(evaluations=5),
            objective=MissedDeadlines(),
        )


def test_what_a_surrogate_does_not_cover_is_refused_by_name() -> None:
    problem = small_problem()
    first = replace(problem.devices[0], discipline="priority")
    uncovered = replace(problem, devices=(first, *problem.devices[1:]))
    with pytest.raises(NotSupportedError, match="supported by chainnet: discipline=priority"):
        place(uncovered, load_surrogate("chainnet"), Budget(evaluations=5))


def test_what_a_surrogate_never_saw_is_flagged_with_a_reason() -> None:
    problem = small_problem(memory=None)
    huge = tuple(replace(device, capacity=1_000_000) for device in problem.devices)
    result = place(
        replace(problem, devices=huge), load_surrogate("chainnet"), Budget(evaluations=5)
    )
    assert "outside" in (result.predicted.reason or "")
    assert result.to_dict()["predicted"]["reason"] == result.predicted.reason
    assert result.verified.reason is None


def test_the_result_tells_how_the_finalists_were_told_apart() -> None:
    result = optimize(
        poor_start(small_problem()), AnalyticEvaluator(), budget=Budget(evaluations=100)
    )
    told = result.to_dict()["selection"]
    assert told["finalists"] == FINALISTS + 1
    assert told["runs"] >= 4
    assert 0 <= told["undecided"] < told["finalists"]
