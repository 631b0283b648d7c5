"""Our policies keep the contract that all policies keep."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from datagen.policies.exit_policy import ExitPolicy
from datagen.policies.threshold_table import TabledThresholds
from datagen.simulator.policies import policy_scene
from surrogate.policies.bayesian_tables import bayesian_table
from surrogate.policies.price_tables import PriceTables, tables_of
from surrogate.policies.queue_aware import DriftAware, QueueAware
from surrogate.policies.static import StaticThresholds
from tests.datagen.policies.contract import CHAIN, ExitPolicyContract, recorded, system

TARGET = 0.02


@cache
def tables(edges: bool) -> PriceTables:
    """Tables of the small system, made once."""
    return tables_of(policy_scene(system(edges), CHAIN, recorded(2)))


def bayesian(edges: bool) -> ExitPolicy:
    scene = policy_scene(system(edges), CHAIN, recorded(2))
    return TabledThresholds(bayesian_table(scene, [0.5, 1.5], TARGET))


POLICIES: dict[str, Callable[[bool], ExitPolicy]] = {
    "static": lambda edges: StaticThresholds(tables(edges), TARGET),
    "queue-aware": lambda edges: QueueAware(tables(edges), TARGET),
    "drift-aware": lambda edges: DriftAware(tables(edges), TARGET),
    "Bayesian": bayesian,
}


@pytest.fixture(autouse=True)
def _small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surrogate.policies.price_tables.LOADS", (0.1, 0.3, 1.0, 3.0))
    monkeypatch.setattr("surrogate.policies.price_tables.PRICES", (0.0, 1.0, 10.0))
    monkeypatch.setattr("surrogate.policies.stage_actions.PRICES", 4)
    monkeypatch.setattr("surrogate.policies.bayesian_tables.ROUNDS", 4)


@pytest.mark.parametrize("edges", [False, True], ids=["gateway", "edges"])
@pytest.mark.parametrize("name", POLICIES)
class TestOurPolicies(ExitPolicyContract):
    def test_contract(self, name: str, edges: bool) -> None:
        self.check(POLICIES[name], edges=edges)
