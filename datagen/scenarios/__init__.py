"""Scenarios: distributions that deployments of a data set are drawn from."""

from datagen.scenarios.base import Scenario
from datagen.scenarios.placement import PlacementScenario
from datagen.scenarios.type1 import Type1Scenario

__all__ = ["SCENARIOS", "PlacementScenario", "Scenario", "Type1Scenario"]

SCENARIOS: dict[str, type[Scenario]] = {
    scenario.name: scenario for scenario in (Type1Scenario, PlacementScenario)
}
"""Every scenario by the name configurations use."""
