"""Both engines give the same event log where jobs block each other or run in branches."""

from __future__ import annotations

import pytest
from hypothesis import Phase, find, given, settings

from datagen.deployment import Deployment
from datagen.evaluation import Effect, pack
from datagen.simulator.tally import RunLength
from tests.datagen.simulator.contended import accelerated, contended
from tests.datagen.simulator.systems import same_bits
from tests.datagen.simulator.test_blocking import crossing
from tests.datagen.simulator.test_engines_agree import SEEDS, WINDOWS, played_by_both

FREE, ON_GRID, ACCELERATED = 180, 180, 60
"""Examples with drawn times, with times on a grid, and with accelerators."""


def agree(deployment: Deployment, seed: int, length: RunLength, *, on_grid: bool) -> bool:
    """Play a deployment with both engines and compare; return whether it ended in a deadlock."""
    runs = played_by_both(deployment, seed, length, on_grid=on_grid)
    assert runs[0].deadlock == runs[1].deadlock
    if runs[0].deadlock is not None:
        logs = [run.log for run in runs if run.log is not None]
        assert logs[0].tobytes() == logs[1].tobytes()
        return True
    same_bits(*runs)
    return False


@settings(max_examples=FREE)
@given(contended(), SEEDS, WINDOWS)
def test_engines_agree(deployment: Deployment, seed: int, length: RunLength) -> None:
    agree(deployment, seed, length, on_grid=False)


@settings(max_examples=ON_GRID)
@given(contended(), SEEDS, WINDOWS)
def test_engines_agree_where_ties_are_the_rule(
    deployment: Deployment, seed: int, length: RunLength
) -> None:
    agree(deployment, seed, length, on_grid=True)


@settings(max_examples=ACCELERATED)
@given(accelerated(), SEEDS, WINDOWS)
def test_engines_agree_where_accelerators_block(
    deployment: Deployment, seed: int, length: RunLength
) -> None:
    agree(deployment, seed, length, on_grid=False)


@pytest.mark.parametrize("effect", [Effect.BLOCKING, Effect.PARALLEL, Effect.LINKS, Effect.EXITS])
def test_the_examples_have_every_effect(effect: Effect) -> None:
    def has_effect(deployment: Deployment) -> bool:
        return bool(pack([deployment]).effects[0] & effect)

    find(contended(), has_effect, settings=settings(max_examples=20, phases=[Phase.generate]))


@pytest.mark.parametrize("seed", range(10))
def test_engines_agree_on_when_a_deadlock_begins(seed: int) -> None:
    length = RunLength.of(0.0, 1000.0)
    assert agree(crossing(1 + seed % 2), seed, length, on_grid=seed % 3 == 0)
