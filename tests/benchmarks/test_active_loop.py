"""Searches that learn on: what is learnt lowers the error, and the report says who gained."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import numpy as np
import pytest

from surrogate import load_surrogate
from surrogate.optimizers import PlacementSpace, proof
from surrogate.optimizers.baselines import random_placements
from tests.surrogate.optimizers.problems import poor_start, short_proof, small_problem


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name in ("SELECTION_EVENTS", "VERIFICATION_EVENTS"):
        monkeypatch.setattr(proof, name, getattr(proof, name))
    short_proof()
    module = import_module("active_loop")
    monkeypatch.setattr(module, "JUDGING_EVENTS", 5e4)
    monkeypatch.setattr(module, "LABEL_EVENTS", 1e4)
    return module


@pytest.mark.parametrize("kind", ["head", "all"])
def test_a_copy_learns(script: ModuleType, kind: str) -> None:
    surrogate = load_surrogate("chainnet")
    space = PlacementSpace(poor_start(small_problem()))
    candidates = space.candidates(random_placements(space, 8, np.random.default_rng(0)))

    def predicted(judge: object) -> np.ndarray:
        return np.asarray(judge.evaluate(candidates).deployment["loss_ratio"])  # type: ignore[attr-defined]

    before = predicted(surrogate)
    wanted = 0.7 * before
    after = predicted(script.learnt(surrogate, candidates, wanted, kind))
    assert np.abs(np.log(after / wanted)).mean() < 0.7 * np.abs(np.log(before / wanted)).mean()
    assert np.array_equal(predicted(surrogate), before)


def test_a_short_run(script: ModuleType) -> None:
    row = script.compared(load_surrogate("chainnet"), 3, poor_start(small_problem()), 0.3)
    assert set(row["loss_ratio"]) == set(script.METHODS)
    assert row["learning_seconds"]["head"] > row["learning_seconds"]["restart"]
    told = script.summary([row])
    report = {"checkpoint": "chainnet", "seconds": 0.3, "rows": [row], "summary": told}
    assert "| head |" in script.result_text(report | {"machine": script.machine()}, "python x")


def test_who_gained(script: ModuleType) -> None:
    losses = ({"plain": 0.02, "restart": 0.02, "head": 0.01, "all": 0.04},) * 2
    rows = [{"loss_ratio": own, "standard_error": dict.fromkeys(own, 1e-4)} for own in losses]
    told = script.summary(rows)
    assert (told["head"]["better"], told["head"]["worse"]) == (2, 0)
    assert (told["all"]["better"], told["all"]["worse"]) == (0, 2)
    assert (told["restart"]["better"], told["restart"]["worse"]) == (0, 0)
    assert told["head"]["median_loss_ratio"] == pytest.approx(0.5, abs=1e-3)
