"""Measures of accelerators: batches, preemptions, energy, deadlines; both engines."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.deployment import BatchConfig
from datagen.errors import InvalidInputError
from datagen.evaluation import pack
from datagen.evaluation.loads import fluid_load, offered_load
from datagen.simulator import SimulationOptions, batch_sizes, simulate
from datagen.simulator.options import EngineName
from tests.datagen.simulator.accelerated import one_accelerator
from tests.helpers import tandem

TIMES = [[0.5, 0.5, 0.5, 0.5], [1.0, 1.25, 1.5, 1.75]]
EAGER = BatchConfig(policy="exit_aware", max_batch=4)
MIX = (0.3, 0.7)


@pytest.mark.parametrize("engine", ["numba", "simpy"])
def test_measures_of_a_loaded_accelerator(engine: EngineName) -> None:
    deployment = one_accelerator(
        TIMES, EAGER, rate=1.6, capacity=8, mix=MIX, deadline=4.0, power=(2.0, 10.0)
    )
    found = simulate([deployment], engine=engine, horizon=4000.0, seed=1)[0]
    chain, device = found.chains["c0"], found.devices["npu"]
    assert 0.5 < device.utilization < 1.0
    assert device.power == pytest.approx(2.0 + 8.0 * device.utilization)
    # All energy is that of the one chain: power over the rate of completions.
    assert chain.energy == pytest.approx(device.power / chain.throughput, rel=0.01)
    assert 1.0 < device.batch < 4.0
    assert device.preemptions > 0.0
    assert 0.0 < chain.loss_ratio < 0.2
    assert chain.latency < chain.p95 < chain.p99
    assert 0.0 < chain.attainment < 1.0 - chain.loss_ratio
    first, second = found.steps
    assert first.offered * 0.6 < second.offered < first.offered * 0.8
    assert 1.0 <= second.batch <= 4.0
    assert chain.latency_ratio < 1.0


def test_histograms_say_how_large_batches_were() -> None:
    deployment = one_accelerator(TIMES, EAGER, rate=1.2, capacity=8, mix=MIX)
    options = SimulationOptions(horizon=4000.0, seed=1)
    (sizes,) = batch_sizes(deployment, options)
    assert (sizes.device, sizes.model, sizes.counts.shape) == ("npu", "m", (2, 4))
    found = simulate([deployment], horizon=4000.0, seed=1)[0]
    assert sizes.mean.tolist() == pytest.approx([step.batch for step in found.steps])
    with pytest.raises(InvalidInputError, match="placement must use an accelerator"):
        batch_sizes(tandem(0), options)


def test_devices_without_batches_have_none() -> None:
    found = simulate([tandem(0, 1)], horizon=1000.0)[0]
    assert np.isnan(found.devices["d0"].batch)
    assert np.isnan(found.steps[0].batch)


def test_alone_a_sample_takes_the_times_of_batches_of_one() -> None:
    deployment = one_accelerator(TIMES, EAGER, rate=1e-4, mix=MIX)
    found = simulate([deployment], horizon=1e7, seed=2)[0]
    assert found.chains["c0"].latency_ratio == pytest.approx(1.0, abs=1e-3)


def test_loads_count_the_batch_that_serves_most() -> None:
    config = BatchConfig(policy="dynamic", max_batch=3)
    batch = pack([one_accelerator(TIMES, config, rate=1.2, mix=MIX), tandem(0, 1)])
    # 0.5 / 3 s a sample in the first segment, 1.5 / 3 s of those 0.7 that stay in the second.
    expected = 1.2 * (0.5 / 3 + 0.7 * 1.5 / 3)
    np.testing.assert_allclose(offered_load(batch), [expected, 0.1, 0.2])
    np.testing.assert_allclose(fluid_load(batch), [expected, 0.1, 0.2])


def test_an_accelerator_that_cannot_keep_up_needs_a_bound() -> None:
    def unlimited(size: int) -> object:
        config = BatchConfig(policy="dynamic", max_batch=size)
        deployment = one_accelerator(TIMES, config, rate=1.0, capacity=None)
        return simulate([deployment], events=2000)

    assert unlimited(4)
    with pytest.raises(InvalidInputError, match="keep devices of unlimited capacity below load 1"):
        unlimited(1)
