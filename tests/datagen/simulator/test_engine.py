"""Replications played together are the runs that each of them would be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from datagen.evaluation import pack
from datagen.scenarios import SCENARIOS
from datagen.simulator.network import networks
from datagen.simulator.numba_engine import NumbaEngine
from datagen.simulator.simpy_engine import SimpyEngine
from datagen.simulator.sources import chain_draws
from datagen.simulator.tally import RunLength


@pytest.mark.parametrize("engine", [NumbaEngine, SimpyEngine])
@pytest.mark.parametrize("name", ["type1", "mixed"])
def test_replications_are_the_single_runs(engine: Any, name: str) -> None:
    batch = pack([SCENARIOS[name]().sample(2, seed=0)])
    [network] = networks(batch, engine.name)
    length = RunLength.of(5.0, 60.0)

    def drawn(replication: int) -> Any:
        return chain_draws(batch, 0, seed=1, replication=replication)

    singles = [engine().run(network, drawn(number), length) for number in range(3)]
    together = engine().replicate(network, [drawn(number) for number in range(3)], length)
    for run, single in zip(together.runs, singles, strict=True):
        assert (run.events, run.truncated) == (single.events, single.truncated)
        assert run.tally.histogram.size == 0
        for own, other in zip(run.tally, single.without_histogram().tally, strict=True):
            assert np.array_equal(own, other)
        if single.route_completed is not None:
            assert np.array_equal(run.route_completed, single.route_completed)
    total = np.sum([single.tally.histogram for single in singles], axis=0)
    assert total.sum() > 0
    assert np.array_equal(together.histogram, total)
