"""The placement benchmark: fair problems, a rival that simulates, figures that say what they do."""

from __future__ import annotations

from argparse import Namespace
from importlib import import_module
from time import perf_counter
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.deployment import Deployment
from datagen.documents import read_problem
from datagen.scenarios.placement import PlacementScenario
from datagen.simulator import SimulationEvaluator
from surrogate.optimizers import PlacementSpace, proof
from surrogate.optimizers.baselines import random_placements
from surrogate.optimizers.proof import same_window
from tests.conftest import REPOSITORY
from tests.surrogate.optimizers.problems import UNIT, poor_start, short_proof, small_problem


@pytest.fixture
def scripts() -> dict[str, ModuleType]:
    names = ("boards", "cases", "rivals", "search", "tuning")
    return {name: import_module(f"placement_{name}") for name in names}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SELECTION_EVENTS", "VERIFICATION_EVENTS"):
        monkeypatch.setattr(proof, name, getattr(proof, name))
    short_proof()


def random_service() -> Deployment:
    scenario = PlacementScenario(chains=(3, 3), devices=(4, 4), load=(0.8, 0.8), random_service=1.0)
    return scenario.sample(0, 5)


@pytest.mark.parametrize(
    "base", [poor_start(small_problem()), random_service()], ids=["fixed", "random"]
)
def test_the_rival_plays_what_the_simulator_plays(
    scripts: dict[str, ModuleType], base: Deployment
) -> None:
    space = PlacementSpace(base)
    candidates = space.candidates(random_placements(space, 5, np.random.default_rng(2)))
    rival = scripts["rivals"].LossSimulator.of(base, events=2e4, seed=6)
    options = same_window(base.problem, events=2e4, replications=1, seed=6)
    expected = SimulationEvaluator(options).evaluate(candidates).deployment["loss_ratio"]
    for _ in range(2):  # what is drawn once may be played again
        found = rival.evaluate(candidates).deployment["loss_ratio"]
        assert found == pytest.approx(expected, abs=1e-12)
    assert expected.max() > 0.01


def test_problems_are_material_fit_and_are_not_tuned_on(scripts: dict[str, ModuleType]) -> None:
    cases = scripts["cases"]
    drawn = cases.cases(6, cases.EVALUATION_SEED)
    thirds = np.searchsorted(cases.SIZES, [len(s.problem.devices) for _, s in drawn], side="right")
    assert np.bincount(thirds).tolist() == [0, 2, 2, 2]
    for _, start in drawn:
        space = PlacementSpace(start)
        assert space.excess(space.start[None])[0] == 0
        assert np.isfinite(space.memory).all()
        assert np.nanmin(space.work(), axis=1).max() <= cases.LARGEST_LOAD
        loss = AnalyticEvaluator().evaluate([start]).deployment["loss_ratio"][0]
        assert loss >= cases.MATERIAL_LOSS
    others = [start for _, start in cases.cases(6, cases.TUNING_SEED)]
    assert not any(start in others for _, start in drawn)


def test_settings_are_those_of_the_budget_next_to_it(scripts: dict[str, ModuleType]) -> None:
    one = scripts["rivals"].tuned(1.0)
    assert scripts["rivals"].tuned(0.7) == one
    assert one.search().tries == one.tries
    assert (
        scripts["tuning"].TRIED["events"][0] <= one.events <= scripts["tuning"].TRIED["events"][-1]
    )


def made_up_row(losses: dict[str, float], error: float) -> dict[str, Any]:
    return {
        "seconds": 1.0,
        "loss_ratio": losses,
        "standard_error": dict.fromkeys(losses, error),
        "best_known": min(losses.values()),
    }


def test_ties_count_as_good_and_not_as_better(scripts: dict[str, ModuleType]) -> None:
    rows = [
        made_up_row({"surrogate": 0.010, "simulation": 0.020}, 1e-4),
        made_up_row({"surrogate": 0.020, "simulation": 0.010}, 1e-4),
        made_up_row({"surrogate": 0.020, "simulation": 0.018}, 1e-3),
        made_up_row({"surrogate": 9e-5, "simulation": 0.0}, 1e-6),
    ]
    found = scripts["search"].summary(rows)["1"]["simulation"]
    assert found["at_least_as_good"] == 0.75
    assert found["better"] == 0.25
    floor = scripts["search"].FLOOR
    middle = [(0.020 + floor) / (0.018 + floor), (0.020 + floor) / (0.010 + floor)]
    assert found["median_loss_ratio"] == pytest.approx(sum(middle) / 2)


