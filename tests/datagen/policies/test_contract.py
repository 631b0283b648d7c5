"""Every policy that needs no torch keeps the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datagen.policies.adaee import AdaEEMultiGate, AdaEEOriginal, AdaEEQueueAware
from datagen.policies.exit_policy import ExitPolicy
from datagen.policies.knapsack import Knapsack
from datagen.policies.queueing import QueueingPolicy
from datagen.policies.reactive import Reactive
from datagen.policies.single_exits import (
    ExitFirst,
    ExitLast,
    ExitMixed,
    ExitRandom,
    FixedThresholds,
)
from datagen.policies.threshold_table import TabledThresholds, ThresholdTable
from datagen.policies.worth import Confidence
from tests.datagen.policies.contract import ExitPolicyContract

TABLE = ThresholdTable(rates=(0.5, 1.5), thresholds=((1.01, 0.9, 0.8), (0.7, 0.6, 0.5)))

POLICIES: dict[str, Callable[[], ExitPolicy]] = {
    "last": ExitLast,
    "first": ExitFirst,
    "random": ExitRandom,
    "mixed": lambda: ExitMixed([0.3, 0.0, 0.2, 0.5]),
    "thresholds": lambda: FixedThresholds((0.9, 1.01, 0.7)),
    "reactive": Reactive,
    "knapsack": Knapsack,
    "knapsack by confidence": lambda: Knapsack(Confidence()),
    "queueing": lambda: QueueingPolicy(0.02),
    "queueing by confidence": lambda: QueueingPolicy(0.02, Confidence()),
    "AdaEE multi-gate": lambda: AdaEEMultiGate(8),
    "AdaEE original": AdaEEOriginal,
    "AdaEE queue-aware": AdaEEQueueAware,
    "table": lambda: TabledThresholds(TABLE),
}


@pytest.mark.parametrize("edges", [False, True], ids=["gateway", "edges"])
@pytest.mark.parametrize("name", POLICIES)
class TestPolicies(ExitPolicyContract):
    def test_contract(self, name: str, edges: bool) -> None:
        self.check(lambda _: POLICIES[name](), edges=edges)
