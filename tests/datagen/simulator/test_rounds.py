"""Deployments that are simulated together get the labels they get alone, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from datagen.deployment import Deployment
from datagen.evaluation import Measures, pack
from datagen.scenarios import SCENARIOS
from datagen.simulator import SimulationOptions, simulate_batch, simulation
from tests.datagen.simulator.test_estimation import queue, tandem

LEVELS = ("deployment", "chain", "step", "device", "window")

WAYS: dict[str, dict[str, Any]] = {
    "events": {"events": 4e3},
    "one run": {"events": 4e3, "replications": 1},
    "many runs": {"events": 9e3, "replications": 9},
    "counts": {"counts": True, "min_offered": 100, "min_completed": 50, "max_events": 1.5e3},
    "precision": {"precision": 0.2, "max_events": 2e4},
    "windows": {"events": 4e3, "windows": 4},
}


def deployments() -> list[Deployment]:
    """Everything that is played, and single queues among it, stable or not."""
    drawn = [SCENARIOS["mixed"]().sample(index, 3) for index in range(10)]
    plain = [SCENARIOS["type1"]().sample(index, 3) for index in range(6)]
    return [queue(), *drawn, queue(1.5, None), tandem(), *plain, queue(0.3), queue(0.9, 7)]


def same_row(together: Measures, index: int, alone: Measures) -> None:
    for level in LEVELS:
        ours, own = getattr(together, level), getattr(alone, level)
        rows = slice(index, index + 1)
        if level != "deployment":
            start = getattr(together, f"{level}_start")
            rows = slice(start[index], start[index + 1])
        assert own.keys() <= ours.keys()
        for name in ours:
            # What no deployment of a batch has reads as NaN.
            assert np.array_equal(ours[name][rows], own[name], equal_nan=True), (level, name)


@pytest.mark.parametrize("way", WAYS)
def test_company_does_not_matter(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "TOGETHER", 9)
    batch = pack(deployments())
    options = SimulationOptions(seed=4, **WAYS[way])
    together = simulate_batch(batch, options)
    assert together.deployment["unstable"].sum() == 1
    assert len(np.unique(together.deployment["precise"])) == (2 if "max_events" in WAYS[way] else 1)
    for index in range(len(batch)):
        same_row(together, index, simulate_batch(batch.select([index]), options))


def test_the_same_networks_in_another_order_get_the_same_labels() -> None:
    batch = pack(deployments())
    options = SimulationOptions(seed=4, events=4e3)
    order = np.random.default_rng(0).permutation(len(batch))
    together = simulate_batch(batch, options)
    shuffled = simulate_batch(batch.select(order), options)
    for name, values in together.deployment.items():
        assert np.array_equal(values[order], shuffled.deployment[name], equal_nan=True), name
