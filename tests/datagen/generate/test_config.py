from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from datagen.errors import InvalidInputError
from datagen.generate.config import config_from_document
from datagen.scenarios import Type1Scenario
from datagen.simulator import SimulationOptions


def test_defaults_are_written_out() -> None:
    config = config_from_document({"scenario": {"name": "type1"}})
    assert config.scenario == Type1Scenario()
    document = config.document()
    assert document["scenario"]["pool"] == 10
    assert document["simulation"]["replications"] == 4
    assert "seed" not in document["simulation"]
    again = config_from_document(document)
    assert again == config


def test_every_way_to_simulate_is_configured() -> None:
    given = {"counts": True, "min_offered": 500, "warmup": "mser5", "windows": 4}
    config = config_from_document({"scenario": {"name": "type1"}, "simulation": given})
    document = config.document()
    assert {name: document["simulation"][name] for name in given} == given
    assert config_from_document(document) == config
    plain = {item.name for item in fields(SimulationOptions)} - {"seed"}
    assert set(document["simulation"]) == plain


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "scenario must be given"),
        ({"scenario": {"name": "type9"}}, "scenario.name must be one of type1, placement, type2"),
        ({"scenario": {}}, "scenario.name must be one of"),
        ({"scenario": {"name": "type1", "chians": [1, 2]}}, "scenario.chians must be one of"),
        ({"scenario": {"name": "type1", "chains": [2, 1]}}, "scenario.chains must be finite, ord"),
        ({"scenario": {"name": "type1", "chains": 3}}, "scenario.chains must be a list"),
        ({"scenario": {"name": "type1", "pool": "x"}}, "scenario.pool must be a number"),
        (
            {"scenario": {"name": "type1"}, "simulation": {"horizon": 1.0, "events": 1.0}},
            "simulation.length must be one of",
        ),
        (
            {"scenario": {"name": "type1"}, "simulation": {"warmup": "mser"}},
            "simulation.warmup must be a share or mser5",
        ),
        (
            {"scenario": {"name": "type1"}, "simulation": {"windows": 2.5}},
            "simulation.windows must be one of 1, 2, 4",
        ),
        (
            {"scenario": {"name": "type1"}, "simulation": {"seed": 1}},
            "simulation.seed must be one of the keys engine",
        ),
        (
            {"scenario": {"name": "type1"}, "simulation": {"events": -1.0}},
            "simulation.events must be finite and > 0",
        ),
        ({"scenario": {"name": "type1"}, "rows_per_shard": 0}, "rows_per_shard must be a whole"),
        ({"scenario": {"name": "type1"}, "rows_per_shard": 2.5}, "rows_per_shard must be a whole"),
        ({"scenario": {"name": "type1"}, "rows": 2}, "rows must be one of the keys scenario"),
    ],
)
def test_bad_configurations_are_refused(document: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        config_from_document(document)