def test_methods_that_are_not_behind_are_listed(scripts: dict[str, ModuleType]) -> None:
    search = scripts["search"]
    losses = dict.fromkeys(search.BLIND, 0.5) | {"surrogate": 0.010, "ilp": 0.009}
    rows = [
        made_up_row(losses, 1e-6) | {"problem": 3},
        made_up_row(losses | {"ilp": 0.2, "random": 0.01001}, 1e-6) | {"problem": 4},
    ]
    found = [(entry["method"], entry["problem"]) for entry in search.not_behind(rows)]
    assert found == [("ilp", 3), ("random", 4)]


def test_the_integer_rival_drops_a_bound_that_nothing_keeps(
    scripts: dict[str, ModuleType],
) -> None:
    rivals = scripts["rivals"]
    problem = small_problem(memory=None, allowed=False)
    within = rivals.integer_rival(PlacementSpace(poor_start(problem)), 5.0, perf_counter)
    assert (within.status, within.max_load) == ("optimal", 1.0)
    busy = scripts["boards"].at_load(problem, 1.5)
    beyond = rivals.integer_rival(PlacementSpace(poor_start(busy)), 5.0, perf_counter)
    assert (beyond.status, beyond.max_load) == ("optimal", None)
    assert set(beyond.placement) == {0}
    tight = small_problem(memory=2 * UNIT)
    nowhere = rivals.integer_rival(PlacementSpace(poor_start(tight)), 5.0, perf_counter)
    assert nowhere.status == "infeasible"
    assert nowhere.told()["max_load"] is None


def test_coverage_counts_the_intervals_that_were_checked(scripts: dict[str, ModuleType]) -> None:
    verified = {name: {"loss_ratio": 0.1, "ci95": [0.09, 0.11]} for name in ("a", "b", "c")}
    row = {"verified": verified, "longer": {"a": 0.1, "b": 0.12}}
    assert scripts["search"].coverage([row], 1e6) == {"share": 0.5, "n": 2, "events": 1e6}
    assert scripts["search"].coverage([], 1e6)["share"] is None


def test_loads_are_scaled_to(scripts: dict[str, ModuleType]) -> None:
    problem, _ = read_problem(REPOSITORY / "configs" / "problems" / "five_boards.yaml")
    scaled = scripts["boards"].at_load(problem, 1.1)
    space = PlacementSpace(scripts["boards"].least_loaded_start(scaled))
    work = space.work() * [device.speed for device in scaled.devices]
    clocks = scripts["boards"].at_load(problem, 1.1, periodic=True).chains
    assert [c.arrivals.rate for c in clocks] == [
        pytest.approx(c.arrivals.rate) for c in scaled.chains
    ]
    assert {c.arrivals.scv for c in clocks} == {0.0}
    assert work[:, 0].sum() == pytest.approx(1.1 * sum(device.speed for device in scaled.devices))


@pytest.mark.usefixtures("quick")
def test_a_short_run(scripts: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    search = scripts["search"]
    monkeypatch.setattr(search, "load_surrogate", lambda _: AnalyticEvaluator())
    monkeypatch.setattr(scripts["boards"], "JUDGING_EVENTS", 2e4)
    given = Namespace(
        checkpoint="made up",
        seconds=[0.2, 0.4],
        problems=1,
        searches=["surrogate", "simulation", "analytic"],
        time="processor",
        section=["search", "boards", "periodic"],
        load=[0.8],
        events=2e4,
        interval_events=1e5,
    )
    report = search.measure(given)
    assert [row["seconds"] for row in report["rows"]] == [0.2, 0.4]
    for row in report["rows"]:
        losses = row["loss_ratio"]
        assert set(losses) == {*search.RULES, "random", "ilp", *given.searches}
        assert row["best_known"] <= min(losses.values())
        assert losses["surrogate"] < losses["least_loaded"]
    assert report["intervals"]["n"] == 4
    board = report["five_boards"]["rows"][0]
    assert board["reduction"] > 0.6
    assert board["loss_ratio"]["search"] < board["loss_ratio"]["least_loaded"]
    clockwork = report["periodic_boards"]["rows"][0]["loss_ratio"]
    assert clockwork["search"] < board["loss_ratio"]["search"]
    assert clockwork["ilp"] < board["loss_ratio"]["ilp"]
    text = search.result_text(report, "command", "2core")
    assert "annealing on the compiled simulator, tuned" in text
    assert "Integer programs: 1 optimal" in text
    assert "Where methods that do not know of queues are not behind" in text
    assert "requests like clockwork" in text
    assert "| 0.8 |" in text
