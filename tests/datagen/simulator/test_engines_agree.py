"""Both engines give the same event log to the last bit, whatever the deployment."""

from __future__ import annotations

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from datagen.deployment import Deployment
from datagen.evaluation import Effect, pack
from datagen.simulator.contention import CONTENTION_EFFECTS
from datagen.simulator.covered import ENGINE_COVERS
from datagen.simulator.engine import Run
from datagen.simulator.numba_engine import NumbaEngine
from datagen.simulator.simpy_engine import SimpyEngine
from datagen.simulator.tally import RunLength
from tests.datagen.simulator.systems import deployments, grid_sources, packed, same_bits

SEEDS = st.integers(0, 1000)
WINDOWS = st.sampled_from([RunLength.of(0.0, 40.0), RunLength.of(5.0, 100.0)])

FREE, ON_GRID = 360, 180
"""Examples with drawn times, and with times on a grid, where ties are the rule."""


def played_by_both(
    deployment: Deployment, seed: int, length: RunLength, *, on_grid: bool
) -> list[Run]:
    """Play a deployment with both engines, with a log."""
    runs = []
    for engine in (NumbaEngine(), SimpyEngine()):
        network, sources = packed(deployment, seed)
        if on_grid:
            sources = grid_sources(network, seed)
        runs.append(engine.run(network, sources, length, log=True))
    return runs


def agree(deployment: Deployment, seed: int, length: RunLength, *, on_grid: bool) -> None:
    """Play a deployment with both engines and compare everything."""
    same_bits(*played_by_both(deployment, seed, length, on_grid=on_grid))


@settings(max_examples=FREE)
@given(deployments(), SEEDS, WINDOWS)
def test_engines_agree(deployment: Deployment, seed: int, length: RunLength) -> None:
    agree(deployment, seed, length, on_grid=False)


@settings(max_examples=ON_GRID)
@given(deployments(), SEEDS, WINDOWS)
def test_engines_agree_where_ties_are_the_rule(
    deployment: Deployment, seed: int, length: RunLength
) -> None:
    agree(deployment, seed, length, on_grid=True)


@pytest.mark.parametrize(
    "effect", ENGINE_COVERS & ~(Effect.NPU | Effect.BATCHING | CONTENTION_EFFECTS)
)
def test_the_examples_have_every_effect_that_the_engines_cover(effect: Effect) -> None:
    def has_effect(deployment: Deployment) -> bool:
        return bool(pack([deployment]).effects[0] & effect)

    # Twenty examples of which one has the effect: it is frequent among those played above.
    find(deployments(), has_effect, settings=settings(max_examples=20, phases=[Phase.generate]))
