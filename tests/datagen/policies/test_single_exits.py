"""Policies that choose without looking: where their jobs leave."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.errors import InvalidInputError
from datagen.policies.single_exits import (
    ExitFirst,
    ExitLast,
    ExitMixed,
    ExitRandom,
    FixedThresholds,
    drawn_option,
)
from datagen.simulator.options import SimulationOptions
from tests.datagen.policies.contract import CHAIN, played, recorded

LONG = SimulationOptions(offered=3000.0, replications=2, seed=1)


@pytest.mark.parametrize(("policy", "exit_"), [(ExitFirst(), 0), (ExitLast(), 3)])
def test_all_jobs_leave_at_one_exit(policy: ExitFirst | ExitLast, exit_: int) -> None:
    for edges in (False, True):
        run = played(policy, edges=edges)
        assert run.mixes[CHAIN][exit_] == 1.0


def test_a_mix_is_what_it_says_where_nothing_is_lost() -> None:
    mix = np.array([0.5, 0.2, 0.2, 0.1])
    run = played(ExitMixed(mix.tolist()), edges=True, options=LONG)
    # Two paths of light devices: hardly a loss, so that the exits are those drawn.
    error = np.sqrt(mix * (1 - mix) / 3000.0)
    assert run.measures.chain["loss_ratio"][0] < 0.01
    assert np.all(np.abs(run.mixes[CHAIN] - mix) <= 4 * error + 0.01)


def test_random_exits_are_as_likely() -> None:
    mix = played(ExitRandom(), edges=True, options=LONG).mixes[CHAIN]
    assert mix == pytest.approx(0.25, abs=0.04)


def test_accuracy_is_that_of_the_samples_met() -> None:
    run = played(ExitFirst(), edges=False, options=LONG)
    right = recorded(1).correct[:, 0].mean()
    assert run.measures.chain["accuracy_completed"][0] == pytest.approx(right, abs=0.04)


def test_a_drawn_option_survives_rounding() -> None:
    assert drawn_option([0.1, 0.1, 0.9999999999999999], 0.9999999999999999) == 2
    assert [drawn_option([0.0, 0.5, 0.5, 1.0], u) for u in (0.0, 0.49, 0.5, 0.99)] == [1, 1, 3, 3]


@pytest.mark.parametrize("p", [[0.5, 0.6], [-0.1, 1.1], [float("nan"), 1.0]])
def test_what_is_no_mix_is_refused(p: list[float]) -> None:
    with pytest.raises(InvalidInputError, match="p must be >= 0 and sum to 1"):
        ExitMixed(p)


def test_mixes_and_thresholds_of_another_network_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="p must hold 4 values"):
        played(ExitMixed([0.5, 0.5]), edges=False)
    with pytest.raises(InvalidInputError, match="tau must hold 3 values"):
        played(FixedThresholds((0.5,)), edges=False)
