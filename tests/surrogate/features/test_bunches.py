"""Jobs that come at once: how many, how long they wait for each other, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.deployment import BatchConfig, Deployment
from datagen.evaluation import pack
from datagen.evaluation.exit_paths import ExitPaths
from datagen.simulator import simulate
from surrogate.features.accelerators import visits
from surrogate.features.arrays import flow_arrays
from surrogate.features.bunches import bunches
from surrogate.features.features import FeatureFunction
from surrogate.features.groups import feature_groups
from surrogate.features.prior import Prior
from tests.surrogate.features.npu_cases import feeding, two_cuts

FULL = BatchConfig(policy="static", max_batch=8)
FUNCTION = FeatureFunction(feature_groups(("batching",)))


def prior_of(deployment: Deployment) -> Prior:
    return FUNCTION(flow_arrays(ExitPaths.of(pack([deployment])).batch)).prior  # type: ignore[no-any-return]


def test_a_full_batch_comes_at_once() -> None:
    batch = ExitPaths.of(pack([feeding(FULL, 4.0, 40, chains=2)])).batch
    found = visits(batch)
    assert found is not None
    told = bunches(batch, found, np.full(2, 8.0), np.array([3.0, 1.0]))
    # Both chains share batches and go the same way: one stream of bunches.
    assert told.size == pytest.approx([1.0, 8.0, 1.0, 8.0])
    assert told.origin[1] == told.origin[3]
    assert len(set(told.origin.tolist())) == 3


def test_only_those_who_go_the_same_way_come_together() -> None:
    batch = ExitPaths.of(pack([two_cuts(True)])).batch
    found = visits(batch)
    assert found is not None
    told = bunches(batch, found, np.array([4.0, 4.0]), np.array([2.0, 2.0]))
    assert told.size == pytest.approx([1.0, 1.0, 4.0])


def test_jobs_wait_for_those_they_came_with() -> None:
    deployment = feeding(FULL, 4.0, 40)
    wait = float(prior_of(deployment).step_wait[1])
    measured = simulate([deployment], events=1e5, replications=1, seed=1)
    simulated = measured.step["sojourn_completed"][1] - 0.02
    # All of a batch come at once: seven of eight find somebody before them, half of all on average.
    assert simulated == pytest.approx(3.5 * 0.02, rel=0.01)
    assert wait == pytest.approx(simulated, rel=0.1)


def test_bunches_that_do_not_fit_are_lost_in_part() -> None:
    deployment = feeding(FULL, 4.0, 6)
    loss = float(prior_of(deployment).step_loss[1])
    measured = simulate([deployment], events=1e5, replications=1, seed=1)
    assert measured.step["lost"][1] / measured.step["offered"][1] == pytest.approx(0.25, abs=0.01)
    assert loss == pytest.approx(0.25, abs=0.05)


def test_one_by_one_nothing_changes() -> None:
    deployment = feeding(BatchConfig(policy="serial"), 2.0, 40)
    arrays = flow_arrays(ExitPaths.of(pack([deployment])).batch)
    plain = FeatureFunction()(arrays).prior
    assert float(FUNCTION(arrays).prior.step_wait[1]) == pytest.approx(float(plain.step_wait[1]))
