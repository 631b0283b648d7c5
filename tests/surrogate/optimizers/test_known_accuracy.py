"""Known accuracies: exact where decisions have nothing to do with queues, left alone elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.deployment import Deployment
from datagen.evaluation import pack
from datagen.exits import ExitMix
from datagen.simulator import SimulationEvaluator, SimulationOptions
from surrogate.optimizers.known_accuracy import KnownAccuracy, known_accuracy
from tests.datagen.evaluation.exit_cases import gateway_with_trace, two_ways
from tests.surrogate.optimizers.problems import poor_start, small_problem

EASY, HARD = 0.8, 0.5
"""Accuracies in the contexts of the gateway with a trace, which hold for half of the time each."""


def simulator(horizon: float, replications: int = 4) -> SimulationEvaluator:
    return SimulationEvaluator(
        SimulationOptions(horizon=horizon, warmup=0.0, replications=replications, seed=3)
    )


def roomy(deployment: Deployment) -> Deployment:
    """The same with faster devices and larger buffers: no job is lost."""
    devices = tuple(
        replace(device, capacity=500, speed=9.0) for device in deployment.problem.devices
    )
    return replace(deployment, problem=replace(deployment.problem, devices=devices))


@pytest.mark.parametrize("holding", [None, 50.0])
def test_it_is_the_average_over_the_samples_and_contexts(holding: float | None) -> None:
    batch = pack([gateway_with_trace(holding=holding), two_ways()])
    # The mix of the other gateway's camera; its sensor has no exits.
    mixed = 0.3 * 0.6 + 0.2 * 0.7 + 0.5 * 0.9
    expected = [(EASY + HARD) / 2, mixed, np.nan]
    np.testing.assert_allclose(known_accuracy(batch), expected)


def test_a_long_simulation_without_losses_comes_to_it() -> None:
    found = simulator(4e4).evaluate([roomy(gateway_with_trace(holding=None)), roomy(two_ways())])
    known = known_accuracy(pack([gateway_with_trace(holding=None), two_ways()]))
    error = found.chain["accuracy_offered_se"]
    assert found.chain["loss_ratio"].max() == 0.0
    assert np.nanmax(np.abs(found.chain["accuracy_offered"] - known) / error) < 4.0


def test_a_short_run_in_one_context_does_not_mislead() -> None:
    deployment = roomy(gateway_with_trace(holding=1e5))
    drawn = simulator(1e3, 1).evaluate([deployment])
    told = KnownAccuracy(simulator(1e3, 1)).evaluate([deployment])
    assert abs(drawn.chain["accuracy_offered"][0] - (EASY + HARD) / 2) > 0.1
    assert told.chain["accuracy_offered"][0] == pytest.approx((EASY + HARD) / 2)
    assert told.chain["latency"][0] == drawn.chain["latency"][0]


def test_lost_jobs_are_wrong_and_make_it_as_unsure_as_losses_are() -> None:
    inner = simulator(2e3)
    drawn = inner.evaluate([gateway_with_trace(holding=None)])
    told = KnownAccuracy(inner).evaluate([gateway_with_trace(holding=None)])
    loss, error = drawn.chain["loss_ratio"][0], drawn.chain["loss_ratio_se"][0]
    right = (EASY + HARD) / 2
    assert loss > 0.01
    assert told.chain["accuracy_offered"][0] == pytest.approx(right * (1 - loss))
    assert told.chain["accuracy_offered_se"][0] == pytest.approx(right * error)
    assert told.chain["accuracy_completed"][0] == pytest.approx(right)


def test_what_is_not_recorded_stays_as_it_is() -> None:
    inner = simulator(500.0)
    unsaid = replace(two_ways(), exits={"camera": ExitMix(p=(0.3, 0.2, 0.5))})
    for deployment in (poor_start(small_problem()), unsaid):
        told, drawn = KnownAccuracy(inner).evaluate([deployment]), inner.evaluate([deployment])
        for name, values in drawn.chain.items():
            np.testing.assert_array_equal(told.chain[name], values)
