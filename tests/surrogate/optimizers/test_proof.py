"""Selection and verification: what the probe of the simulator's speed measures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.deployment import Deployment, Device
from datagen.evaluation import Evaluable, Measures, as_batch
from datagen.simulator import SimulationEvaluator
from surrogate.optimizers import Budget, PlacementSpace, budget, proof
from surrogate.optimizers.baselines import least_loaded_start
from surrogate.optimizers.proof import Proof, same_window
from tests.surrogate.optimizers.problems import poor_start, small_problem


def starts() -> list[Deployment]:
    """A poor start, a good one, and one without a steady state, of one problem."""
    problem = small_problem()
    devices = (*problem.devices[:3], Device(name="d3", speed=0.05))
    unlimited = replace(problem, devices=devices)
    return [poor_start(unlimited), least_loaded_start(unlimited)]


def test_the_probe_does_not_depend_on_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    probed: list[tuple[list[int], float]] = []
    whole = SimulationEvaluator.evaluate

    def noting(self: SimulationEvaluator, deployments: Evaluable) -> Measures:
        batch = as_batch(deployments)
        probed.append((batch.step_device.tolist(), self.options.horizon or 0.0))
        measures = whole(self, deployments)
        assert np.isfinite(measures.deployment["events"]).all()
        return measures

    monkeypatch.setattr(SimulationEvaluator, "evaluate", noting)
    for start in starts():
        space, given = PlacementSpace(start), Budget(seconds=1.0)
        Proof(space, selection_seed=1, verification_seed=2, budget=given)
    assert len(probed) == 2
    assert probed[0] == probed[1]


def test_the_probe_counts_the_events_that_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setitem(budget.TIMERS, "wall", lambda: float(next(clock)))
    space = PlacementSpace(starts()[0])
    measured = Proof(space, selection_seed=1, verification_seed=2, budget=Budget(seconds=1e9))
    expected = proof.PROBE_EVENTS  # as if nothing were lost and no fragments fused
    per_event = measured.reserve / (proof.MARGIN * measured.events * (proof.FINALISTS + 1))
    assert per_event > 1.02 / expected  # the probe took one second


@pytest.mark.parametrize(("seconds", "finalists"), [(0.02, 1), (1.0, 5), (1e3, proof.FINALISTS)])
def test_little_time_is_for_few_finalists(
    monkeypatch: pytest.MonkeyPatch, seconds: float, finalists: int
) -> None:
    monkeypatch.setattr(Proof, "_probed", lambda self, typical, seed: 8e-7)
    space, given = PlacementSpace(starts()[0]), Budget(seconds=seconds)
    sized = Proof(space, selection_seed=1, verification_seed=2, budget=given)
    assert sized.finalists == finalists
    assert proof.LEAST_SELECTION_EVENTS <= sized.events <= proof.SELECTION_EVENTS
    if seconds >= 1.0:
        assert sized.events >= min(proof.ENOUGH_EVENTS, proof.SELECTION_EVENTS)
        assert sized.reserve <= proof.SELECTION_SHARE * seconds


def test_one_window_for_all_placements() -> None:
    problem = small_problem()
    options = same_window(problem, events=1e4, replications=3, seed=7)
    rate = sum(chain.arrivals.rate * 4 for chain in problem.chains)
    assert options.horizon == pytest.approx(1e4 / rate)
    assert (options.replications, options.seed, options.events) == (3, 7, None)
