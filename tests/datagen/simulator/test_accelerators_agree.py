"""Both engines give the same event log to the last bit, whatever accelerators do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from datagen.deployment import Deployment
from datagen.policies import BATCH_POLICIES
from datagen.simulator.numba_engine import NumbaEngine
from datagen.simulator.simpy_engine import SimpyEngine
from datagen.simulator.tally import RunLength
from tests.datagen.simulator.accelerated import accelerated
from tests.datagen.simulator.systems import grid_sources, packed, same_bits

SEEDS = st.integers(0, 1000)
WINDOWS = st.sampled_from([RunLength.of(0.0, 40.0), RunLength.of(5.0, 100.0)])

FREE, ON_GRID = 220, 110
"""Examples with drawn times, and with times on a grid, where ties are the rule."""


def agree(deployment: Deployment, seed: int, length: RunLength, *, on_grid: bool) -> None:
    """Play a deployment with both engines and compare everything."""
    runs = []
    for engine in (NumbaEngine(), SimpyEngine()):
        network, sources = packed(deployment, seed)
        if on_grid:
            sources = grid_sources(network, seed)
        runs.append(engine.run(network, sources, length, log=True))
    same_bits(*runs)


@settings(max_examples=FREE)
@given(accelerated(), SEEDS, WINDOWS)
def test_engines_agree(deployment: Deployment, seed: int, length: RunLength) -> None:
    agree(deployment, seed, length, on_grid=False)


@settings(max_examples=ON_GRID)
@given(accelerated(), SEEDS, WINDOWS)
def test_engines_agree_where_ties_are_the_rule(
    deployment: Deployment, seed: int, length: RunLength
) -> None:
    agree(deployment, seed, length, on_grid=True)


@pytest.mark.parametrize("policy", BATCH_POLICIES[-2:])
def test_the_examples_have_preemptions(policy: str) -> None:
    def preempts(deployment: Deployment) -> bool:
        used = {config.policy for config in (deployment.batching or {}).values()}
        network, sources = packed(deployment, 0)
        run = NumbaEngine().run(network, sources, RunLength.of(0.0, 100.0))
        assert run.batches is not None
        return used == {policy} and bool(np.any(run.batches.preemptions))

    find(accelerated(), preempts, settings=settings(max_examples=60, phases=[Phase.generate]))
