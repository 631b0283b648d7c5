"""Configuration of a generated data set: what is drawn, how it is labelled, how it is cut."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from datagen.documents.forms import (
    FLAG,
    NUMBER,
    TEXT,
    WHOLE,
    Form,
    listed,
    record,
    require_keys,
    require_mapping,
)
from datagen.documents.plain import read_yaml
from datagen.errors import require
from datagen.scenarios import SCENARIOS, Scenario
from datagen.simulator import SimulationOptions

__all__ = [
    "GenerateConfig",
    "config_from_document",
    "options_document",
    "options_from_document",
    "read_config",
]

_PLAIN: dict[type, Form] = {bool: FLAG, int: WHOLE, float: NUMBER, str: TEXT}

_SHARE_OR_RULE = Form(
    read=lambda value, path: (TEXT if isinstance(value, str) else NUMBER).read(value, path),
    write=lambda value: value,
)
"""A warm-up: a share, or the name of the rule that finds it."""

_OPTIONS: dict[str, Form] = {
    "engine": TEXT,
    **dict.fromkeys(("horizon", "events", "offered", "precision", "loss_precision"), NUMBER),
    "counts": FLAG,
    **dict.fromkeys(("min_offered", "min_completed", "min_lost", "replications", "windows"), WHOLE),
    "warmup": _SHARE_OR_RULE,
    **dict.fromkeys(("settle", "enough_offered", "max_events"), NUMBER),
}
"""What a configuration may say of simulation; the seed belongs to the run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateConfig:
    """What decides the content of a data set, its seed and length apart.

    Args:
        scenario: Distribution of the deployments.
        simulation: How they are labelled; its seed is replaced by the data set's.
        rows_per_shard: Deployments per Parquet file, >= 1.
    """

    scenario: Scenario
    simulation: SimulationOptions
    rows_per_shard: int = 4096

    def __post_init__(self) -> None:
        whole = math.isfinite(self.rows_per_shard) and self.rows_per_shard == int(
            self.rows_per_shard
        )
        require(
            whole and self.rows_per_shard >= 1,
            "rows_per_shard",
            "be a whole number >= 1",
            self.rows_per_shard,
        )

    def document(self) -> dict[str, Any]:
        """Return the configuration with every default written out, as plain values."""
        scenario = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self.scenario).items()  # type: ignore[call-overload]
        }
        return {
            "scenario": {"name": self.scenario.name, **scenario},
            "simulation": options_document(self.simulation),
            "rows_per_shard": self.rows_per_shard,
        }


def options_document(options: SimulationOptions) -> dict[str, Any]:
    """Return simulation options as plain values, the seed left out.

    Args:
        options: The options.

    Returns:
        Option -> value.
    """
    return {name: getattr(options, name) for name in _OPTIONS}


def options_from_document(document: object) -> SimulationOptions:
    """Build simulation options from plain values.

    Args:
        document: What :func:`options_document` gives, or a part of it.

    Returns:
        The options, with the default seed.
    """
    options: SimulationOptions = record(SimulationOptions, _OPTIONS).read(document, "simulation")
    return options


def _scenario_form(cls: type[Scenario]) -> Form:
    forms: dict[str, Form] = {}
    for item in fields(cls):  # type: ignore[arg-type]
        default: Any = item.default
        pair = isinstance(default, tuple)
        plain = _PLAIN[type(default[0] if pair else default)]
        forms[item.name] = listed(plain) if pair else plain
    return record(cls, forms)


def _read_scenario(value: object, path: str) -> Scenario:
    found = dict(require_mapping(value, path))
    name = found.pop("name", None)
    known = isinstance(name, str) and name in SCENARIOS
    require(known, f"{path}.name", f"be one of {', '.join(SCENARIOS)}", name)
    scenario: Scenario = _scenario_form(SCENARIOS[str(name)]).read(found, path)
    return scenario


def config_from_document(document: Mapping[str, Any]) -> GenerateConfig:
    """Build a configuration.

    Args:
        document: Plain mapping with ``scenario``, and perhaps ``simulation`` and
            ``rows_per_shard``.

    Returns:
        The configuration.

    Raises:
        InvalidInputError: If a key is unknown or a value breaks a rule; it names the path.
    """
    require_keys(document, "", dict.fromkeys(("scenario", "simulation", "rows_per_shard")))
    require(document.get("scenario") is not None, "scenario", "be given", None)
    content: dict[str, Any] = {
        "scenario": _read_scenario(document["scenario"], "scenario"),
        "simulation": options_from_document(document.get("simulation") or {}),
    }
    if document.get("rows_per_shard") is not None:
        content["rows_per_shard"] = WHOLE.read(document["rows_per_shard"], "rows_per_shard")
    return GenerateConfig(**content)


def read_config(path: str | Path) -> GenerateConfig:
    """Read a configuration from a YAML file.

    Args:
        path: The file.

    Returns:
        The configuration.

    Raises:
        InvalidInputError: If the file is no such document.
    """
    return config_from_document(read_yaml(path))
