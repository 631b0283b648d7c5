"""Online policies that need neither torch nor a library of optimizers."""

from datagen.policies.adaee import AdaEEMultiGate, AdaEEOriginal, AdaEEQueueAware
from datagen.policies.exit_policy import Decision, ExitPolicy, Outcome, Scene, Seen, Stage
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
from datagen.policies.worth import Confidence, ProfiledAccuracy

__all__ = [
    "AdaEEMultiGate",
    "AdaEEOriginal",
    "AdaEEQueueAware",
    "Confidence",
    "Decision",
    "ExitFirst",
    "ExitLast",
    "ExitMixed",
    "ExitPolicy",
    "ExitRandom",
    "FixedThresholds",
    "Knapsack",
    "Outcome",
    "ProfiledAccuracy",
    "QueueingPolicy",
    "Reactive",
    "Scene",
    "Seen",
    "Stage",
    "TabledThresholds",
    "ThresholdTable",
]
