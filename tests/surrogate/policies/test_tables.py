"""Tables of prices: the exact optimum on one device, shared losses on several."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from datagen.analytic import ExitQueue
from datagen.exits import ExitTrace
from datagen.exits.counts import count_exits
from datagen.simulator.options import SimulationOptions
from datagen.simulator.policies import policy_scene, simulate_policies
from surrogate.policies.bayesian_tables import bayesian_table, predicted
from surrogate.policies.belief import believed, calibration_curves
from surrogate.policies.price_tables import PriceTables, tables_of
from surrogate.policies.queue_aware import QueueAware
from surrogate.policies.static import StaticThresholds
from tests.datagen.policies.contract import CHAIN, recorded, system

LOADS = (0.2, 0.5, 0.8, 1.2, 2.0)


@cache
def tables(edges: bool) -> PriceTables:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("surrogate.policies.price_tables.LOADS", LOADS)
        patch.setattr("surrogate.policies.stage_actions.PRICES", 8)
        return tables_of(policy_scene(system(edges), CHAIN, recorded(2)))


def test_one_device_has_the_optimum_of_the_program() -> None:
    table = tables(False).everywhere[0]
    for row, rate in enumerate(table.rates.tolist()):
        queue = ExitQueue(rate, table.vectors.counts(rate), table.vectors.values(0.0))
        for price in (0, 8, 15):
            loss, accuracy = table.loss[row, price], table.accuracy[row, price]
            best = queue.queue_aware(min(loss + 1e-12, 1.0))
            assert accuracy == pytest.approx(best.accuracy_offered, abs=1e-6)
        assert np.all(np.diff(table.loss[row]) <= 1e-12)  # dearer losses are fewer


def test_actions_count_what_thresholds_do() -> None:
    actions = tables(False).everywhere[0].vectors
    counts = count_exits(recorded(2), [d.thresholds for d in actions.decisions])
    assert actions.mix == pytest.approx(counts.mix)


def test_passing_on_is_worth_less_the_more_is_passed_on() -> None:
    made = tables(True)
    gateway = made.everywhere[0]
    assert set(made.following[0].values()) == {0.5}
    # At high rates fewer jobs are passed on, and more are lost in all.
    assert gateway.passed[0, 0] > gateway.passed[-1, 0]
    assert np.all(np.diff(gateway.loss[:, 0]) >= -1e-9)
    total = gateway.accuracy + gateway.loss
    assert np.all(total <= 1.0 + 1e-9)


@pytest.mark.parametrize("edges", [False, True])
def test_predictions_come_true(edges: bool) -> None:
    made, rate = tables(edges), 1.1
    options = SimulationOptions(offered=4000.0, replications=4, seed=2)
    known = {CHAIN: recorded(2)}
    reached = {}
    for policy in (StaticThresholds(made, 0.02), QueueAware(made, 0.02)):
        run = simulate_policies(system(edges), {CHAIN: policy}, options, calibration=known)
        reached[type(policy)] = run.measures.chain["accuracy_offered"][0]
        assert run.measures.chain["loss_ratio"][0] < 0.02
    # 0.02 of noise by the samples of the other trace and the jobs.
    gateway = made.everywhere[0]
    accuracy = np.interp(rate, gateway.rates, gateway.accuracy[:, 0])
    assert reached[QueueAware] == pytest.approx(accuracy, abs=0.04)
    assert reached[QueueAware] >= reached[StaticThresholds] - 0.01


def test_beliefs_are_calibrated_where_confidences_are_not() -> None:
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.05, 0.95, size=(4000, 1))
    right = rng.uniform(size=(4000, 1)) < chance
    # Twice as sure as it should be, on the scale of logits.
    logits = np.log(chance / (1 - chance))
    sure = ExitTrace(name="t", confidences=1 / (1 + np.exp(-2 * logits)), correct=right)
    curves = calibration_curves(sure)
    assert curves[0] == pytest.approx([0.0, 0.5], abs=0.06)
    assert np.abs(believed(sure, curves) - chance).max() < 0.03
    # A handful of samples is drawn to what is known already.
    few = ExitTrace(name="t", confidences=sure.confidences[:3], correct=right[:3])
    assert calibration_curves(few, curves)[0] == pytest.approx(curves[0], abs=0.35)


def test_a_bayesian_table_keeps_the_target_and_uses_the_slack() -> None:
    scene, rates = policy_scene(system(False), CHAIN, recorded(2)), [0.3, 0.9, 2.0]
    table = bayesian_table(scene, rates, 0.02, seed=1)
    accuracies = []
    for rate, row in zip(rates, table.thresholds, strict=True):
        accuracy, loss = predicted(scene, rate, np.array([row]))
        assert loss[0] <= 0.02 * 1.02
        accuracies.append(float(accuracy[0]))
    assert accuracies[0] > accuracies[-1] + 0.02
    assert accuracies[0] > recorded(2).correct.mean(axis=0).max() - 0.03


def test_predicted_losses_are_those_of_the_queue() -> None:
    scene = policy_scene(system(False), CHAIN, recorded(2))
    _, loss = predicted(scene, 1.5, np.array([[1.01, 1.01, 1.01]]))
    # All to the end: 1.3 s of variability 0.066 at load 1.95 lose about 1 - 1 / 1.95.
    assert loss[0] == pytest.approx(0.49, abs=0.02)
