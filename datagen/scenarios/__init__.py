"""Scenarios: distributions that deployments of a data set are drawn from."""

from datagen.scenarios.base import Scenario
from datagen.scenarios.bursty import BurstyScenario
from datagen.scenarios.early_exit import EarlyExitScenario
from datagen.scenarios.mixed import MixedScenario
from datagen.scenarios.npu import NpuScenario
from datagen.scenarios.placement import PlacementScenario
from datagen.scenarios.type1 import Type1Scenario
from datagen.scenarios.type2 import Type2Scenario

__all__ = [
    "SCENARIOS",
    "BurstyScenario",
    "EarlyExitScenario",
    "MixedScenario",
    "NpuScenario",
    "PlacementScenario",
    "Scenario",
    "Type1Scenario",
    "Type2Scenario",
]

SCENARIOS: dict[str, type[Scenario]] = {
    scenario.name: scenario
    for scenario in (
        Type1Scenario,
        PlacementScenario,
        Type2Scenario,
        EarlyExitScenario,
        BurstyScenario,
        MixedScenario,
        NpuScenario,
    )
}
"""Every scenario by the name configurations use."""
