"""Both engines give the same event log to the last bit, whatever accelerators do."""

from __future__ import annotations

from collections import Counter

import pytest

from datagen.simulator.engine import Run
from datagen.simulator.numba_engine import NumbaEngine
from datagen.simulator.simpy_engine import SimpyEngine
from datagen.simulator.tally import RunLength
from tests.datagen.simulator.accelerated import random_deployment
from tests.datagen.simulator.systems import grid_sources, packed, same_bits

WINDOWS = (RunLength.of(0.0, 20.0), RunLength.of(5.0, 40.0))

EXAMPLES = 330
"""Random deployments, every third of which is played on grid times, where ties are the rule."""

PARTS = 6


def played(number: int) -> list[Run]:
    """Play a random deployment with both engines."""
    runs = []
    for engine in (NumbaEngine(), SimpyEngine()):
        network, sources = packed(random_deployment(number), number)
        if number % 3 == 0:
            sources = grid_sources(network, number)
        runs.append(engine.run(network, sources, WINDOWS[number % 2], log=True))
    return runs


@pytest.mark.parametrize("part", range(PARTS))
def test_engines_agree(part: int) -> None:
    for number in range(part, EXAMPLES, PARTS):
        same_bits(*played(number))


def test_many_of_the_examples_interrupt_batches() -> None:
    preempting: Counter[str] = Counter()
    for number in range(EXAMPLES):
        deployment = random_deployment(number)
        network, sources = packed(deployment, number)
        run = NumbaEngine().run(network, sources, WINDOWS[number % 2])
        assert run.batches is not None
        for device, count in zip(deployment.problem.devices, run.batches.preemptions, strict=True):
            if device.npu is not None:
                preempting[deployment.batch_config(device.name).policy] += bool(count)
    assert set(+preempting) == {"lazy", "exit_aware"}
    assert min((+preempting).values()) >= 10
