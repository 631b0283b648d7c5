"""Thresholds for a loss target: kept, verified, near the exact optimum, looked up quickly."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment
from datagen.distributions import Deterministic
from datagen.errors import InvalidInputError
from datagen.evaluation import ExpandedEvaluator
from datagen.exits import Thresholds
from datagen.simulator import simulate
from surrogate.loss_predictor import LossPredictor
from surrogate.optimizers import Evolution, GradientAscent, threshold_proof, tune_thresholds
from surrogate.optimizers.backlog import Gateway, fitted_bands
from surrogate.optimizers.lookup import LookupTable, lookup_table
from surrogate.optimizers.threshold_proof import ThresholdProof
from surrogate.optimizers.threshold_search import asking, penalised, predicting
from surrogate.optimizers.threshold_space import ThresholdSpace, on_simplex
from tests.surrogate.exit_cases import edges, gateway

TARGET = 0.02


def test_static_thresholds_keep_the_target_and_raise_accuracy() -> None:
    result = tune_thresholds(edges(), AnalyticEvaluator(), loss_target=TARGET, seed=1)
    assert result.feasible
    assert result.verified is not None
    assert result.start is not None
    _, high = result.verified.outcome.ci95 or (0.0, 1.0)
    assert high <= TARGET * 1.05
    assert result.verified.accuracy_offered > result.start.accuracy_offered + 0.05
    assert result.predicted.loss_ratio == pytest.approx(result.verified.loss_ratio, abs=0.005)
    told = json.loads(result.to_json())
    assert told["violations"] == []
    assert sum(told["routing"]["camera"]) == pytest.approx(1.0)
    assert len(told["thresholds"]["camera"]) == 3


def test_the_same_seed_finds_the_same() -> None:
    found = [
        tune_thresholds(gateway(), AnalyticEvaluator(), loss_target=TARGET, seed=4, verify=False)
        for _ in range(2)
    ]
    assert found[0].thresholds == found[1].thresholds
    assert found[0].verified is None


def test_all_searches_come_near_each_other() -> None:
    space = ThresholdSpace(gateway())
    asked = Evolution(judge=asking(ExpandedEvaluator(AnalyticEvaluator()), space), generations=30)
    climbed = GradientAscent(predictor=LossPredictor(gateway(), space.exits, None))
    accuracy = []
    for how in (asked, climbed, None):
        found = tune_thresholds(
            gateway(), AnalyticEvaluator(), loss_target=TARGET, search=how, verify=False
        )
        assert found.predicted.loss_ratio <= TARGET * 1.001
        accuracy.append(found.predicted.accuracy_offered)
    assert accuracy[:2] == pytest.approx([accuracy[2]] * 2, abs=0.01)


def test_a_climb_goes_on_from_an_evolution() -> None:
    space = ThresholdSpace(edges())
    search = GradientAscent(
        predictor=LossPredictor(edges(), space.exits, None), starts=4, steps=3, generations=2
    )
    pool = search.run(space, TARGET, np.inf, np.random.default_rng(0))
    levels, routing, accuracy, loss = pool.arrays()
    climbed = slice(-4 * (search.steps + 1), None)
    first, last = levels[climbed][:4], levels[-4:]
    assert np.abs(last - first).max() > search.rate / 2
    assert levels.min() >= 0
    assert levels.max() <= 1
    assert routing.sum(axis=1) == pytest.approx(np.ones(len(pool)), abs=1e-6)
    value = penalised(torch.tensor(accuracy), torch.tensor(loss), TARGET)[climbed].reshape(-1, 4)
    assert (value.amax(dim=0) >= value[0]).all()
    assert (value.amax(dim=0) > value[0]).any()


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    space = ThresholdSpace(edges())
    judge = predicting(LossPredictor(edges(), space.exits, None))
    rng = np.random.default_rng(0)
    levels, routing = rng.uniform(size=(200, 3)), rng.dirichlet((1, 1), size=200)
    proof = ThresholdProof(space, selection_seed=1, verification_seed=2)
    monkeypatch.setattr(threshold_proof, "SELECTION_EVENTS", 2e4)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            known = judge(levels, routing)
            found.append((*known, proof.selected(levels, routing, *known, TARGET)))
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        assert np.allclose(one, other, rtol=1e-5)


def test_single_exits_are_no_better_than_thresholds() -> None:
    space = ThresholdSpace(gateway())
    queue = Gateway.of(space).queue()
    best = max(
        (queue.measures(np.eye(len(queue.accuracy))[a]) for a in range(len(queue.accuracy))),
        key=lambda m: m.accuracy_offered if m.loss_ratio <= TARGET else 0.0,
    )
    found = tune_thresholds(gateway(), AnalyticEvaluator(), loss_target=TARGET, verify=False)
    assert found.predicted.accuracy_offered >= best.accuracy_offered - 0.003


def test_queue_aware_thresholds_beat_static_ones_and_are_nearly_the_best() -> None:
    # At a load where static thresholds must give up accuracy for the worst moments.
    busy = gateway(rate=9.0)
    static = tune_thresholds(busy, AnalyticEvaluator(), loss_target=TARGET, seed=1)
    aware = tune_thresholds(busy, AnalyticEvaluator(), loss_target=TARGET, seed=1, bands=3)
    assert static.verified is not None
    assert aware.verified is not None
    assert aware.feasible
    assert aware.verified.accuracy_offered > static.verified.accuracy_offered
    assert aware.verified.loss_ratio == pytest.approx(aware.predicted.loss_ratio, abs=0.001)
    assert 1 < len(aware.bands) <= 3
    assert aware.bands[-1][0] == 8
    ceiling = Gateway.of(ThresholdSpace(busy)).queue().queue_aware(TARGET)
    assert aware.predicted.accuracy_offered >= ceiling.accuracy_offered - 0.005


def test_one_band_is_what_the_event_engine_plays() -> None:
    deployment = gateway(rate=7.0)
    around = Gateway.of(ThresholdSpace(deployment))
    action = len(around.thresholds) // 2
    tau = tuple(around.thresholds[action].tolist())
    found = around.simulated([(8, action)], seed=2, services=400_000)
    fixed = replace(deployment, exits={"camera": Thresholds(tau=tau)})
    played = simulate([fixed], events=8e5, replications=8, seed=5)
    spread = np.hypot(found.loss_ratio_se, played.chain["loss_ratio_se"][0])
    assert abs(found.loss_ratio - played.chain["loss_ratio"][0]) < 4 * spread
    assert found.accuracy_offered == pytest.approx(played.chain["accuracy_offered"][0], abs=0.005)


def test_bands_keep_the_target_exactly() -> None:
    queue = Gateway.of(ThresholdSpace(gateway(rate=9.0))).queue()
    for bands in (1, 2, 4):
        plan = fitted_bands(queue, TARGET, bands)
        sizes = np.diff([0, *(jobs for jobs, _ in plan)])
        policy = np.eye(len(queue.accuracy))[np.repeat([a for _, a in plan], sizes)]
        assert len(plan) <= bands
        assert queue.measures(policy).loss_ratio <= TARGET + 1e-9


def test_bands_of_several_devices_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="bands must be 1 where there is more than one"):
        tune_thresholds(edges(), AnalyticEvaluator(), bands=2)


def test_a_deployment_without_thresholds_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="exits must decide some chain by thresholds"):
        tune_thresholds(replace(gateway(), exits=None), AnalyticEvaluator())


def test_lookup(tmp_path: Path) -> None:
    def tune(deployment):  # type: ignore[no-untyped-def]
        return tune_thresholds(deployment, AnalyticEvaluator(), loss_target=TARGET, verify=False)

    table = lookup_table(gateway(), (0.5, 1.0, 1.5), tune)
    table.save(tmp_path / "table.json")
    again = LookupTable.load(tmp_path / "table.json")
    assert again == table
    assert again.at(0.0) == table.entries[0]
    assert again.at(0.51) == table.entries[1]
    assert again.at(1.0) == table.entries[1]
    assert again.at(9.0) == table.entries[2]
    # More load, less accuracy.
    accuracy = [entry["predicted"]["accuracy_offered"] for entry in table.entries]
    assert accuracy == sorted(accuracy, reverse=True)
    began = time.perf_counter()
    for _ in range(1000):
        again.at(0.7)
    assert (time.perf_counter() - began) / 1000 < 50e-6
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(InvalidInputError, match="lookup must be a table of thresholds"):
        LookupTable.load(tmp_path / "other.json")


def test_projection_is_the_nearest_point() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20, 3))
    found = on_simplex(values, [3])
    assert np.all(found >= 0)
    assert found.sum(axis=1) == pytest.approx(np.ones(20))
    for other in rng.dirichlet(np.ones(3), size=200):
        near = ((values - found) ** 2).sum(axis=1)
        assert np.all(near <= ((values - other) ** 2).sum(axis=1) + 1e-12)


def test_two_gateways_share_an_edge_with_a_plain_chain() -> None:
    one = edges(8.0)
    camera = one.problem.chains[0]
    door = replace(camera, name="door", arrivals=Poisson(rate=5.0))
    sensor = Chain(
        name="sensor",
        arrivals=Poisson(rate=3.0),
        fragments=(Fragment(name="read", service=Deterministic(mean=0.05)),),
    )
    devices = (*one.problem.devices, Device(name="second", capacity=8))
    own = one.placement["camera"]
    both = Deployment(
        problem=replace(one.problem, devices=devices, chains=(camera, sensor, door)),
        placement={
            "camera": own,
            "sensor": (("near",),),
            "door": tuple(("second", "second", *path[2:]) for path in own),
        },
        routing={"camera": (0.5, 0.5), "door": (0.5, 0.5)},
        exits={name: Thresholds(tau=(1.01,) * 3) for name in ("camera", "door")},
    )
    result = tune_thresholds(both, AnalyticEvaluator(), loss_target=TARGET, seed=1)
    assert result.feasible
    assert result.verified is not None
    assert result.start is not None
    assert result.verified.accuracy_offered > result.start.accuracy_offered
    assert set(result.thresholds) == {"camera", "door"}
    assert result.routing["sensor"] == (1.0,)
    assert result.predicted.loss_ratio == pytest.approx(result.verified.loss_ratio, abs=0.006)
