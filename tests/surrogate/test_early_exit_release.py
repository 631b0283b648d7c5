"""The shipped early-exit surrogate: exits by expansion, near to what is simulated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.deployment import Deployment
from datagen.errors import InvalidInputError
from datagen.evaluation.packing import DeploymentTables
from datagen.exits import Thresholds
from datagen.simulator import simulate
from surrogate.evaluator import SurrogateEvaluator, load_surrogate
from surrogate.optimizers import tune_thresholds
from tests.surrogate.exit_cases import edges, gateway


@pytest.fixture(scope="module")
def surrogate() -> SurrogateEvaluator:
    return load_surrogate("early-exit")


@pytest.mark.parametrize("deployment", [gateway(6.0), edges(12.0), edges(20.0)])
def test_near_what_is_simulated(surrogate: SurrogateEvaluator, deployment: Deployment) -> None:
    open_ = replace(deployment, exits={"camera": Thresholds(tau=(0.9, 0.7, 0.6))})
    found = surrogate.evaluate([open_])
    played = simulate([open_], events=4e5, seed=1)
    for name, tolerance in (("throughput_ratio", 0.03), ("latency", 0.15)):
        assert found.chain[name] == pytest.approx(played.chain[name], rel=tolerance), name
    for name in ("accuracy_offered", "accuracy_completed"):
        assert found.chain[name] == pytest.approx(played.chain[name], abs=0.02), name
    low, high = found.chain["loss_ratio_low"], found.chain["loss_ratio_high"]
    assert np.all((low <= found.chain["loss_ratio"]) & (found.chain["loss_ratio"] <= high))


def test_laws_are_asked_for(surrogate: SurrogateEvaluator) -> None:
    assert surrogate.needs_laws
    tables = DeploymentTables(gateway())
    with pytest.raises(InvalidInputError, match="carry its laws"):
        surrogate.evaluate(tables.rows(tables.base_placement()[None], laws=False))


def test_thresholds_by_the_network_keep_the_target(surrogate: SurrogateEvaluator) -> None:
    result = tune_thresholds(edges(16.0), surrogate, loss_target=0.02, seed=2)
    assert result.feasible
    assert result.verified is not None
    assert result.predicted.outcome.source == "surrogate"
    assert result.predicted.loss_ratio == pytest.approx(result.verified.loss_ratio, abs=0.006)
